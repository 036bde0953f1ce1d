"""Folder or file that another process swaps for a link, as fast as it can."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_PROGRAM = """
import ctypes, sys
here, there = (one.encode() for one in sys.argv[1:])
exchange = ctypes.CDLL(None).renameat2
print(flush=True)
while not exchange(-100, here, -100, there, 2):  # from AT_FDCWD to AT_FDCWD, RENAME_EXCHANGE
    pass
"""


@contextlib.contextmanager
def swapped_for_a_link(path: Path, target: Path) -> Iterator[None]:
    """Swaps `path` again and again, within a block, between itself and a link to `target`."""
    link = path.with_name(f".{path.name}")
    link.symlink_to(target)
    command = [sys.executable, "-c", _PROGRAM, str(path), str(link)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        try:
            yield
            assert process.poll() is None
        finally:
            process.kill()
    if path.is_symlink():
        path.unlink()
        link.rename(path)
    else:
        link.unlink()
