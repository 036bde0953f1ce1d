"""libsndfile in a process of its own: a program that decodes one sound after another.

`decoder_process` starts it, in isolated mode, and talks to it over the socket that is its standard
input. It imports nothing of Triad and keeps no secret, so that a broken sound can only cost itself.
"""

import io
import os
import re
import resource
import signal
import socket
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

REQUEST = struct.Struct("<Qdd")  # bytes of the sound behind it, CPU seconds, seconds by the clock
HEADER = struct.Struct("<qqq8s")  # rate, channels, frames, libsndfile's name of the format
WANTED = struct.Struct("<Q")  # frames to decode
REPLY = struct.Struct("<cQ")  # kind, bytes behind it

READY, DECLARED, REFUSED, SAMPLES, END = b"R", b"D", b"F", b"S", b"E"
"""Kinds of replies. `SAMPLES` hold float32 of a few frames; `END` what is missing, as `WANTED`."""

NO_MEMORY = 3
"""The exit code where a sound takes more than `ROOM_BYTES`."""

ROOM_BYTES = 256 * 2**20
"""Address space for decoding one sound, beside the sound as stored and what the program takes."""

BLOCK_FRAMES = 65_536

UNKNOWN = 2**63 - 1
"""What libsndfile gives as the number of frames where a file does not say."""


def mono(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean over the channels of float32 `[frames, channels]`; an overflow becomes infinite."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        mean: npt.NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
    return mean


def main() -> None:
    """Answers requests until the other end is closed."""
    # Before the limits: what it reserves on import is no sound's fault.
    import soundfile

    class Reader(soundfile.SoundFile):
        """Reads on, without the seek behind each block, which fails or shifts samples in some."""

        def seekable(self) -> bool:
            return False

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = _address_space()
    connection = socket.socket(fileno=0)
    stream = connection.makefile("rb")
    _reply(connection, READY)
    while head := stream.read(REQUEST.size):
        size, cpu_seconds, seconds = REQUEST.unpack(head)
        resource.setrlimit(resource.RLIMIT_AS, (own + size + ROOM_BYTES, resource.RLIM_INFINITY))
        # The kernel ends this process when they run out, whether or not anyone waits for it.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            _decode(Reader, stream.read(size), connection, stream)
        except soundfile.SoundFileError:
            _reply(connection, REFUSED)
        except MemoryError:
            os._exit(NO_MEMORY)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _decode(reader: Any, content: bytes, connection: socket.socket, stream: BinaryIO) -> None:
    with reader(_InMemory(content)) as file:
        kind = file.format.encode()
        header = HEADER.pack(file.samplerate, file.channels, file.frames, kind)
        _reply(connection, DECLARED, header)
        (needed,) = WANTED.unpack(stream.read(WANTED.size))
        left = needed
        while left:
            frames = file.read(min(left, BLOCK_FRAMES), dtype="float32", always_2d=True)
            if not len(frames):
                break
            _reply(connection, SAMPLES, mono(frames).tobytes())
            left -= len(frames)
        if file.frames == UNKNOWN:
            left = 0  # however many there are, they are all
        elif kind == b"FLAC" and not left and 0 < needed < file.frames:
            file.seek(file.frames - 1)  # is the end there?
            left = 1 - len(file.read(1, dtype="float32", always_2d=True))
    _reply(connection, END, WANTED.pack(left))


class _InMemory(io.BytesIO):
    """Stays where it is when libsndfile seeks to nowhere: an error would go to stderr, unseen."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


def _reply(connection: socket.socket, kind: bytes, body: bytes = b"") -> None:
    connection.sendall(REPLY.pack(kind, len(body)) + body)


def _address_space() -> int:
    """Bytes of address space that this process has."""
    (kibibytes,) = re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kibibytes) * 1024


if __name__ == "__main__":
    main()
