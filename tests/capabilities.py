"""Files that the tests may not read, even if they run as root."""

import contextlib
import ctypes
from collections.abc import Iterator

_VERSION = 0x20080522
_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
_Sets = ctypes.c_uint32 * 6  # effective, permitted, inheritable; then the high halves


@contextlib.contextmanager
def permissions_hold() -> Iterator[None]:
    """Enforces file permissions for this thread, and for threads that it starts, within a block.

    Root bypasses permissions by two capabilities, which are dropped and restored afterwards.
    """
    before = _capabilities()
    after = _Sets(*before)
    after[0] &= ~_OVERRIDES
    _set(after)
    try:
        yield
    finally:
        _set(before)


def _capabilities() -> ctypes.Array[ctypes.c_uint32]:
    found = _Sets()
    _call("capget", found)
    return found


def _set(wanted: ctypes.Array[ctypes.c_uint32]) -> None:
    _call("capset", wanted)


def _call(name: str, sets: ctypes.Array[ctypes.c_uint32]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    if getattr(libc, name)(header, sets):
        raise OSError(ctypes.get_errno(), name)
