"""Canonical sounds: 16-bit mono WAV files at the spec's rate, behind a header of 44 bytes."""

import dataclasses
import math
import re
import struct

import numpy as np
import numpy.typing as npt
import soxr

from transforms import decoder_process
from transforms.records import Flaw, MediumError
from transforms.sound_decoder import mono
from transforms.spec import AudioSpec, Limits

HEADER_BYTES = 44
"""Size of the canonical header; behind it are samples alone."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHANNELS = range(1, 9)
_RATES = (8_000, 192_000)
_FILTER_SECONDS = 0.1  # the resampler looks this far ahead, and less
_MAX_CHUNKS = 4096

_WAV = re.compile(rb"(RIFF|RIFX|RF64)....WAVE", re.DOTALL)
_OTHERS = re.compile(
    rb"OggS|fLaC|FORM....AIF[FC]|\.snd|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL
)
"""What libsndfile is given: Ogg (Vorbis, Opus), FLAC, AIFF, AU, MP3. All else is never opened."""

_TAG = re.compile(b"ID3")

_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE

_Floats = npt.NDArray[np.float32]


def header(sample_rate: int, num_samples: int) -> bytes:
    """The 44 bytes in front of `num_samples` 16-bit mono samples at `sample_rate` Hz."""
    size = 2 * num_samples
    return _HEADER.pack(
        *(b"RIFF", 36 + size, b"WAVE"),
        *(b"fmt ", 16, _PCM, 1, sample_rate, 2 * sample_rate, 2, 16),
        *(b"data", size),
    )


def samples(canonical: bytes) -> npt.NDArray[np.int16]:
    """The samples of a canonical sound, int16 `[num_samples]`, read-only."""
    return np.frombuffer(canonical, "<i2", offset=HEADER_BYTES)


def canonical(content: bytes, spec: AudioSpec, limits: Limits) -> bytes:
    """Makes a sound canonical: 16-bit mono WAV at `spec.sample_rate`, `spec.samples` at most.

    A file that is one, down to its header, comes back byte for byte. All else is decoded up to
    where the spec cuts it, mixed to mono (mean of the channels), resampled, and clipped to the
    16-bit range. 16-bit mono at the spec's rate keeps its samples exactly, whatever its header.

    Args:
        content: WAV, RIFX, RF64, Ogg, FLAC, AIFF, AU or MP3, told by content.
        spec: Sample rate and duration wanted.
        limits: `media_bytes` and `audio_seconds` are checked before anything is decoded;
            `decode_seconds` ends it.

    Raises:
        MediumError: EMPTY, TOO_LARGE, UNSUPPORTED, TRUNCATED (fewer samples than declared; MP3
            does not declare them), CORRUPT, TIMEOUT or NOT_FINITE.
    """
    num_samples, odd = divmod(len(content) - HEADER_BYTES, 2)
    if len(content) > limits.media_bytes:
        raise MediumError(
            Flaw.TOO_LARGE, f"{len(content)} bytes, limits.media_bytes is {limits.media_bytes}"
        )
    if 0 < num_samples <= spec.samples and not odd:
        if content.startswith(header(spec.sample_rate, num_samples)):
            return content
    if not content:
        raise MediumError(Flaw.EMPTY, "no bytes")
    sound = _decoded(content, _Wanted(spec, limits))
    kept = _resampled(sound, spec)[: spec.samples]
    if not np.isfinite(kept).all():
        raise MediumError(Flaw.NOT_FINITE, "a sample is NaN or infinite")
    # Times 32768, as readers divide by it: 16-bit sounds come out as they went in.
    scaled = np.clip(np.rint(kept * np.float32(32768)), -32768, 32767).astype("<i2")
    encoded: bytes = header(spec.sample_rate, len(scaled)) + scaled.tobytes()
    return encoded


def begins_as_sound(content: bytes) -> bool:
    """Whether the first bytes of a file are those of a format on the list, or a tag's before it."""
    return any(magic.match(content) for magic in (_WAV, _OTHERS, _TAG))


@dataclasses.dataclass(frozen=True, slots=True)
class _Sound:
    rate: int
    mono: _Floats  # [frames], full scale is 1


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    spec: AudioSpec
    limits: Limits

    def frames(self, rate: int, channels: int, declared: int) -> int:
        """Checks what a header declares, and says how many frames need decoding."""
        lowest = min(_RATES[0], self.spec.sample_rate)
        if not lowest <= rate <= _RATES[1]:
            raise MediumError(Flaw.UNSUPPORTED, f"{rate} Hz, {lowest} to {_RATES[1]} can be read")
        if channels not in _CHANNELS:
            raise MediumError(Flaw.UNSUPPORTED, f"{channels} channels, 1 to 8 can be read")
        if declared < 1:
            raise MediumError(Flaw.EMPTY, "no samples")
        if declared > self.limits.audio_seconds * rate:
            raise MediumError(
                Flaw.TOO_LARGE,
                f"{declared / rate:.1f} s, limits.audio_seconds is {self.limits.audio_seconds:g}",
            )
        seconds = self.spec.samples / self.spec.sample_rate + _FILTER_SECONDS
        return min(declared, math.ceil(seconds * rate))


def _decoded(content: bytes, wanted: _Wanted) -> _Sound:
    if _WAV.match(content):
        return _wav(content, wanted)
    content = _without_tag(content)
    if not _OTHERS.match(content):
        raise MediumError(Flaw.UNSUPPORTED, "no sound format on the list")
    _check_ends(content)
    return _libsndfile(content, wanted)


def _resampled(sound: _Sound, spec: AudioSpec) -> _Floats:
    if sound.rate == spec.sample_rate or not np.isfinite(sound.mono).all():
        return sound.mono
    resampled: _Floats = soxr.resample(sound.mono, sound.rate, spec.sample_rate, quality="HQ")
    length = math.ceil(len(sound.mono) * spec.sample_rate / sound.rate)  # soxr drops a part of one
    return np.pad(resampled[:length], (0, max(0, length - len(resampled))))


def _wav(content: bytes, wanted: _Wanted) -> _Sound:
    """Reads WAV without libsndfile, which hangs on some and shortens others silently."""
    order = ">" if content.startswith(b"RIFX") else "<"
    form, start, size = _wav_chunks(content, order)
    tag, channels, rate, _, block, bits = struct.unpack_from(f"{order}HHIIHH", form)
    if tag == _EXTENSIBLE:
        if len(form) < 28:
            raise MediumError(Flaw.CORRUPT, "WAV: short format chunk")
        (tag,) = struct.unpack_from(f"{order}I", form, 24)
    if tag not in (_PCM, _FLOAT, _A_LAW, _MU_LAW):
        return _libsndfile(_bare_wav(content, order, form, start, size), wanted)
    width, left_over = divmod(block, channels) if channels else (0, 0)
    if width < 1 or left_over or not 0 < bits <= 8 * width:
        raise MediumError(
            Flaw.CORRUPT, f"WAV: {channels} channels of {bits} bits in blocks of {block} bytes"
        )
    count = channels * wanted.frames(rate, channels, size // block)
    numbers = _numbers(content[start : start + count * width], tag, width, order)
    return _Sound(rate, mono(numbers.reshape(-1, channels)))


def _wav_chunks(content: bytes, order: str) -> tuple[bytes, int, int]:
    """Finds the format chunk, and where the samples start and how many bytes they take."""
    form, long_size, position = b"", 0, 12
    for _ in range(_MAX_CHUNKS):
        start = position + 8
        if start > len(content):
            raise MediumError(Flaw.TRUNCATED, "WAV: no samples")
        name, size = struct.unpack_from(f"{order}4sI", content, position)
        if name == b"data":
            if content.startswith(b"RF64") and size == 0xFFFFFFFF:
                size = long_size
            if start + size > len(content):
                raise MediumError(
                    Flaw.TRUNCATED, f"WAV: {size} bytes declared, {len(content) - start} there"
                )
            if len(form) < 16:
                raise MediumError(Flaw.CORRUPT, "WAV: no format chunk before the samples")
            return form, start, size
        if name == b"fmt ":
            form = content[start : start + size]
        elif name == b"ds64" and start + 16 <= len(content):
            (long_size,) = struct.unpack_from("<Q", content, start + 8)
        position = start + size + size % 2
    raise MediumError(Flaw.CORRUPT, "WAV: too many chunks")


def _numbers(content: bytes, tag: int, width: int, order: str) -> _Floats:
    """Samples of `width` bytes as float32 `[samples]`; narrower ones fill the high bits."""
    if tag == _FLOAT and width in (4, 8):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(content, np.dtype(f"{order}f{width}")).astype(np.float32)
    if tag == _PCM and width == 1:
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if tag == _PCM and width in (2, 4):
        whole = np.frombuffer(content, np.dtype(f"{order}i{width}"))
        return whole.astype(np.float32) / np.float32(2 ** (8 * width - 1))
    if tag == _PCM and width == 3:
        parts = np.frombuffer(content, np.uint8).reshape(-1, 3).astype(np.int32)
        shifts = np.array((8, 16, 24) if order == "<" else (24, 16, 8), np.int32)
        joined: npt.NDArray[np.int32] = (parts << shifts).sum(axis=1, dtype=np.int32)
        return joined.astype(np.float32) / np.float32(2**31)
    if tag in (_A_LAW, _MU_LAW) and width == 1:
        return _COMPANDED[tag][np.frombuffer(content, np.uint8)]
    raise MediumError(Flaw.UNSUPPORTED, f"WAV: samples of {8 * width} bits")


def _companded() -> dict[int, _Floats]:
    """G.711: what each of the 256 codes stands for, by format tag."""
    a = np.arange(256) ^ 0x55
    exponent, mantissa = (a >> 4) & 7, (a & 15) << 4
    size = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    a_law = np.where(a & 0x80, size, -size)
    mu = np.arange(256) ^ 0xFF
    size = ((((mu & 15) << 3) + 0x84) << ((mu >> 4) & 7)) - 0x84
    mu_law = np.where(mu & 0x80, -size, size)
    return {
        _A_LAW: (a_law / 32768).astype(np.float32),
        _MU_LAW: (mu_law / 32768).astype(np.float32),
    }


_COMPANDED = _companded()


def _bare_wav(content: bytes, order: str, form: bytes, start: int, size: int) -> bytes:
    """The same sound without any other chunk: libsndfile hangs on some broken lists."""
    body = b"WAVE" + struct.pack(f"{order}4sI", b"fmt ", len(form)) + form + b"\0" * (len(form) % 2)
    body += struct.pack(f"{order}4sI", b"data", size) + content[start : start + size]
    return struct.pack(f"{order}4sI", b"RIFX" if order == ">" else b"RIFF", len(body)) + body


def _without_tag(content: bytes) -> bytes:
    """Drops an ID3 tag, behind which libsndfile would guess at formats that are not listed."""
    if not content.startswith(b"ID3") or len(content) < 10:
        return content
    size = 0
    for byte in content[6:10]:
        size = size << 7 | byte & 0x7F
    return content[10 + size + (10 if content[5] & 0x10 else 0) :].lstrip(b"\0")


def _check_ends(content: bytes) -> None:
    """Refuses files that stop before their own structure says, as libsndfile does not."""
    end = 0
    if content.startswith(b"FORM"):
        end = 8 + int.from_bytes(content[4:8])
    elif content.startswith(b".snd"):
        offset, size = int.from_bytes(content[4:8]), int.from_bytes(content[8:12])
        end = offset + (size if size != 0xFFFFFFFF else 0)  # unknown where it was streamed
    elif content.startswith(b"OggS"):
        page = content[content.rfind(b"OggS") :]
        count = page[26] if len(page) > 26 else 1  # of its segments, whose sizes come next
        end = len(content) - len(page) + 27 + count + sum(page[27 : 27 + count])
    if end > len(content):
        raise MediumError(Flaw.TRUNCATED, f"{end} bytes declared, {len(content)} there")


def _libsndfile(content: bytes, wanted: _Wanted) -> _Sound:
    """The one place that has libsndfile read something, which it does in a child process."""
    sound = decoder_process.decode(content, wanted.frames, wanted.limits.decode_seconds)
    if not len(sound.mono):
        raise MediumError(Flaw.EMPTY, "no samples")
    if sound.missing and sound.kind != "MP3":  # MP3 declares a guess
        raise MediumError(Flaw.TRUNCATED, f"{sound.kind}: fewer samples than declared")
    return _Sound(sound.rate, sound.mono)
