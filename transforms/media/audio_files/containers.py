"""Lengths of audio files that declare them wrongly, as pipes, recorders and joined files do."""

import math
import re
from typing import NamedTuple

from triad_ml.transforms.records.values import Flaw, MediumError

_OPEN_SIZES = (0x7F00_0000, 2**31, 2**32)
_HEADERS_BYTES = 2**16

_MAX_STREAMS = 1000  # of an Ogg file
_FIRST_PAGE = re.compile(rb"OggS\0[\2\3\6\7]")

_BEHIND = re.compile(rb"TAG|APETAGEX|LYRICSBEGIN|ID3|\0*\Z")
_MP3_RATES = {0: (11_025, 12_000, 8_000), 2: (22_050, 24_000, 16_000), 3: (44_100, 48_000, 32_000)}
_MP3_KILOBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # at up to 24 kHz
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)


def is_open(size: int) -> bool:
    """Returns True if a declared size means "up to the end of the file".

    Writers that cannot seek back to the header declare the largest signed or unsigned 32-bit size,
    less the size of their headers. (In AIFF, sox writes 0x7f000000.)
    """
    return any(abs(size - mark) < _HEADERS_BYTES for mark in _OPEN_SIZES)


def check_ends(content: bytes) -> None:
    """Refuses files that are shorter than their structure says, which libsndfile accepts.

    Raises:
        MediumError: TRUNCATED.
    """
    end = 0
    if content.startswith(b"FORM"):
        size = int.from_bytes(content[4:8])
        end = 0 if is_open(size) else 8 + size
    elif content.startswith(b".snd"):
        offset, size = int.from_bytes(content[4:8]), int.from_bytes(content[8:12])
        end = offset + (size if size != 0xFFFFFFFF else 0)
    elif content.startswith(b"OggS"):
        start = content.rfind(b"OggS")
        end = _page_end(content, start)
    if end > len(content):
        raise MediumError(Flaw.TRUNCATED, f"{end} bytes declared, {len(content)} there")


def links(content: bytes) -> list[bytes]:
    """Splits an Ogg file into its consecutive streams, as radio stations chain them.

    libsndfile reads only the first one. Streams that are multiplexed stay together.

    Raises:
        MediumError: TOO_LARGE, if there are too many streams.
    """
    starts, end, count = [0], 0, 0
    while page := _FIRST_PAGE.search(content, end):
        if page.start() > end:
            starts.append(page.start())
        count += 1
        if count > _MAX_STREAMS:
            raise MediumError(Flaw.TOO_LARGE, f"Ogg: over {_MAX_STREAMS} streams")
        end = _page_end(content, page.start())
    return [content[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _page_end(content: bytes, start: int) -> int:
    count = content[start + 26] if len(content) > start + 26 else 1  # of segments; sizes follow
    return start + 27 + count + sum(content[start + 27 : start + 27 + count])


class _Mp3Frame(NamedTuple):
    size: int  # in bytes
    seconds: float
    tag: int  # offset of the name "Xing" or "Info" in a frame that only describes the file


def counted(content: bytes, seconds: float) -> bytes:
    """Corrects the declared number of frames of an MP3, if libsndfile would decode too few.

    libsndfile decodes as many frames as the file declares, or else as many as it estimates from the
    first frame. These are too few if the bit rate varies and no number is declared, or if files
    were joined. A file is returned unchanged if it is damaged within the first `seconds`, or
    declares enough frames.

    Args:
        content: The file from its first frame on.
        seconds: Duration to decode.
    """
    first = _mp3_frame(content, 0)
    if first is None:
        return content
    at, enough = first.tag + 8, math.ceil(seconds / first.seconds) + 1
    tagged = content[first.tag : first.tag + 4] in (b"Xing", b"Info") and len(content) >= at + 4
    declared = int.from_bytes(content[at : at + 4]) if tagged and content[at - 1] & 1 else None
    if declared is not None and declared >= enough:
        return content
    position, count = 0, 0
    while count <= enough and (frame := _mp3_frame(content, position)) is not None:
        position += frame.size
        count += position <= len(content)
    if tagged:
        if declared is None or declared >= count - 1:
            return content
        return content[:at] + (count - 1).to_bytes(4) + content[at + 4 :]
    whole = count > enough or _BEHIND.match(content, min(position, len(content)))
    if content[36:40] == b"VBRI" or not whole:
        return content
    return _describing_frame(content, first, count) + content


def _mp3_frame(content: bytes, position: int) -> _Mp3Frame | None:
    """Reads the header of a layer III frame at a position; None if there is no such frame."""
    head = int.from_bytes(content[position : position + 4])
    version, kilobits, rate = head >> 19 & 3, head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or head >> 17 & 3 != 1 or version == 1 or rate == 3:
        return None
    if not 0 < kilobits < 15:
        return None
    full = version == 3
    bits = _MP3_KILOBITS[full][kilobits - 1] * 1000
    hertz = _MP3_RATES[version][rate]
    size = (144 if full else 72) * bits // hertz + (head >> 9 & 1)
    single = head >> 6 & 3 == 3
    side = (17 if single else 32) if full else (9 if single else 17)
    return _Mp3Frame(size, (1152 if full else 576) / hertz, position + 4 + side)


def _describing_frame(content: bytes, first: _Mp3Frame, count: int) -> bytes:
    """Makes a frame that declares the number of frames.

    It is like the first frame, but of the highest bit rate and without a checksum.
    """
    head = int.from_bytes(content[:4]) & ~0xF200 | 0x1E000
    frame = _mp3_frame(head.to_bytes(4), 0)
    assert frame is not None
    body = head.to_bytes(4).ljust(first.tag, b"\0") + b"Xing" + (1).to_bytes(4) + count.to_bytes(4)
    return body.ljust(frame.size, b"\0")
