"""How many records this process is done with, for who shows progress while a pipeline runs.

Beam's counters can be read when a pipeline has ended. These count work, with what is done again.
"""

import threading

_lock = threading.Lock()
_done = 0


def add(count: int) -> None:
    """Counts records; called for a batch of them, or for the rare one that ends early."""
    global _done
    with _lock:
        _done += count


def done() -> int:
    """All that were counted since the process began."""
    return _done


class Batched:
    """Counts one by one, and tells it in steps: a clean record costs an addition."""

    STEP = 16

    def __init__(self) -> None:
        self._held = 0

    def one(self) -> None:
        """Counts a record."""
        self._held += 1
        if self._held >= self.STEP:
            self.tell()

    def tell(self) -> None:
        """Tells what is held back."""
        add(self._held)
        self._held = 0
