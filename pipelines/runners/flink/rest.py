"""Client of Flink's REST interface: lists, cancels and drains the jobs of a cluster."""

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
    """Job of a Flink cluster.

    Attributes:
        id: Id that Flink assigned.
        name: Name of the job; for a stream see `flink_checkpoints.stream_name`.
        state: State of the job, such as `RUNNING` or `CANCELED`.
    """

    id: str
    name: str
    state: str


def jobs(dashboard: str) -> list[Job]:
    """Returns all jobs that the cluster remembers, the newest last.

    Args:
        dashboard: URL of the dashboard, such as `http://localhost:8081`.

    Raises:
        StorageError: If the cluster does not answer.
    """
    remembered = _ask(dashboard, "GET", "/jobs/overview")["jobs"]
    ordered = sorted(remembered, key=lambda job: int(job["start-time"]))
    return [Job(job["jid"], job["name"], job["state"]) for job in ordered]


def named(dashboard: str, name: str) -> Job:
    """Returns the running job with a name or id.

    Raises:
        OptionsError: If there is none, or more than one.
        StorageError: If the cluster does not answer.
    """
    live = [job for job in jobs(dashboard) if job.state not in _ENDED]
    matching = [job for job in live if name in (job.id, job.name)]
    if len(matching) == 1:
        return matching[0]
    reason = "runs more than once, give its id" if matching else "does not run"
    known = ", ".join(f"{job.name} ({job.id})" for job in live) or "none"
    raise OptionsError(f"{name}: {reason}; running: {known}")


def cancel(dashboard: str, name: str) -> Job:
    """Cancels a job at once, and waits for its end. Its last checkpoint is kept.

    Raises:
        OptionsError: If no such job runs.
        StorageError: If the cluster does not answer, or the job does not end.
    """
    job = named(dashboard, name)
    _ask(dashboard, "PATCH", f"/jobs/{job.id}?mode=cancel")
    return _ended(dashboard, job)


def drain(dashboard: str, name: str, state: str) -> tuple[Job, str]:
    """Ends a job with a savepoint once everything that it has read is written; waits for its end.

    Args:
        dashboard: URL of the dashboard, such as `http://localhost:8081`.
        name: Name or id of the job.
        state: URI of the folder that is the stream's `--state`; see `flink_checkpoints.folder`.

    Returns:
        Job with its final state, and path of the savepoint.

    Raises:
        OptionsError: If no such job runs.
        StorageError: If the cluster does not answer, or the savepoint fails.
    """
    job = named(dashboard, name)
    body = {"targetDirectory": f"{state}/{job.name}", "drain": False}
    trigger = _ask(dashboard, "POST", f"/jobs/{job.id}/stop", body)["request-id"]
    until = time.monotonic() + PATIENCE
    while True:
        savepoint = _ask(dashboard, "GET", f"/jobs/{job.id}/savepoints/{trigger}")
        if savepoint["status"]["id"] == "COMPLETED":
            break
        _pause(until, job)
    failed = savepoint["operation"].get("failure-cause")
    if failed:
        line = str(failed.get("stack-trace", failed)).split("\n")[0][:300]
        raise StorageError(f"{job.name}: {line}; it is still running; try again, or cancel it")
    return _ended(dashboard, job), str(savepoint["operation"]["location"])


def _ended(dashboard: str, job: Job) -> Job:
    until = time.monotonic() + PATIENCE
    while True:
        state = str(_ask(dashboard, "GET", f"/jobs/{job.id}")["state"])
        if state in _ENDED:
            return job._replace(state=state)
        _pause(until, job)


def _pause(until: float, job: Job) -> None:
    if time.monotonic() > until:
        raise StorageError(
            f"{job.name}: does not end within {PATIENCE:.0f} s; look at the dashboard"
        )
    time.sleep(0.2)


def _ask(
    dashboard: str, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    if not dashboard.startswith(("http://", "https://")):
        raise OptionsError(f"--dashboard: {dashboard}: must be http://HOST:PORT")
    request = urllib.request.Request(  # noqa: S310
        dashboard.rstrip("/") + path,
        json.dumps(body).encode() if body is not None else None,
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content: dict[str, Any] = json.loads(answer.read() or b"{}")
            return content
    except urllib.error.HTTPError as error:
        raise StorageError(f"{dashboard}: {error}; look at the dashboard") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise StorageError(f"{dashboard}: does not answer; see that Flink runs there") from error
