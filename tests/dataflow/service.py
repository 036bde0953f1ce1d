"""Fake of Dataflow's REST API on loopback: records requests and, if asked to, runs the jobs.

A job runs in a separate process that has only the wheel of this checkout.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from triad_ml.pipelines.storage import atomic

EXECUTE = Path(__file__).with_name("execute.py")


class DataflowService:
    """What the tests hold of it.

    Attributes:
        jobs: The jobs that were created, as JSON, in order.
        site: A folder with the installed wheel: jobs run at once; None lets them stay active.
        state: Of jobs that do not run.
        refusal: HTTP status and message that every creation gets, or None.
        messages: What a job that failed says; with any, it is told of as running at first.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.clear()

    def clear(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.site: Path | None = None
        self.state = "JOB_STATE_RUNNING"
        self.refusal: tuple[int, str] | None = None
        self.messages: list[str] = []

    def create(self, job: dict[str, Any]) -> dict[str, Any]:
        """As Dataflow does: of jobs of one name only one is active, and is the answer.

        Unless the new one is to replace it.
        """
        for known in self.jobs:
            if known["name"] == job["name"] and known["currentState"] == "JOB_STATE_RUNNING":
                if job.get("replaceJobId") != known["id"]:
                    return known
                known["currentState"] = "JOB_STATE_UPDATED"
        job |= {"id": f"job-{len(self.jobs)}", "currentState": self.state}
        self.jobs.append(job)
        if self.site is not None:
            self._execute(job, self.site)
        return job

    def _execute(self, job: dict[str, Any], site: Path) -> None:
        folder = Path(tempfile.mkdtemp(dir=site.parent))
        options = job["environment"]["sdkPipelineOptions"]["options"]
        (folder / "pipeline.pb").write_bytes(atomic.read_bytes(options["pipelineUrl"]))
        done = subprocess.run(
            [sys.executable, str(EXECUTE), str(folder / "pipeline.pb")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
        )
        job["currentState"] = "JOB_STATE_FAILED" if done.returncode else "JOB_STATE_DONE"
        job["output"] = done.stdout + done.stderr


@contextlib.contextmanager
def serve() -> Iterator[DataflowService]:
    """Runs the service on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    # Beam speaks REST where the address has this name, and gRPC elsewhere.
    service = DataflowService(f"http://localhost:{server.server_address[1]}")
    server.service = service  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        service: DataflowService = self.server.service  # type: ignore[attr-defined]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if service.refusal is not None:
            status, message = service.refusal
            return self._answer(status, {"error": {"code": status, "message": message}})
        asked["location"] = self.path.split("/locations/")[1].split("/")[0]
        asked["projectId"] = self.path.split("/projects/")[1].split("/")[0]
        created = _without_output(service.create(asked))
        late = {"currentState": "JOB_STATE_RUNNING"} if service.messages else {}
        self._answer(200, {**created, **late})

    def do_GET(self) -> None:
        service: DataflowService = self.server.service  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        if path.endswith("/messages"):
            told = [
                {
                    "id": str(index),
                    "time": "2026-11-24T02:15:00Z",
                    "messageText": text,
                    "messageImportance": "JOB_MESSAGE_ERROR",
                }
                for index, text in enumerate(service.messages)
            ]
            self._answer(200, {"jobMessages": told})
        elif path.endswith("/metrics"):
            self._answer(200, {"metrics": []})
        elif path.endswith("/jobs"):
            self._answer(200, {"jobs": list(map(_without_output, service.jobs))})
        else:
            (job,) = [one for one in service.jobs if path.endswith(one["id"])]
            self._answer(200, _without_output(job))

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the tests ask the service."""


def _without_output(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name != "output"}
