"""What a long step shows while it runs: a moving line on a terminal, else a log line at times."""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

import rich.console
import rich.progress

from triad_ml.transforms.records import live

INTERVAL, LONGEST = 10.0, 60.0
"""Seconds between two log lines: at least, and at most; in between a twentieth of the time so far.
"""

_TICK = 0.5
_free = threading.Lock()
_log = logging.getLogger(__name__)


class Stage:
    """A step of a command.

    Attributes:
        note: What else to say, such as `unit 3 of 12`; may change while the step runs.

    Args:
        what: Names it, such as `canonical records`.
        total: How many there are to do; None where nobody knows.
        counted: Gives how many are done, from 0; None where nothing is counted.
        unit: What is counted.
        estimated: Whether `total` is an estimate.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        counted: Callable[[], int] | None = None,
        unit: str = "records",
        estimated: bool = False,
    ) -> None:
        self.note = ""
        self._what, self._unit, self._total, self._estimated = what, unit, total, estimated
        self._count = counted

    @property
    def done(self) -> int | None:
        """How many are done; None where nothing is counted."""
        return None if self._count is None else self._count()

    @property
    def total(self) -> int | None:
        """How many there are; an estimate that turned out too small is none any more."""
        done = self.done
        if done is None or (self._total is not None and done > self._total):
            return None
        return self._total

    @property
    def title(self) -> str:
        """What the step is, with its note."""
        return f"{self._what} ({self.note})" if self.note else self._what

    def state(self, seconds: float) -> str:
        """What is done, how fast, and how long the rest takes at that speed.

        Args:
            seconds: Since the step began.
        """
        done, total = self.done, self.total
        if done is None:
            return f"for {duration(seconds)}"
        about = "about " if self._estimated else ""
        of = f" of {about}{total:,} {self._unit} ({done / max(total, 1):.0%})" if total else ""
        parts = [f"{done:,}{of or f' {self._unit}'}"]
        speed = done / seconds if seconds > 0 else 0.0
        if not speed:
            return f"{parts[0]}, for {duration(seconds)}"
        parts.append(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s")
        if total:
            parts.append(f"{about}{duration((total - done) / speed)} left")
        return ", ".join(parts)


def counting(what: str, total: int | None, estimated: bool = False) -> Stage:
    """A step whose records are counted by `live` from now on."""
    before = live.done()
    return Stage(what, total, lambda: live.done() - before, estimated=estimated)


Say = Callable[[str], None]
"""Leaves a line: above the line that moves, else in the log."""


class Shown(Protocol):
    """Shows a step; `tick` is called twice a second, `say` by whoever does the step."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def tick(self) -> None:
        """Looks at the step."""

    def say(self, line: str) -> None:
        """See `Say`."""


class Lines:
    """Logs the state of a step at times, and nothing of one that is done sooner."""

    def __init__(self, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._clock = stage, clock
        self._begun = self._last = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def tick(self) -> None:
        """Logs a line, unless the last one was just now."""
        now = self._clock()
        seconds = now - self._begun
        if now - self._last >= max(INTERVAL, min(LONGEST, seconds / 20)):
            self._last = now
            _log.info("%s: %s", self._stage.title, self._stage.state(seconds))

    def say(self, line: str) -> None:
        """Logs a line that is no state."""
        _logged(line)


class Bar:
    """A line that moves on a terminal, and is gone when the step is done."""

    def __init__(self, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._clock, self._begun = stage, clock, clock()
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(bar_width=20),
            rich.progress.TextColumn("{task.fields[state]}", markup=False),
            console=rich.console.Console(stderr=True),
            transient=True,
        )
        self._line = self._progress.add_task(stage.title, total=stage.total, state="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def tick(self) -> None:
        """Moves the line."""
        self._progress.update(
            self._line,
            description=self._stage.title,
            completed=self._stage.done or 0,
            total=self._stage.total,
            state=self._stage.state(self._clock() - self._begun),
        )

    def say(self, line: str) -> None:
        """Leaves a line above the one that moves."""
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


def moving() -> bool:
    """Whether standard error is a terminal whose lines may move."""
    plain = os.environ.get("TERM", "") in ("dumb", "unknown") or "NO_COLOR" in os.environ
    return sys.stderr.isatty() and not plain


@contextlib.contextmanager
def showing(stage: Stage) -> Iterator[Say]:
    """Shows a step while the block runs; within another step that is shown, nothing.

    Yields:
        Leaves a line of the step itself, which within another step is one of the log.
    """
    if not _free.acquire(blocking=False):
        yield _logged
        return
    try:
        with Bar(stage) if moving() else Lines(stage) as shown, _ticking(shown):
            yield shown.say
    finally:
        _free.release()


def _logged(line: str) -> None:
    _log.info("%s", line)


@contextlib.contextmanager
def _ticking(shown: Shown) -> Iterator[None]:
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(_TICK):
            shown.tick()

    thread = threading.Thread(target=tick, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def duration(seconds: float) -> str:
    """A span of time in one or two units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
