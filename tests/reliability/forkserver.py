"""Fork server: a process that imports Beam and TensorFlow once and forks for each `triad` command.

A fresh `triad score` costs 10 to 15 CPU seconds of imports; a fork costs none. TensorFlow starts
its threads with its first op, so the server runs no op: there is no thread that a fork would lose.

Shells start children through a program, `ForkServer.program`, in the place of `triad`: it has the
output and the exit code of its child, and passes signals on to it.
"""

import contextlib
import ctypes
import dataclasses
import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

ROOT = Path(__file__).resolve().parents[2]
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_PROGRAM = r"""#!{python} -IS
import json, os, signal, socket, sys

connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
request = {{"argv": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
messages = connection.makefile()
pid = json.loads(messages.readline())["pid"]
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
code = os.waitstatus_to_exitcode(json.loads(messages.readline())["status"])
if code < 0:
    if code != -signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@dataclasses.dataclass(frozen=True)
class Ended:
    """What became of a child.

    Attributes:
        exit_code: None where a signal ended it.
        signal: None where it exited.
        said: What it wrote to stdout and stderr.
        notes: What its faults told, in order.
        cpu_seconds: Of the child alone.
    """

    exit_code: int | None
    signal: int | None
    said: str
    notes: tuple[Any, ...]
    cpu_seconds: float

    @property
    def lines(self) -> list[str]:
        """What the command itself says when it fails."""
        return [line for line in self.said.splitlines() if line.startswith("triad: ")]


class Child:
    """One command under way."""

    def __init__(self, connection: socket.socket, said: Path) -> None:
        self._said = said
        self._messages = _messages(connection.makefile("r", encoding="utf-8"))
        self.pid = int(next(self._messages)["pid"])

    def stopped(self) -> None:
        """Waits until the child has stopped itself, see `faults.pause_at`."""
        message = next(self._messages)
        if not message.get("stopped"):
            raise AssertionError(f"the child did not stop: {message}, {self._said.read_text()}")

    def go_on(self) -> None:
        """Lets a stopped child go on."""
        os.kill(self.pid, signal.SIGCONT)

    def ended(self) -> Ended:
        """Waits for its end."""
        message = next(self._messages)
        status = int(message["status"])
        return Ended(
            exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            said=self._said.read_text(encoding="utf-8"),
            notes=tuple(message["notes"]),
            cpu_seconds=float(message["cpu_seconds"]),
        )


class ForkServer:
    """Starts children; a context manager. Its children die with it.

    Args:
        folder: For its socket, its program and for what children say.

    Attributes:
        program: Path of the program `triad` by which shells start children, in a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = str(folder / "socket")
        self._started = 0
        self.program = folder / "bin" / "triad"
        self.program.parent.mkdir()
        self.program.write_text(_PROGRAM.format(python=sys.executable, socket=self._socket))
        self.program.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._socket)
        listener.listen()
        with listener:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.reliability.forkserver", str(listener.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,  # the server ends when it closes
                pass_fds=[listener.fileno()],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def start(
        self,
        argv: Sequence[str],
        *,
        faults: Sequence[tuple[Any, ...]] = (),
        kill_after: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Starts a command.

        Args:
            argv: Of `triad`.
            faults: Names of functions of `tests.reliability.faults`, each with its arguments.
            kill_after: Seconds after which the child gets SIGKILL.
            environment: Further variables.
        """
        self._started += 1
        said = self._folder / f"said-{self._started}"
        said.touch()  # The child may be killed before it opens the file.
        request = {
            "argv": list(argv),
            "faults": [list(fault) for fault in faults],
            "kill_after": kill_after,
            "environment": dict(environment or {}),
            "said": str(said),
        }
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._socket)
        with connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            return Child(connection, said)

    def run(self, argv: Sequence[str], **more: Any) -> Ended:
        """Runs a command to its end, see `start`."""
        return self.start(argv, **more).ended()


def _messages(stream: IO[str]) -> Iterator[dict[str, Any]]:
    with stream:
        for line in stream:
            yield json.loads(line)


def _serve(listener: socket.socket) -> None:
    """Forks a warden for each connection until stdin closes."""
    wardens: set[int] = set()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            break
        connection, _ = listener.accept()
        pid = os.fork()
        if pid == 0:
            listener.close()
            _die_with_parent()
            _guard(connection)
            os._exit(0)
        connection.close()
        wardens.add(pid)
        wardens = {one for one in wardens if os.waitpid(one, os.WNOHANG) == (0, 0)}
    for pid in wardens:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _guard(connection: socket.socket) -> None:
    """Forks the child of one request, and tells what becomes of it."""
    request, streams = _received(connection)
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.close(receiving)
        _die_with_parent()
        if streams:
            _become_program(request, streams)
        _become(request, sending)
    os.close(sending)

    def tell(**message: Any) -> None:
        connection.sendall(json.dumps(message).encode() + b"\n")

    tell(pid=pid)
    if streams:
        for stream in streams:
            os.close(stream)
        ended = os.pidfd_open(pid)
        if ended not in select.select([ended, connection], [], [])[0]:  # the program was killed
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            tell(status=os.waitpid(pid, 0)[1])
        return
    if request["kill_after"] is not None:
        ended = select.select([os.pidfd_open(pid)], [], [], request["kill_after"])[0]
        if not ended:
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, os.WUNTRACED)
    while os.WIFSTOPPED(status):
        tell(stopped=True)
        _, status = os.waitpid(pid, os.WUNTRACED)
    with os.fdopen(receiving, encoding="utf-8") as stream:
        notes = [json.loads(line) for line in stream]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    tell(status=status, notes=notes, cpu_seconds=used.ru_utime + used.ru_stime)


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request, and the three standard streams of the program that it comes from, if it does."""
    content, streams, _, _ = socket.recv_fds(connection, 2**16, 3)
    while not content.endswith(b"\n"):
        content += connection.recv(2**16)
    return json.loads(content), streams


def _become_program(request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    """In the child: runs the command as a process that a shell started, and exits as that does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["triad", *request["argv"]]

    from triad_ml.pipelines.cli import main as cli_main

    sys.exit(cli_main.main())


def _become(request: Mapping[str, Any], notes: int) -> None:
    """In the child: runs the command and exits with its code."""
    said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.update(request["environment"])

    from tests.reliability import faults as reliability_faults
    from triad_ml.pipelines.cli import main as cli_main

    with os.fdopen(notes, "w", encoding="utf-8") as stream:
        for name, *arguments in request["faults"]:
            getattr(reliability_faults, name)(*arguments)
        code = cli_main.main(request["argv"])  # a bug ends the child with its traceback and 1
        for note in reliability_faults.notes():
            stream.write(json.dumps(note) + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def main() -> None:
    """Imports what is heavy, then serves the listening socket that was inherited."""
    from triad_ml.pipelines.runtime import environment as runtime_environment

    runtime_environment.prepare()
    import tensorflow  # noqa: F401

    from tests import beam_signatures
    from triad_ml.pipelines.training import train  # noqa: F401

    beam_signatures.remember()

    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # no child looks through what is imported here, or copies its pages by doing so
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        _serve(listener)


if __name__ == "__main__":
    main()
