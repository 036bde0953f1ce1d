"""Fingerprint of a sound: a small spectrogram of the band of a telephone, and the duration."""

import functools
import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy import fft

from triad_ml.transforms.duplicates import thumbnails
from triad_ml.transforms.duplicates.base import Bytes, Floats
from triad_ml.transforms.duplicates.thumbnails import SIDE, ThumbnailFingerprint
from triad_ml.transforms.media import audio
from triad_ml.transforms.spec.modalities import Modalities

LOWEST_HZ = 150.0
HIGHEST_HZ = 3_400.0
"""Highest frequency of the spectrogram: a copy with the sample rate of a telephone has it too."""

DEPTH = 50.0
"""Level below the loudest cell that counts as silence, in dB."""

FLAT = 2.0
"""Standard deviation of the levels in dB below which a sound has too little content."""

STRETCH = 0.08
"""Largest difference of the durations of near-duplicates, as a share of the longer one."""

_FRAME_SECONDS = 0.064
_AT_ONCE = 2**18  # samples of frames that are transformed at once
_STEP = 255 / DEPTH  # of a cell, per dB
_APART = 2.0  # distance of sounds with other durations; no near-duplicates

_Floats32 = npt.NDArray[np.float32]


class SoundFingerprint(ThumbnailFingerprint):
    """Spectrogram of SIDE bands by SIDE parts of the duration, and the number of samples.

    The bands are evenly spaced on a logarithmic scale, as Haitsma and Kalker (2002) have them.
    Levels are in dB below that of the loudest cell, so the volume does not count. The distance of
    two sounds is the mean squared difference of the spectrograms, aligned in time, over their mean
    variance. A sound with the same level everywhere has no fingerprint.
    """

    size: ClassVar[int] = SIDE * SIDE + 4
    limit: ClassVar[float] = 0.05

    def of(self, content: bytes, sections: Modalities) -> bytes | None:
        assert sections.audio is not None
        samples = audio.samples(content)
        frame = _frame(sections.audio.sample_rate)
        if samples.size < frame + SIDE:
            return None
        cells = _levels(samples, sections.audio.sample_rate)
        if cells.std() < FLAT * _STEP:
            return None
        return cells.tobytes() + np.array(samples.size, "<u4").tobytes()

    def pixels(self, fingerprints: Bytes) -> Bytes:
        return fingerprints[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)

    def distance(self, first: Bytes, second: Bytes) -> Floats:
        a, b = thumbnails.aligned(self.pixels(first), self.pixels(second), axes=(2,))
        squares = (a - b).var(axis=(1, 2))
        energy = (a.var(axis=(1, 2)) + b.var(axis=(1, 2))) / 2
        distances = (squares / np.maximum(energy, FLAT**2)).astype(np.float64)
        durations = np.stack([_samples(first), _samples(second)])
        apart = durations.min(axis=0) < (1 - STRETCH) * durations.max(axis=0)
        return np.where(apart, _APART, distances)


def _levels(samples: npt.NDArray[np.int16], sample_rate: int) -> Bytes:
    """Returns the levels of cells, uint8 `[bands, parts]` of SIDE each; 255 is the loudest one."""
    frame = _frame(sample_rate)
    for_part = max(1, round(2 * samples.size / frame / SIDE))
    starts = np.linspace(0, samples.size - frame, for_part * SIDE).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)
    step = max(1, _AT_ONCE // (for_part * frame)) * for_part
    parts = [_bands(frames[starts[i : i + step]], sample_rate) for i in range(0, starts.size, step)]
    bands = np.concatenate(parts).reshape(SIDE, for_part, SIDE).mean(axis=1)
    decibels = 10 * np.log10(np.maximum(bands, 1.0))
    below = np.clip(decibels - decibels.max() + DEPTH, 0, DEPTH)
    return np.ascontiguousarray(np.rint(below * _STEP).astype(np.uint8).T)


def _bands(frames: npt.NDArray[np.int16], sample_rate: int) -> _Floats32:
    """Returns the energy of frames `[n, samples]` in each band, `[n, SIDE]`."""
    window, filters = _window(frames.shape[1]), _filters(frames.shape[1], sample_rate)
    spectrum = fft.rfft(frames * window)[:, : len(filters)]
    power: _Floats32 = spectrum.real**2 + spectrum.imag**2
    return power @ filters


def _frame(sample_rate: int) -> int:
    """Returns the number of samples of a frame: the power of two next to 64 ms."""
    return 1 << round(math.log2(sample_rate * _FRAME_SECONDS))


@functools.lru_cache(maxsize=4)
def _window(frame: int) -> _Floats32:
    return np.hanning(frame).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _filters(frame: int, sample_rate: int) -> _Floats32:
    """Returns triangular filters up to the highest band, `[frequencies, SIDE]`."""
    highest = min(HIGHEST_HZ, 0.45 * sample_rate)
    places = np.arange(SIDE + 2) - 0.5
    centres = LOWEST_HZ * (highest / LOWEST_HZ) ** (places / SIDE)
    frequencies = np.arange(frame // 2 + 1) * sample_rate / frame
    used = frequencies[: int(np.searchsorted(frequencies, centres[-1])) + 1]
    rising = (used[:, None] - centres[:-2]) / np.diff(centres)[:-1]
    falling = (centres[2:] - used[:, None]) / np.diff(centres)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _samples(fingerprints: Bytes) -> Floats:
    numbers = np.ascontiguousarray(fingerprints[:, SIDE * SIDE :]).view("<u4")
    return numbers[:, 0].astype(np.float64)
