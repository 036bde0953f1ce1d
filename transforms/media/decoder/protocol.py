"""Protocol between `process` and the decoder program that it starts."""

import socket
import struct
from typing import BinaryIO

REQUEST = struct.Struct("<8sQQdd")
"""Kind; bytes of the medium behind it; of address space; CPU seconds; seconds by the clock."""

SOUND = b"sound"
"""The kind of a request for a sound; that for a picture is Pillow's name of its format."""

PICTURE = struct.Struct("<QQ")  # pixels declared, pixels to keep
HEADER = struct.Struct("<qqq8s")  # of a sound: rate, channels, frames, libsndfile's name
WANTED = struct.Struct("<Q")  # frames to decode
REPLY = struct.Struct("<cQ")  # kind, bytes behind it

READY, DECLARED, REFUSED, SAMPLES, PIXELS, END = b"R", b"D", b"F", b"S", b"P", b"E"
"""Kinds of replies. `REFUSED` holds a flaw and a detail, with a NUL between them; `SAMPLES` float32
of a few frames; `PIXELS` a PNG; `END` what is missing of a sound, as `WANTED`."""

NO_MEMORY = 3
"""The exit code where a medium takes more address space than it may."""

BLOCK_FRAMES = 65_536

UNKNOWN = 2**63 - 1
"""What libsndfile gives as the number of frames where a file does not say."""


class Channel:
    """The program's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream: BinaryIO = connection.makefile("rb")

    def read(self, size: int) -> bytes:
        """Waits for so many bytes; fewer come where the other end is closed."""
        return self._stream.read(size)

    def reply(self, kind: bytes, body: bytes = b"") -> None:
        """Sends a reply of one of the kinds above."""
        self._connection.sendall(REPLY.pack(kind, len(body)) + body)
