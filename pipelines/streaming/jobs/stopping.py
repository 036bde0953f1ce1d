"""Graceful stop of a stream on SIGTERM or SIGINT, after the current batch."""

import os
import select
import signal
from collections.abc import Callable

from triad_ml.pipelines.streaming.config import StreamConfig


class Stop:
    """Request that a stream end after the current batch; a signal handler may set it."""

    def __init__(self) -> None:
        self._receiving, self._sending = os.pipe()

    def set(self) -> None:
        """Requests the stop, and wakes a stream that waits."""
        os.write(self._sending, b".")

    def wait(self, seconds: float) -> bool:
        """Waits until the stop is requested, or for some seconds; returns True if it is."""
        return bool(select.select([self._receiving], [], [], seconds)[0])

    def is_set(self) -> bool:
        return self.wait(0)


Work = Callable[[StreamConfig, Stop], object]
"""Function that runs a stream until the `Stop` is set."""


def run_until_signal(config: StreamConfig, work: Work) -> object:
    """Runs `work` until SIGTERM or SIGINT; a second signal ends the process at once."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: object) -> None:
        stop.set()
        for caught, handler in before.items():
            signal.signal(caught, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        return work(config, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
