"""Program that decodes media, with faults: a marker in a medium's bytes names the fault.

It is run as `decoder_process.COMMAND`, with the paths of the program and of a pipe. Faults that
hang until they are killed write their process id to the pipe.
"""

import os
import runpy
import signal
import sys
from typing import Any

import soundfile
from PIL import Image

FAULTS = ("crash", "spin", "sleep", "stop", "swell", "babble", "later")


def marked(content: bytes, fault: str) -> bytes:
    """A medium in a format that may have bytes behind it, with a fault there."""
    assert fault in FAULTS
    return content + b"<fault:%s>" % fault.encode()


class _SoundFile(soundfile.SoundFile):
    _spoilt = False

    def __init__(self, file: Any) -> None:
        if type(self)._spoilt:
            _crash()
        _act(file.getvalue())
        super().__init__(file)


def _act(content: bytes) -> None:
    for fault, act in _ACTS.items():
        if b"<fault:%s>" % fault.encode() in content:
            act()


def _open(file: Any, *, real: Any = Image.open, **options: Any) -> Any:
    """What stands in for `Image.open`."""
    _act(file.getvalue())
    return real(file, **options)


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _spin() -> None:
    _tell()
    while True:
        pass


def _sleep() -> None:
    _tell()
    signal.pause()


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _swell() -> None:
    taken = []
    while True:
        taken.append(bytes(2**24))  # of zeros, not touched: it takes room and no time


def _babble() -> None:
    os.write(0, b"\xff" * 4096)


def _later() -> None:
    """Leaves the process harmed: the next sound crashes it."""
    _SoundFile._spoilt = True


def _tell() -> None:
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w") as pipe:
            pipe.write(str(os.getpid()))


_ACTS = {
    "crash": _crash,
    "spin": _spin,
    "sleep": _sleep,
    "stop": _stop,
    "swell": _swell,
    "babble": _babble,
    "later": _later,
}

if __name__ == "__main__":
    soundfile.SoundFile = _SoundFile
    Image.open = _open
    runpy.run_path(sys.argv[1], run_name="__main__")
