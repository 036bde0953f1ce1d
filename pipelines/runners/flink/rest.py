"""The jobs of a Flink cluster, by its REST interface: what runs, and how it is ended."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from triad_ml.transforms.errors import OptionsError, StorageError

PATIENCE = 120.0
"""Seconds that a job has to end."""

_ENDED = ("CANCELED", "FAILED", "FINISHED")


class Job(NamedTuple):
    """A job as Flink knows it.

    Attributes:
        id: Flink's own.
        name: Of a stream: see `checkpoints.stream_name`.
        state: Such as `RUNNING` or `CANCELED`.
    """

    id: str
    name: str
    state: str


def jobs(dashboard: str) -> list[Job]:
    """All jobs that the cluster remembers, the newest last.

    Args:
        dashboard: Such as `http://localhost:8081`.

    Raises:
        StorageError: Where nothing answers.
    """
    found = _ask(dashboard, "GET", "/jobs/overview")["jobs"]
    ordered = sorted(found, key=lambda job: int(job["start-time"]))
    return [Job(job["jid"], job["name"], job["state"]) for job in ordered]


def named(dashboard: str, name: str) -> Job:
    """The job of a name, or of an id, that has not ended.

    Raises:
        OptionsError: Where there is none, or more than one.
        StorageError: Where nothing answers.
    """
    live = [job for job in jobs(dashboard) if job.state not in _ENDED]
    found = [job for job in live if name in (job.id, job.name)]
    if len(found) == 1:
        return found[0]
    which = "runs more than once, give its id" if found else "does not run"
    known = ", ".join(f"{job.name} ({job.id})" for job in live) or "none"
    raise OptionsError(f"{name}: {which}; running: {known}")


def cancel(dashboard: str, name: str) -> Job:
    """Ends a job as it is, and waits for it. Its last checkpoint stays.

    Raises:
        OptionsError: Where no such job runs.
        StorageError: Where nothing answers, or the job does not end.
    """
    job = named(dashboard, name)
    _ask(dashboard, "PATCH", f"/jobs/{job.id}?mode=cancel")
    return _ended(dashboard, job)


def drain(dashboard: str, name: str, state: str) -> tuple[Job, str]:
    """Ends a job once all that it has read is written, with a savepoint, and waits for it.

    Args:
        dashboard: Such as `http://localhost:8081`.
        name: Of the job, or its id.
        state: URI of the folder that the stream has as `--state`; see `checkpoints.folder`.

    Returns:
        The job as it ended, and the savepoint's path.

    Raises:
        OptionsError: Where no such job runs.
        StorageError: Where nothing answers, or the savepoint fails.
    """
    job = named(dashboard, name)
    told = {"targetDirectory": f"{state}/{job.name}", "drain": False}
    trigger = _ask(dashboard, "POST", f"/jobs/{job.id}/stop", told)["request-id"]
    until = time.monotonic() + PATIENCE
    while True:
        asked = _ask(dashboard, "GET", f"/jobs/{job.id}/savepoints/{trigger}")
        if asked["status"]["id"] == "COMPLETED":
            break
        _patient(until, job)
    failed = asked["operation"].get("failure-cause")
    if failed:
        line = str(failed.get("stack-trace", failed)).split("\n")[0][:300]
        raise StorageError(f"{job.name}: {line}; it goes on; try again, or cancel it")
    return _ended(dashboard, job), str(asked["operation"]["location"])


def _ended(dashboard: str, job: Job) -> Job:
    until = time.monotonic() + PATIENCE
    while True:
        state = str(_ask(dashboard, "GET", f"/jobs/{job.id}")["state"])
        if state in _ENDED:
            return job._replace(state=state)
        _patient(until, job)


def _patient(until: float, job: Job) -> None:
    if time.monotonic() > until:
        raise StorageError(
            f"{job.name}: does not end within {PATIENCE:.0f} s; look at the dashboard"
        )
    time.sleep(0.2)


def _ask(
    dashboard: str, method: str, path: str, told: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    if not dashboard.startswith(("http://", "https://")):
        raise OptionsError(f"--dashboard: {dashboard}: must be http://HOST:PORT")
    request = urllib.request.Request(  # noqa: S310
        dashboard.rstrip("/") + path,
        json.dumps(told).encode() if told is not None else None,
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
            return found
    except urllib.error.HTTPError as error:
        raise StorageError(f"{dashboard}: {error}; look at the dashboard") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise StorageError(f"{dashboard}: does not answer; see that Flink runs there") from error
