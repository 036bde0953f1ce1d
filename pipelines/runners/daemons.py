"""Background processes: started once, recognized by id and start time, and stopped by id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from triad_ml.transforms.hashing import ROOT


def free(count: int = 1) -> list[int]:
    """Returns `count` different free ports of the loopback interface."""
    with contextlib.ExitStack() as held:
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for server in servers:
            held.enter_context(server)
        return [int(server.getsockname()[1]) for server in servers]


def listens(port: int) -> bool:
    """Returns True if a process accepts connections at a port of the loopback interface."""
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) == 0


Started = tuple[int, str]
"""Process id and start time; both are needed because the kernel reuses ids."""

_PATIENCE = 15.0  # seconds


def start(command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> Started:
    """Starts a program in a new session; its output is appended to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=variables,
            cwd=ROOT, start_new_session=True,
        )  # fmt: skip
    return process.pid, _when(process.pid) or ""


def runs(process: Started | None) -> bool:
    """Returns True if that very process still runs."""
    return process is not None and _when(process[0]) == process[1]


def stop(processes: Iterable[Started]) -> None:
    """Ends processes and their children by SIGTERM; kills those that still run after 15 s."""
    stopped = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in stopped:
            if runs(process):
                os.killpg(process[0], number)
        deadline = time.monotonic() + _PATIENCE
        while any(map(runs, stopped)) and time.monotonic() < deadline:
            time.sleep(0.1)


def _when(pid: int) -> str | None:
    """Returns a process's start time in kernel ticks; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
