"""Progress display of a long step: a progress bar on a terminal, otherwise occasional log lines."""

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
"""Shortest and longest time between two log lines, in seconds.

Between these limits it is a twentieth of the time that the step has taken so far.
"""

_TICK = 0.5
_free = threading.Lock()
_log = logging.getLogger(__name__)


class Stage:
    """A long step of a command, with its progress.

    Attributes:
        note: Text that the title adds to the name, such as `unit 3 of 12`; may change during the
            step.

    Args:
        what: Name of the step, such as `canonical records`.
        total: Number of items in the step; None if unknown.
        counted: Function that returns the number of finished items, from 0; None if nothing is
            counted.
        unit: Name of the items that are counted.
        estimated: True if `total` is an estimate.
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
        """Number of finished items; None if nothing is counted."""
        return None if self._count is None else self._count()

    @property
    def total(self) -> int | None:
        """Number of all items; None if unknown, or if more are finished than were estimated."""
        done = self.done
        if done is None or (self._total is not None and done > self._total):
            return None
        return self._total

    @property
    def title(self) -> str:
        """Name of the step, with its note."""
        return f"{self._what} ({self.note})" if self.note else self._what

    def state(self, seconds: float) -> str:
        """Describes the finished items, the speed, and the time left at that speed.

        Args:
            seconds: Time since the step began.
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
    """Returns a step that counts the records that `live` counts from now on."""
    before = live.done()
    return Stage(what, total, lambda: live.done() - before, estimated=estimated)


Say = Callable[[str], None]
"""Function that prints a line: above the progress bar if there is one, otherwise in the log."""


class Shown(Protocol):
    """Display of a step; `tick` is called twice a second, `say` by the code that does the step."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def tick(self) -> None:
        """Updates the display from the state of the step."""

    def say(self, line: str) -> None:
        """Prints a line; see `Say`."""


class Lines:
    """Display that logs the state of a step now and then, and nothing about a short step."""

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
        """Logs the state, unless the last line is too recent; see `INTERVAL`."""
        now = self._clock()
        seconds = now - self._begun
        if now - self._last >= max(INTERVAL, min(LONGEST, seconds / 20)):
            self._last = now
            _log.info("%s: %s", self._stage.title, self._stage.state(seconds))

    def say(self, line: str) -> None:
        """Logs a line that the step itself prints."""
        _logged(line)


class Bar:
    """Display with a progress bar on a terminal, which disappears when the step is done."""

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
        """Updates the progress bar."""
        self._progress.update(
            self._line,
            description=self._stage.title,
            completed=self._stage.done or 0,
            total=self._stage.total,
            state=self._stage.state(self._clock() - self._begun),
        )

    def say(self, line: str) -> None:
        """Prints a line above the progress bar."""
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


def moving() -> bool:
    """Returns True if standard error is a terminal that can show a progress bar, and may show it.

    It may not where `--quiet` has raised the level of this package's logger.
    """
    if logging.getLogger(__name__.partition(".")[0]).level > logging.INFO:
        return False
    plain = os.environ.get("TERM", "") in ("dumb", "unknown") or "NO_COLOR" in os.environ
    return sys.stderr.isatty() and not plain


@contextlib.contextmanager
def showing(stage: Stage) -> Iterator[Say]:
    """Shows a step while the block runs, unless another step is already shown.

    Yields:
        Function with which the step prints a line of its own. Inside another step that is shown,
        the line goes to the log.
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
    """Formats a duration in one or two units, such as `3 min 20 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
