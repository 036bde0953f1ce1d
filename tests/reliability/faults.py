"""Faults for a child of the fork server: each function arms one fault in its own process.

Moments are counted at the calls of the file system that Python audits, below one folder. A run does
the same calls in the same order each time, so the number of a call names an exact moment.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CALLS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.scandir")
_NEW_NAMESPACE, _READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = (
    0x00020000,
    1,
    32,
    4096,
    16384,
    1 << 18,
)

_notes: list[Callable[[], Any]] = []


def notes() -> list[Any]:
    """What the armed faults have to tell when the command has ended."""
    return [note() for note in _notes]


def count_calls(folder: str) -> None:
    """Tells how many calls there were below a folder."""
    _notes.append(_at_call(f"{folder}/", lambda call: None))


def kill_at(folder: str, call: int) -> None:
    """Kills the process, with all its threads, before the call of that number, from 1."""
    _at_call(
        f"{folder}/", lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == call else None
    )


def pause_at(path: str) -> None:
    """Stops the process before its first call for a path that begins so, until it may go on."""
    me = os.getpid()
    _at_call(path, lambda now: os.kill(me, signal.SIGSTOP) if now == 1 else None)


def kill_at_path(event: str, part: str) -> None:
    """Kills the process before the first call of that kind whose path holds `part`."""

    def hook(called: str, arguments: tuple[Any, ...]) -> None:
        if called == event and part in str(arguments[0]):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kill_at_step(epoch: int, step: int) -> None:
    """Kills a training after the step of that number, from 1, of that epoch."""
    from triad_ml.model.training import progress

    class Counting(progress.Progress):
        _in_epoch = _done = 0

        def begin(self, epoch: int, epochs: int, steps: int, num_records: int) -> None:
            self._in_epoch, self._done = epoch, 0
            super().begin(epoch, epochs, steps, num_records)

        def step(self, loss: float) -> None:
            super().step(loss)
            self._done += 1
            if (self._in_epoch, self._done) == (epoch, step):
                os.kill(os.getpid(), signal.SIGKILL)

    progress.Progress = Counting  # type: ignore[misc]


def compact_always() -> None:
    """Has a stream's journal written anew whenever it has doubled, however small it is."""
    from triad_ml.pipelines.streaming import journal

    journal.COMPACT_BYTES = 0


def limit_file_size(size: int) -> None:
    """Lets no file grow over a size in bytes: writing fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def limit_memory(size: int, processors: int) -> None:
    """Lets the process have so many bytes of its own, and so many processors; tells the peaks.

    The note is the sum of its own and its children's, who need not have had them at once.
    """
    from tests.reliability import bombs

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:processors])
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    _notes.append(lambda: bombs.peak_bytes() + sum(bombs.children_peaks()))


def tell_peak() -> None:
    """Tells the most memory that the process held, and how many children it leaves."""
    from tests.reliability import bombs

    _notes.append(lambda: [bombs.peak_bytes(), _children()])


def tell_growth() -> None:
    """Tells what a scoring holds at the commit of each unit, and what it leaves.

    The note: for each unit its records, the resident bytes and the threads; how often a model was
    loaded; how many children are left.
    """
    from triad_ml.model.serving import scorer
    from triad_ml.pipelines.publishing import publish

    commit = publish.commit_unit
    units: list[tuple[int, int, int]] = []

    def watched(*arguments: Any) -> Any:
        manifest = commit(*arguments)
        units.append((manifest.read, _resident_bytes(), threading.active_count()))
        return manifest

    publish.commit_unit = watched
    _notes.append(lambda: [units, scorer.load_scorer.cache_info().misses, _children()])


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _children() -> int:
    tasks = Path("/proc/self/task").glob("*/children")
    return sum(len(task.read_text().split()) for task in tasks)


def make_read_only(folder: str) -> None:
    """Makes a folder read-only, root or not, for this process alone: mounts of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = folder.encode()
    for call in (
        lambda: libc.unshare(_NEW_NAMESPACE),
        lambda: libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None),
        lambda: libc.mount(path, path, None, _BIND, None),
        lambda: libc.mount(None, path, None, _BIND | _REMOUNT | _READ_ONLY, None),
    ):
        if call() != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), folder)


def _at_call(prefix: str, act: Callable[[int], None]) -> Callable[[], int]:
    """Acts at each call for a path that begins so; returns what counts them."""
    calls = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        if event not in _CALLS or not isinstance(arguments[0], str):
            return
        if arguments[0].startswith(prefix):
            calls += 1
            act(calls)

    sys.addaudithook(hook)
    return lambda: calls
