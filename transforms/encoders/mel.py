"""Log-mel spectrograms of pretrained audio encoders, in TensorFlow's own ops."""

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf

RATE = 16_000
"""Sample rate in Hz of the audio on which the encoders were trained."""

_LINEAR_STEP, _BREAK, _LOG_STEP = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0
"""Slaney's scale: Hz of a mel below `_BREAK` Hz, and the logarithm of the ratio of mels above."""


def slaney_filters(rate: int, fft_length: int, bins: int) -> npt.NDArray[np.float32]:
    """Computes triangular filters from 0 Hz to half the rate, each of the same area.

    Args:
        rate: Sample rate in Hz.
        fft_length: Number of samples in a window.
        bins: Number of mel bins.

    Returns:
        float32 `[fft_length // 2 + 1, bins]`, as `librosa.filters.mel` has them by default.
    """
    frequencies = np.linspace(0.0, rate / 2, fft_length // 2 + 1)
    edges = _hertz(np.linspace(0.0, _mel(rate / 2), bins + 2))
    rising = (frequencies[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies[:, None]) / np.diff(edges)[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2])), np.float32)


def power_mel(signal: tf.Tensor, rate: int, fft_length: int, hop: int, bins: int) -> tf.Tensor:
    """Computes the power of mel bins over Hann windows, whose centres are `hop` samples apart.

    Both ends are mirrored by half a window, so that the first window's centre is the first sample.

    Args:
        signal: Samples, float32 `[batch, samples]`, more than half a window.
        rate: Sample rate in Hz.
        fft_length: Number of samples in a window, even.
        hop: Number of samples between the centres of two windows.
        bins: Number of mel bins.

    Returns:
        float32 `[batch, 1 + samples // hop, bins]`.
    """
    half = fft_length // 2
    mirrored = tf.pad(signal, [[0, 0], [half, half]], "REFLECT")
    frames = tf.signal.frame(mirrored, fft_length, hop)
    spectra = tf.signal.rfft(frames * tf.signal.hann_window(fft_length, periodic=True))
    power = tf.math.real(spectra) ** 2 + tf.math.imag(spectra) ** 2
    return tf.matmul(power, tf.constant(slaney_filters(rate, fft_length, bins)))


def log10(values: tf.Tensor) -> tf.Tensor:
    """Computes the decimal logarithm."""
    return tf.math.log(values) * (1.0 / math.log(10.0))


def sounding(num_samples: tf.Tensor, frames: int, fft_length: int, hop: int) -> tf.Tensor:
    """Marks the frames whose window holds a sample of the audio, not padding alone.

    Args:
        num_samples: Number of samples of each row, int32 `[batch]`; 0 if missing.
        frames: Number of frames.
        fft_length: Number of samples in a window.
        hop: Number of samples between the centres of two windows.

    Returns:
        bool `[batch, frames]`.
    """
    heard = (num_samples + fft_length // 2 + hop - 1) // hop
    return tf.sequence_mask(tf.where(num_samples > 0, heard, 0), frames)


def _mel(hertz: float) -> float:
    if hertz < _BREAK:
        return hertz / _LINEAR_STEP
    return _BREAK / _LINEAR_STEP + math.log(hertz / _BREAK) / _LOG_STEP


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    first = _BREAK / _LINEAR_STEP
    above = _BREAK * np.exp(_LOG_STEP * (np.maximum(mels, first) - first))
    return np.where(mels < first, _LINEAR_STEP * mels, above)
