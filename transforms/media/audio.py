"""Canonical audio: 16-bit mono WAV at the spec's sample rate, with a header of 44 bytes."""

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
"""Size of the canonical header in bytes; only samples follow it."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHANNELS = range(1, 9)
_RATES = (8_000, 192_000)
_FILTER_SECONDS = 0.1  # upper bound of how far the resampler looks ahead

_WAV = re.compile(rb"(RIFF|RIFX|RF64)....WAVE", re.DOTALL)
_OTHERS = re.compile(
    rb"OggS|fLaC|FORM....AIF[FC]|\.snd|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL
)
"""Formats that libsndfile decodes: Ogg (Vorbis, Opus), FLAC, AIFF, AU, MP3. A file of another
format is never opened."""

_TAG = re.compile(b"ID3")

_Floats = npt.NDArray[np.float32]


def header(sample_rate: int, num_samples: int) -> bytes:
    """Returns the header, 44 bytes, of `num_samples` 16-bit mono samples at `sample_rate` Hz."""
    size = 2 * num_samples
    return _HEADER.pack(
        *(b"RIFF", 36 + size, b"WAVE"),
        *(b"fmt ", 16, wav.PCM, 1, sample_rate, 2 * sample_rate, 2, 16),
        *(b"data", size),
    )


def samples(canonical: bytes) -> npt.NDArray[np.int16]:
    """Returns the samples of canonical audio, int16 `[num_samples]`, read-only."""
    return np.frombuffer(canonical, "<i2", offset=HEADER_BYTES)


def canonical(content: bytes, spec: AudioSpec, limits: Limits) -> bytes:
    """Makes audio canonical: 16-bit mono WAV at `spec.sample_rate`, at most `spec.samples`.

    A file that is canonical already, including its header, is returned byte for byte. Any other
    file is decoded up to the spec's duration, mixed to mono (mean of the channels), resampled, and
    clipped to the 16-bit range. 16-bit mono at the spec's rate keeps its samples exactly, whatever
    its header. A file without a declared length, as a pipe produces it, is read up to its end.

    Args:
        content: WAV, RIFX, RF64, Ogg, FLAC, AIFF, AU or MP3; the content decides the format.
        spec: Sample rate and duration of the result.
        limits: `media_bytes` and `audio_seconds` are checked before decoding; `decode_seconds`
            limits the decoder.

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
    audio = _decoded(content, _Wanted(spec, limits))
    kept = _resampled(audio, spec)[: spec.samples]
    if not np.isfinite(kept).all():
        raise MediumError(Flaw.NOT_FINITE, "a sample is NaN or infinite")
    return encoded(kept, spec.sample_rate)


def encoded(mono: _Floats, sample_rate: int) -> bytes:
    """Encodes samples, whose full scale is 1, as canonical audio; louder ones are clipped."""
    # Readers divide by 32768; multiplying by it keeps 16-bit samples unchanged.
    scaled = np.clip(np.rint(mono * np.float32(32768)), -32768, 32767).astype("<i2")
    content: bytes = header(sample_rate, len(scaled)) + scaled.tobytes()
    return content


def begins_as_sound(content: bytes) -> bool:
    """Returns True if the first bytes of a file are those of an allowed format, or an ID3 tag."""
    return any(magic.match(content) for magic in (_WAV, _OTHERS, _TAG))


@dataclasses.dataclass(frozen=True, slots=True)
class _Audio:
    rate: int  # in Hz
    mono: _Floats  # [frames], full scale is 1


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """Part of an audio file on which its canonical form can depend."""

    spec: AudioSpec
    limits: Limits

    def frames(self, rate: int, channels: int, declared: int) -> int:
        """Checks a header, and returns the number of frames to decode.

        Args:
            rate: Sample rate in Hz.
            channels: Number of channels.
            declared: Number of frames, or `UNKNOWN`.

        Raises:
            MediumError: UNSUPPORTED, EMPTY or TOO_LARGE.
        """
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
        """Returns the number of frames on which the canonical audio can depend."""
        return math.ceil(self.seconds * rate)

    @property
    def seconds(self) -> float:
        """Duration, in seconds, on which the canonical audio can depend."""
        return self.spec.samples / self.spec.sample_rate + _FILTER_SECONDS


def _decoded(content: bytes, wanted: _Wanted) -> _Audio:
    if _WAV.match(content):
        return _wav(content, wanted)
    content = _without_tag(content)
    if not _OTHERS.match(content):
        raise MediumError(Flaw.UNSUPPORTED, "not one of the supported audio formats")
    containers.check_ends(content)
    if content.startswith(b"OggS"):
        return _ogg(content, wanted)
    if content.startswith(b"\xff"):
        content = containers.counted(content, wanted.seconds)
    return _libsndfile(content, wanted)


def _resampled(audio: _Audio, spec: AudioSpec) -> _Floats:
    if audio.rate == spec.sample_rate or not np.isfinite(audio.mono).all():
        return audio.mono
    resampled: _Floats = soxr.resample(audio.mono, audio.rate, spec.sample_rate, quality="HQ")
    length = math.ceil(len(audio.mono) * spec.sample_rate / audio.rate)  # soxr may round down
    return np.pad(resampled[:length], (0, max(0, length - len(resampled))))


def _wav(content: bytes, wanted: _Wanted) -> _Audio:
    file = wav.parse(content)
    if file.tag not in (wav.PCM, wav.FLOAT, wav.A_LAW, wav.MU_LAW):
        return _libsndfile(wav.bare(content, file), wanted)
    width = file.width()
    if width is None:
        raise MediumError(
            Flaw.CORRUPT,
            f"WAV: {file.channels} channels of {file.bits} bits in blocks of {file.block} bytes",
        )
    frames = wanted.frames(file.rate, file.channels, file.size // file.block)
    stored = content[file.start : file.start + frames * file.block]
    numbers = wav.numbers(stored, file.tag, width, file.order)
    return _Audio(file.rate, wav.mono(numbers.reshape(-1, file.channels)))


def _without_tag(content: bytes) -> bytes:
    """Drops an ID3 tag, after which libsndfile would also accept formats that are not allowed."""
    if not content.startswith(b"ID3") or len(content) < 10:
        return content
    size = 0
    for byte in content[6:10]:
        size = size << 7 | byte & 0x7F
    return content[10 + size + (10 if content[5] & 0x10 else 0) :].lstrip(b"\0")


def _ogg(content: bytes, wanted: _Wanted) -> _Audio:
    """Decodes and joins consecutive streams, until there are enough frames.

    All streams together have the wall-clock time of one medium; no stream is begun after it.
    """
    parts: list[_Audio] = []
    end = time.monotonic() + process.CLOCK_FACTOR * wanted.limits.decode_seconds
    for link in containers.links(content):
        if time.monotonic() > end:
            raise MediumError(Flaw.TIMEOUT, "Ogg: its streams were not decoded in time")
        parts.append(_libsndfile(link, wanted))
        if parts[-1].rate != parts[0].rate:
            raise MediumError(Flaw.UNSUPPORTED, "Ogg: streams of several rates")
        if sum(len(part.mono) for part in parts) >= wanted.most(parts[0].rate):
            break
    return _Audio(parts[0].rate, np.concatenate([part.mono for part in parts]))


def _libsndfile(content: bytes, wanted: _Wanted) -> _Audio:
    """Decodes audio with libsndfile, which runs in a child process only."""
    decoded = process.decode_sound(content, wanted.frames, wanted.limits.decode_seconds)
    if not len(decoded.mono):
        raise MediumError(Flaw.EMPTY, "no samples")
    if decoded.missing and decoded.kind != "MP3":  # an MP3's number of frames is an estimate
        raise MediumError(Flaw.TRUNCATED, f"{decoded.kind}: fewer samples than declared")
    return _Audio(decoded.rate, decoded.mono)
