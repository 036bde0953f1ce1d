"""Handwritten Kafka protocol, for messages that a broker accepts but no client sends."""

import dataclasses
import socket
import struct
from collections.abc import Sequence

import google_crc32c

_PRODUCE = 0
_VERSION = 3


@dataclasses.dataclass(frozen=True)
class Raw:
    """Returns a message as bytes; the timestamp is any number of 64 bits."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    time: int = 1_700_000_000_000


def send(servers: str, topic: str, messages: Sequence[Raw]) -> None:
    """Sends messages to partition 0, each in a separate batch."""
    host, _, port = servers.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        answers = connection.makefile("rb")
        for message in messages:
            request = _request(topic, _batch(message))
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", answers.read(4))
            answer = answers.read(size)
            (error,) = struct.unpack_from(">h", answer, 18 + len(topic))
            assert error == 0, error


def _request(topic: str, batch: bytes) -> bytes:
    name = struct.pack(">h", len(topic)) + topic.encode()
    head = struct.pack(">hhih", _PRODUCE, _VERSION, 0, -1)
    body = struct.pack(">hhii", -1, -1, 30_000, 1) + name
    return head + body + struct.pack(">iii", 1, 0, len(batch)) + batch


def _batch(message: Raw) -> bytes:
    headers = b"".join(_sized(name) + _sized(value) for name, value in message.headers)
    count = _varint(len(message.headers))
    record = b"\0\0\0" + _sized(message.key) + _sized(message.value) + count + headers
    head = struct.pack(">hiqqqhii", 0, 0, message.time, message.time, -1, -1, -1, 1)
    checked = head + _varint(len(record)) + record
    rest = struct.pack(">ibI", -1, 2, google_crc32c.value(checked)) + checked
    return struct.pack(">qi", 0, len(rest)) + rest


def _sized(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    left = (number << 1) ^ (number >> 63)
    found = bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*found, left])
