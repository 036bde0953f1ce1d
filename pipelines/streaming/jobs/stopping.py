"""Ends a stream on SIGTERM or SIGINT, after the batch in hand."""

import os
import select
import signal
from collections.abc import Callable

from triad_ml.pipelines.streaming.config import StreamConfig


class Stop:
    """Asks a stream to end after the batch in hand. It may be set in a handler of signals."""

    def __init__(self) -> None:
        self._receiving, self._sending = os.pipe()

    def set(self) -> None:
        """Asks; a stream that waits wakes up."""
        os.write(self._sending, b".")

    def wait(self, seconds: float) -> bool:
        """Waits until it is set, or for some seconds; whether it is set."""
        return bool(select.select([self._receiving], [], [], seconds)[0])

    def is_set(self) -> bool:
        return self.wait(0)


Work = Callable[[StreamConfig, Stop], object]
"""Runs a stream until it is told to stop."""


def run_until_signal(config: StreamConfig, work: Work) -> object:
    """Does `work` until SIGTERM or SIGINT. A second signal ends it at once."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: object) -> None:
        stop.set()
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        return work(config, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
