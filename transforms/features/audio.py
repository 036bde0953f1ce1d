"""TensorFlow graph of audio features: z-scored frames of log-mel, cepstrum or chroma."""

import numpy as np
import tensorflow as tf

from triad_ml.transforms.features import spectra
from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.media import audio
from triad_ml.transforms.spec.modalities import AudioSpec

MOMENTS = "audio"
"""Name of the moments of a frame's features."""


def audio_graph(content: tf.Tensor, spec: AudioSpec, analyzers: Analyzers) -> tf.Tensor:
    """Computes frames of canonical audio, z-scored per feature over the frames with samples.

    Args:
        content: Canonical WAV, string `[batch]`; empty if missing.
        spec: Sample rate, duration and features.
        analyzers: Analyzers for the moments.

    Returns:
        float32 `[batch, frames, width]`; frames without samples are 0, which is the mean.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs, and a header is not the canonical one.
    """
    signal, num_samples = samples(content, spec)
    frames = frames_graph(signal, spec)
    whole = (num_samples - spec.frame_length) // spec.frame_step + 1
    num_frames = tf.where(num_samples > 0, tf.maximum(whole, 1), 0)
    sounding = tf.sequence_mask(num_frames, spec.frames)
    mean, deviation = analyzers.moments(tf.boolean_mask(frames, sounding), MOMENTS)
    # In double precision: the last bit of a float's reciprocal differs between constant folding and
    # vectorized code, and features must not differ.
    inverse = tf.cast(1.0 / tf.cast(tf.maximum(deviation, 0.1), tf.float64), tf.float32)
    return tf.where(sounding[:, :, tf.newaxis], (frames - mean) * inverse, 0.0)


def frames_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Computes the frames of float32 `[batch, samples]`, float32 `[batch, frames, width]`."""
    if not spec.needs_librosa:
        return log_mel_graph(signal, spec)
    return spectra.GRAPHS[spec.features or "log_mel"](signal, spec)


def log_mel_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Computes log-mel magnitudes of float32 `[batch, samples]`.

    Hann windows of 25 ms every 10 ms; triangular bands from 20 Hz to half the rate on HTK's mel
    scale (tf.signal); natural logarithm, of values of at least 1e-5.

    Returns:
        float32 `[batch, frames, mel_bins]`.
    """
    spectra = tf.abs(tf.signal.stft(signal, spec.frame_length, spec.frame_step))
    bands = tf.signal.linear_to_mel_weight_matrix(
        spec.mel_bins, spectra.shape[-1], spec.sample_rate, 20.0, spec.sample_rate / 2
    )
    return tf.math.log(tf.maximum(tf.matmul(spectra, bands), 1e-5))


def samples(content: tf.Tensor, spec: AudioSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes canonical audio.

    The header is compared, not parsed, so that audio in another form is never taken for samples.

    Args:
        content: Canonical WAV, string `[batch]`; empty if missing.
        spec: Sample rate and duration.

    Returns:
        Zero-padded samples, float32 `[batch, samples]` in [-1, 1), and their numbers, int32
        `[batch]`; 0 if missing.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs, and a header is not the canonical one.
    """
    size = tf.strings.length(content)
    header = np.frombuffer(audio.header(spec.sample_rate, 0), np.uint8).astype(np.int32)
    sizes = np.isin(np.arange(audio.HEADER_BYTES), [4, 5, 6, 7, 40, 41, 42, 43])
    head = tf.cast(tf.io.decode_raw(content, tf.uint8, fixed_length=audio.HEADER_BYTES), tf.int32)
    same = tf.reduce_all(tf.equal(head, header) | sizes, axis=1)
    whole, declared = (
        tf.tensordot(head[:, start : start + 4], [1, 2**8, 2**16, 2**24], 1) for start in (4, 40)
    )
    rest = size - audio.HEADER_BYTES
    fits = same & tf.equal(whole, size - 8) & tf.equal(declared, rest)
    fits = fits & (rest > 0) & tf.equal(rest % 2, 0)
    checked = tf.debugging.Assert(
        tf.reduce_all(fits | tf.equal(size, 0)), ["audio: not a canonical WAV"], summarize=1
    )
    with tf.control_dependencies([checked] if checked is not None else []):
        content = tf.identity(content)
    words = tf.io.decode_raw(content, tf.int16, fixed_length=audio.HEADER_BYTES + 2 * spec.samples)
    signal = tf.cast(words[:, audio.HEADER_BYTES // 2 :], tf.float32) / 32768.0
    signal = tf.ensure_shape(signal, [None, spec.samples])
    return signal, tf.clip_by_value((size - audio.HEADER_BYTES) // 2, 0, spec.samples)
