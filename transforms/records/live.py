"""Number of records that this process has finished, for progress displays of a running pipeline.

Beam's counters can be read only when a pipeline has ended. These counts include records that were
processed again after a failure.
"""

import threading

_lock = threading.Lock()
_done = 0


def add(count: int) -> None:
    """Adds finished records to the count.

    It takes a lock: call it for a batch, or for the rare record that is finished early.
    """
    global _done
    with _lock:
        _done += count


def done() -> int:
    """Returns the number of records counted since the process began."""
    return _done


class Batched:
    """Counter that adds records to the process's count in steps, so that it rarely locks."""

    STEP = 16
    """Number of records in a step."""

    def __init__(self) -> None:
        self._held = 0

    def one(self) -> None:
        """Counts a record."""
        self._held += 1
        if self._held >= self.STEP:
            self.tell()

    def tell(self) -> None:
        """Adds the records counted since the last step to the process's count."""
        add(self._held)
        self._held = 0
