"""Programs that go on in the background: started once, known again, ended by their number."""

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
    """So many ports that nothing listens at, each another one."""
    with contextlib.ExitStack() as held:
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for server in servers:
            held.enter_context(server)
        return [int(server.getsockname()[1]) for server in servers]


def listens(port: int) -> bool:
    """Whether something takes connections at a port."""
    with socket.socket() as one:
        one.settimeout(5)
        return one.connect_ex(("127.0.0.1", port)) == 0


Started = tuple[int, str]
"""A process id, and when it started: a number can be given again."""

_PATIENCE = 15.0


def start(command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> Started:
    """Starts a program in a session of its own; what it says is added to `log`."""
    with log.open("ab") as said:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=variables, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
    return process.pid, _when(process.pid) or ""


def runs(process: Started | None) -> bool:
    """Whether it is still that process."""
    return process is not None and _when(process[0]) == process[1]


def stop(processes: Iterable[Started]) -> None:
    """Ends processes and their children: asks first, and kills what does not go in 15 s."""
    stopped = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in stopped:
            if runs(process):
                os.killpg(process[0], number)
        deadline = time.monotonic() + _PATIENCE
        while any(map(runs, stopped)) and time.monotonic() < deadline:
            time.sleep(0.1)


def _when(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
