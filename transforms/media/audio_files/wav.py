"""Reader of WAV, RIFX and RF64, in place of libsndfile.

libsndfile hangs on some of these files, and silently shortens others.
"""

import re
import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.media.audio_files.containers import is_open
from triad_ml.transforms.records.values import Flaw, MediumError

_MAX_CHUNKS = 4096
_CHUNK_NAME = re.compile(rb"[ -~]{4}")
_KNOWN = re.compile(rb"data|fmt |fact|LIST|JUNK|junk|PAD |PEAK|bext|cue |smpl|inst|id3 |ID3 |iXML")
_OPEN_LONG_SIZES = (0, 2**63 - 1, 2**64 - 1)  # of RF64
PCM, FLOAT, A_LAW, MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
"""Format tags."""

_Floats = npt.NDArray[np.float32]


class Wav(NamedTuple):
    """Format of a WAV file, and the position of its samples.

    Attributes:
        order: Byte order, `<` or `>` as in `struct`.
        form: Format chunk, at least 16 bytes.
        tag: Format tag of the samples.
        channels: Declared number of channels.
        rate: Declared sample rate in Hz.
        block: Declared number of bytes in a frame.
        bits: Declared number of bits in a sample.
        start: Byte offset of the samples.
        size: Number of bytes of the samples, all of which the file has.
    """

    order: str
    form: bytes
    tag: int
    channels: int
    rate: int
    block: int
    bits: int
    start: int
    size: int

    def width(self) -> int | None:
        """Returns the number of bytes in a sample; None if the declared values disagree."""
        width, left_over = divmod(self.block, self.channels) if self.channels else (0, 0)
        return None if width < 1 or left_over or not 0 < self.bits <= 8 * width else width


def parse(content: bytes) -> Wav:
    """Finds the format chunk and the samples.

    Two declared sizes mean "up to the end of the file": one of `containers.is_open`, and 0 if no
    chunk follows.

    Raises:
        MediumError: TRUNCATED if samples are missing, CORRUPT.
    """
    order = ">" if content.startswith(b"RIFX") else "<"
    form, start, size = _chunks(content, order)
    tag, channels, rate, _, block, bits = struct.unpack_from(f"{order}HHIIHH", form)
    if tag == _EXTENSIBLE:
        if len(form) < 28:
            raise MediumError(Flaw.CORRUPT, "WAV: short format chunk")
        (tag,) = struct.unpack_from(f"{order}I", form, 24)
    return Wav(order, form, tag, channels, rate, block, bits, start, size)


def _chunks(content: bytes, order: str) -> tuple[bytes, int, int]:
    """Returns the format chunk, and the byte offset and the size of the samples."""
    form, long_size, position = b"", 0, 12
    for _ in range(_MAX_CHUNKS):
        start = position + 8
        if start > len(content):
            raise MediumError(Flaw.TRUNCATED, "WAV: no samples")
        name, size = struct.unpack_from(f"{order}4sI", content, position)
        if name == b"data":
            if content.startswith(b"RF64") and size == 0xFFFFFFFF:
                size = 0xFFFFFFFF if long_size in _OPEN_LONG_SIZES else long_size
            if len(form) < 16:
                raise MediumError(Flaw.CORRUPT, "WAV: no format chunk before the samples")
            return form, start, _size_there(content, order, start, size)
        if name == b"fmt ":
            form = content[start : start + size]
        elif name == b"ds64" and start + 16 <= len(content):
            (long_size,) = struct.unpack_from("<Q", content, start + 8)
        position = start + size + size % 2
        # Some writers omit the padding byte after a chunk of odd size.
        if size % 2 and not _KNOWN.match(content, position) and _KNOWN.match(content, position - 1):
            position -= 1
    raise MediumError(Flaw.CORRUPT, "WAV: too many chunks")


def _is_chunk(content: bytes, order: str, position: int) -> bool:
    """Returns True if a chunk begins at a position: a name, and a size that fits in the file."""
    if not _CHUNK_NAME.match(content, position) or position + 8 > len(content):
        return False
    (size,) = struct.unpack_from(f"{order}I", content, position + 4)
    return bool(position + 8 + size <= len(content))


def _size_there(content: bytes, order: str, start: int, declared: int) -> int:
    rest = len(content) - start
    if declared > rest and not is_open(declared):
        raise MediumError(Flaw.TRUNCATED, f"WAV: {declared} bytes declared, {rest} there")
    if declared > rest or (not declared and not _is_chunk(content, order, start)):
        return rest
    return declared


def numbers(content: bytes | memoryview, tag: int, width: int, order: str) -> _Floats:
    """Converts samples to float32 `[samples]`, of which the full scale is 1.

    Args:
        content: The samples as stored.
        tag: Format tag.
        width: Bytes of a sample. Samples with fewer bits than that fill the high bits.
        order: Byte order, `<` or `>`.

    Raises:
        MediumError: UNSUPPORTED.
    """
    if tag == FLOAT and width in (4, 8):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(content, np.dtype(f"{order}f{width}")).astype(np.float32)
    if tag == PCM and width == 1:
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if tag == PCM and width == 3:
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        high = slice(1, 4) if order == "<" else slice(0, 3)
        wide[:, high] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        content, width = wide.data, 4
    if tag == PCM and width in (2, 4):
        whole = np.frombuffer(content, np.dtype(f"{order}i{width}"))
        return whole.astype(np.float32) / np.float32(2 ** (8 * width - 1))
    if tag in (A_LAW, MU_LAW) and width == 1:
        return _COMPANDED[tag][np.frombuffer(content, np.uint8)]
    raise MediumError(Flaw.UNSUPPORTED, f"WAV: samples of {8 * width} bits")


def _companded() -> dict[int, _Floats]:
    """Returns the sample values of the 256 codes of G.711, float32 `[256]` by format tag."""
    a = np.arange(256) ^ 0x55
    exponent, mantissa = (a >> 4) & 7, (a & 15) << 4
    size = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    a_law = np.where(a & 0x80, size, -size)
    mu = np.arange(256) ^ 0xFF
    size = ((((mu & 15) << 3) + 0x84) << ((mu >> 4) & 7)) - 0x84
    mu_law = np.where(mu & 0x80, -size, size)
    return {
        A_LAW: (a_law / 32768).astype(np.float32),
        MU_LAW: (mu_law / 32768).astype(np.float32),
    }


_COMPANDED = _companded()


def bare(content: bytes, file: Wav) -> bytes:
    """Returns a file with the format chunk and the samples alone.

    libsndfile hangs on some broken LIST chunks.
    """
    order, form = file.order, file.form
    body = b"WAVE" + struct.pack(f"{order}4sI", b"fmt ", len(form)) + form + b"\0" * (len(form) % 2)
    body += struct.pack(f"{order}4sI", b"data", file.size)
    body += content[file.start : file.start + file.size]
    return struct.pack(f"{order}4sI", b"RIFX" if order == ">" else b"RIFF", len(body)) + body


def mono(frames: _Floats) -> _Floats:
    """Returns the mean over the channels of float32 `[frames, channels]`, float32 `[frames]`.

    An overflow becomes infinite.
    """
    if frames.shape[1] == 1:
        return frames[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        mean: _Floats = frames.mean(axis=1, dtype=np.float32)
    return mean
