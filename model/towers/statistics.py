"""Statistics of frames over time."""

from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

Tensor: TypeAlias = keras.KerasTensor

LOW, HIGH = 0.1, 0.9
"""Quantiles of each bin."""

PARTS = 5
"""Numbers for each bin."""


@keras.saving.register_keras_serializable(package="triad")
class Statistics(keras.layers.Layer):
    """Statistics of frames, float32 `[batch, frames, bins]`; see `pooled`."""

    def call(self, frames: Tensor) -> Tensor:
        return pooled(frames)

    def compute_output_shape(self, frames_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (frames_shape[0], PARTS * (frames_shape[-1] or 0))


def pooled(frames: tf.Tensor) -> tf.Tensor:
    """Pools frames, such as those of a log-mel spectrogram, over time.

    Args:
        frames: float32 `[batch, frames, bins]`; a frame of zeros holds no audio.

    Returns:
        float32 `[batch, PARTS * bins]`: mean, standard deviation, the quantiles `LOW` and `HIGH`,
        and the mean absolute difference of neighbouring frames; zeros where there is no frame.
    """
    known = tf.reduce_any(tf.not_equal(frames, 0.0), axis=2)
    mask = tf.cast(known, tf.float32)[:, :, tf.newaxis]
    count = tf.reduce_sum(mask, axis=1)
    mean = tf.math.divide_no_nan(tf.reduce_sum(frames * mask, axis=1), count)
    centred = (frames - mean[:, tf.newaxis]) * mask
    deviation = tf.sqrt(tf.math.divide_no_nan(tf.reduce_sum(centred**2, axis=1), count))
    ordered = tf.sort(tf.where(known[:, :, tf.newaxis], frames, np.inf), axis=1)
    last = tf.maximum(tf.cast(count[:, 0], tf.int32) - 1, 0)
    quantiles = [
        tf.gather(
            ordered,
            tf.cast(tf.round(share * tf.cast(last, tf.float32)), tf.int32),
            axis=1,
            batch_dims=1,
        )
        for share in (LOW, HIGH)
    ]
    quantiles = [tf.where(count > 0, one, 0.0) for one in quantiles]
    both = mask[:, 1:] * mask[:, :-1]
    steps = tf.abs(frames[:, 1:] - frames[:, :-1]) * both
    change = tf.math.divide_no_nan(tf.reduce_sum(steps, axis=1), tf.reduce_sum(both, axis=1))
    return tf.concat([mean, deviation, *quantiles, change], axis=1)
