"""Canonical sounds: 16-bit mono WAV files at the spec's rate, behind a header of 44 bytes."""

import dataclasses
import math
import re
import struct
import time

import numpy as np
import numpy.typing as npt
import soxr

from triad_ml.transforms.media.audio_files import containers, wav
from triad_ml.transforms.media.decoder import process
from triad_ml.transforms.media.decoder.protocol import UNKNOWN
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, Limits

HEADER_BYTES = 44
"""Size of the canonical header; behind it are samples alone."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHANNELS = range(1, 9)
_RATES = (8_000, 192_000)
_FILTER_SECONDS = 0.1  # the resampler looks this far ahead, and less

_WAV = re.compile(rb"(RIFF|RIFX|RF64)....WAVE", re.DOTALL)
_OTHERS = re.compile(
    rb"OggS|fLaC|FORM....AIF[FC]|\.snd|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL
)
"""What libsndfile is given: Ogg (Vorbis, Opus), FLAC, AIFF, AU, MP3. All else is never opened."""

_TAG = re.compile(b"ID3")

_Floats = npt.NDArray[np.float32]


def header(sample_rate: int, num_samples: int) -> bytes:
    """The 44 bytes in front of `num_samples` 16-bit mono samples at `sample_rate` Hz."""
    size = 2 * num_samples
    return _HEADER.pack(
        *(b"RIFF", 36 + size, b"WAVE"),
        *(b"fmt ", 16, wav.PCM, 1, sample_rate, 2 * sample_rate, 2, 16),
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
    A file of no declared length, as pipes leave them, is read up to its end.

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
        """Checks what a header declares, which may be `UNKNOWN`, and says how many to decode."""
        lowest = min(_RATES[0], self.spec.sample_rate)
        if not lowest <= rate <= _RATES[1]:
            raise MediumError(Flaw.UNSUPPORTED, f"{rate} Hz, {lowest} to {_RATES[1]} can be read")
        if channels not in _CHANNELS:
            raise MediumError(Flaw.UNSUPPORTED, f"{channels} channels, 1 to 8 can be read")
        if declared < 1:
            raise MediumError(Flaw.EMPTY, "no samples")
        if declared == UNKNOWN:
            return self.most(rate)
        if declared > self.limits.audio_seconds * rate:
            raise MediumError(
                Flaw.TOO_LARGE,
                f"{declared / rate:.1f} s, limits.audio_seconds is {self.limits.audio_seconds:g}",
            )
        return min(declared, self.most(rate))

    def most(self, rate: int) -> int:
        """How many frames the canonical sound can depend on."""
        return math.ceil(self.seconds * rate)

    @property
    def seconds(self) -> float:
        """How much of a sound the canonical one can depend on."""
        return self.spec.samples / self.spec.sample_rate + _FILTER_SECONDS


def _decoded(content: bytes, wanted: _Wanted) -> _Sound:
    if _WAV.match(content):
        return _wav(content, wanted)
    content = _without_tag(content)
    if not _OTHERS.match(content):
        raise MediumError(Flaw.UNSUPPORTED, "no sound format on the list")
    containers.check_ends(content)
    if content.startswith(b"OggS"):
        return _ogg(content, wanted)
    if content.startswith(b"\xff"):
        content = containers.counted(content, wanted.seconds)
    return _libsndfile(content, wanted)


def _resampled(sound: _Sound, spec: AudioSpec) -> _Floats:
    if sound.rate == spec.sample_rate or not np.isfinite(sound.mono).all():
        return sound.mono
    resampled: _Floats = soxr.resample(sound.mono, sound.rate, spec.sample_rate, quality="HQ")
    length = math.ceil(len(sound.mono) * spec.sample_rate / sound.rate)  # soxr drops a part of one
    return np.pad(resampled[:length], (0, max(0, length - len(resampled))))


def _wav(content: bytes, wanted: _Wanted) -> _Sound:
    found = wav.parse(content)
    if found.tag not in (wav.PCM, wav.FLOAT, wav.A_LAW, wav.MU_LAW):
        return _libsndfile(wav.bare(content, found), wanted)
    width = found.width()
    if width is None:
        raise MediumError(
            Flaw.CORRUPT,
            f"WAV: {found.channels} channels of {found.bits} bits in blocks of {found.block} bytes",
        )
    frames = wanted.frames(found.rate, found.channels, found.size // found.block)
    stored = content[found.start : found.start + frames * found.block]
    numbers = wav.numbers(stored, found.tag, width, found.order)
    return _Sound(found.rate, wav.mono(numbers.reshape(-1, found.channels)))


def _without_tag(content: bytes) -> bytes:
    """Drops an ID3 tag, behind which libsndfile would guess at formats that are not listed."""
    if not content.startswith(b"ID3") or len(content) < 10:
        return content
    size = 0
    for byte in content[6:10]:
        size = size << 7 | byte & 0x7F
    return content[10 + size + (10 if content[5] & 0x10 else 0) :].lstrip(b"\0")


def _ogg(content: bytes, wanted: _Wanted) -> _Sound:
    """Joins streams that follow one another, as far as they are wanted.

    None is begun once they took as much time by the clock as one sound has.
    """
    parts: list[_Sound] = []
    end = time.monotonic() + process.CLOCK_FACTOR * wanted.limits.decode_seconds
    for link in containers.links(content):
        if time.monotonic() > end:
            raise MediumError(Flaw.TIMEOUT, "Ogg: its streams were not decoded in time")
        parts.append(_libsndfile(link, wanted))
        if parts[-1].rate != parts[0].rate:
            raise MediumError(Flaw.UNSUPPORTED, "Ogg: streams of several rates")
        if sum(len(part.mono) for part in parts) >= wanted.most(parts[0].rate):
            break
    return _Sound(parts[0].rate, np.concatenate([part.mono for part in parts]))


def _libsndfile(content: bytes, wanted: _Wanted) -> _Sound:
    """The one place that has libsndfile read something, which it does in a child process."""
    sound = process.decode_sound(content, wanted.frames, wanted.limits.decode_seconds)
    if not len(sound.mono):
        raise MediumError(Flaw.EMPTY, "no samples")
    if sound.missing and sound.kind != "MP3":  # MP3 declares a guess
        raise MediumError(Flaw.TRUNCATED, f"{sound.kind}: fewer samples than declared")
    return _Sound(sound.rate, sound.mono)
