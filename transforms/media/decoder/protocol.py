"""Protocol between `process` and the decoder program that it starts."""

import socket
import struct
from typing import BinaryIO

REQUEST = struct.Struct("<8sQQdd")
"""Request: its kind, bytes of the medium that follows, bytes of additional address space, CPU
seconds, and seconds of wall-clock time."""

SOUND = b"sound"
"""Kind of a request to decode audio; for an image, the kind is Pillow's name of its format."""

PICTURE = struct.Struct("<QQ")  # pixels declared, pixels to keep
HEADER = struct.Struct("<qqq8s")  # of audio: rate, channels, frames, libsndfile's format name
WANTED = struct.Struct("<Q")  # frames to decode
REPLY = struct.Struct("<cQ")  # kind, bytes of the body that follows

READY, DECLARED, REFUSED, SAMPLES, PIXELS, END = b"R", b"D", b"F", b"S", b"P", b"E"
"""Kinds of replies, and their bodies: `DECLARED` has a `HEADER`; `REFUSED` a flaw and a detail,
with a NUL between them; `SAMPLES` float32 of some frames; `PIXELS` a PNG; `END` the number of
missing frames, as `WANTED`."""

NO_MEMORY = 3
"""Exit code if a medium takes more address space than it may."""

BLOCK_FRAMES = 65_536
"""Largest number of frames in a reply of `SAMPLES`."""

UNKNOWN = 2**63 - 1
"""Number of frames that libsndfile returns if a file declares none."""


class Channel:
    """End of the socket in the child process."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream: BinaryIO = connection.makefile("rb")

    def read(self, size: int) -> bytes:
        """Waits for `size` bytes; returns fewer if the other end is closed."""
        return self._stream.read(size)

    def reply(self, kind: bytes, body: bytes = b"") -> None:
        """Sends a reply of one of the kinds above."""
        self._connection.sendall(REPLY.pack(kind, len(body)) + body)
