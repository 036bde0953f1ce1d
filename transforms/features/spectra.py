"""TensorFlow graphs of audio features that equal those of `librosa.feature`, with its filter banks.

librosa is imported while a graph is built, in preprocessing only: its filter banks are constants of
the graph. The spectrum is computed in double precision, because single precision loses the quiet
bands beside loud ones.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import scipy.fft
import tensorflow as tf

from triad_ml.transforms.media.sound_library import import_librosa
from triad_ml.transforms.spec.modalities import CHROMA, AudioSpec

LOWEST_POWER = 1e-10
"""Smallest power of which a logarithm is taken, as in `librosa.power_to_db`."""
LOWEST_HZ = 20.0
"""Lower edge of the first mel band, in Hz."""
RANGE_DB = 80.0
"""Largest distance of a power from the record's loudest one, in dB, as in `librosa.power_to_db`."""
CHROMA_SECONDS = 0.1
"""Least duration of a chroma window, which has to tell semitones from each other."""

_Bank = npt.NDArray[np.float32]


def mel_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Computes what `librosa.feature.melspectrogram` computes of each row, time before bands.

    Hann windows of 25 ms every 10 ms in an FFT of the next power of two, `center=False`, `power=2`;
    bands from 20 Hz to half the sample rate, `norm="slaney"`.

    Args:
        signal: Samples, float32 `[batch, samples]`.
        spec: Sample rate, number of bands and scale.

    Returns:
        Power, float32 `[batch, frames, mel_bins]`.
    """
    size = fft_length(spec)
    power = _power(signal, spec.frame_length, spec)
    bank = import_librosa().filters.mel(
        sr=spec.sample_rate,
        n_fft=size,
        n_mels=spec.mel_bins,
        fmin=LOWEST_HZ,
        fmax=spec.sample_rate / 2,
        htk=spec.mel_scale == "htk",
    )
    return tf.matmul(power, _constant(bank))


def mfcc_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Computes what `librosa.feature.mfcc` computes of each row, time before coefficients.

    Decibels of `mel_graph`, at most 80 below the row's highest; orthonormal DCT of type 2, without
    lifter. Returns float32 `[batch, frames, width]`.
    """
    decibels = _log(mel_graph(signal, spec)) * tf.constant(10.0 / math.log(10.0), tf.float32)
    highest = tf.reduce_max(decibels, axis=[1, 2], keepdims=True)
    bases = scipy.fft.dct(np.eye(spec.mel_bins), type=2, norm="ortho", axis=1)[:, : spec.width]
    return tf.matmul(tf.maximum(decibels, highest - RANGE_DB), tf.constant(bases, tf.float32))


def chroma_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Computes what `librosa.feature.chroma_stft` computes of each row, time before pitch classes.

    Hann windows of a power of two of at least 0.1 s, each around the middle of a frame of 25 ms;
    `power=2`, `tuning=0`, each frame divided by its largest value.

    Returns:
        float32 `[batch, frames, 12]` in [0, 1]; 0 in silence.
    """
    size = chroma_length(spec)
    power = _power(tf.pad(signal, [[0, 0], chroma_padding(spec)]), size, spec)
    bank = import_librosa().filters.chroma(
        sr=spec.sample_rate, n_fft=size, n_chroma=CHROMA, tuning=0.0
    )
    classes = tf.matmul(power, _constant(bank))
    largest = tf.reduce_max(classes, axis=2, keepdims=True)
    return classes / tf.where(largest < np.finfo(np.float32).tiny, 1.0, largest)


def log_mel_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Computes the natural logarithm of `mel_graph`, of at least 1e-10."""
    return _log(mel_graph(signal, spec))


GRAPHS: Mapping[str, Callable[[tf.Tensor, AudioSpec], tf.Tensor]] = {
    "log_mel": log_mel_graph,
    "mfcc": mfcc_graph,
    "chroma": chroma_graph,
}
"""Graphs from samples to frames, by the spec's `modalities.audio.features`."""


def fft_length(spec: AudioSpec) -> int:
    """Returns the number of samples of the FFT of a frame of 25 ms."""
    return _power_of_two(spec.frame_length)


def chroma_length(spec: AudioSpec) -> int:
    """Returns the number of samples of a chroma window."""
    return _power_of_two(round(spec.sample_rate * CHROMA_SECONDS))


def chroma_padding(spec: AudioSpec) -> tuple[int, int]:
    """Returns the numbers of zeros before and behind the samples, for windows of chroma."""
    wider = chroma_length(spec) - spec.frame_length
    return wider // 2, wider - wider // 2


def _power(signal: tf.Tensor, length: int, spec: AudioSpec) -> tf.Tensor:
    """Computes power spectra, float32 `[batch, frames, bins]`, with Hann windows of `length`."""
    # The window of tf.signal differs from librosa's for odd lengths.
    window = import_librosa().filters.get_window("hann", length)
    spectrum = tf.signal.stft(
        tf.cast(signal, tf.float64),
        length,
        spec.frame_step,
        window_fn=lambda _, dtype: tf.constant(window, dtype),
    )
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    return tf.cast(power, tf.float32)


def _log(power: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(power, LOWEST_POWER))


def _constant(bank: _Bank) -> tf.Tensor:
    return tf.constant(np.ascontiguousarray(bank.T, np.float32))


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
