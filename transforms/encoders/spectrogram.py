"""Spectrograms as images with three channels, for pretrained image encoders."""

import tensorflow as tf

from triad_ml.transforms.encoders import mel
from triad_ml.transforms.spec.modalities import AudioSpec

_RANGE = 8.0
"""Decades of power below the loudest value that the levels of grey cover."""

_SILENCE = 1e-10
"""Power that stands for silence."""


def pictures(signal: tf.Tensor, num_samples: tf.Tensor, spec: AudioSpec, size: int) -> tf.Tensor:
    """Draws log-mel spectrograms: time to the right, frequency upwards, loud values white.

    Args:
        signal: Samples, zero-padded, float32 `[batch, samples]`.
        num_samples: Number of samples that are no padding, int32 `[batch]`; 0 if missing.
        spec: Sample rate and number of mel bins.
        size: Height and width of the images.

    Returns:
        uint8 `[batch, size, size, 3]`; padding is black.
    """
    length, hop = 2 * round(spec.sample_rate * 0.0125), spec.frame_step
    power = mel.power_mel(signal, spec.sample_rate, length, hop, spec.mel_bins)
    logarithms = mel.log10(tf.maximum(power, _SILENCE))
    largest = tf.reduce_max(logarithms, axis=[1, 2], keepdims=True)
    levels = tf.maximum((logarithms - largest) / _RANGE + 1.0, 0.0)
    frames = 1 + signal.shape[1] // hop
    heard = mel.sounding(num_samples, frames, length, hop)
    levels = tf.where(heard[:, :, tf.newaxis], levels, 0.0)
    upright = tf.reverse(tf.transpose(levels, [0, 2, 1]), [1])[..., tf.newaxis]
    resized = tf.image.resize(upright, [size, size], method="bilinear")
    grey = tf.cast(tf.round(255.0 * tf.clip_by_value(resized, 0.0, 1.0)), tf.uint8)
    return tf.ensure_shape(tf.tile(grey, [1, 1, 1, 3]), [None, size, size, 3])
