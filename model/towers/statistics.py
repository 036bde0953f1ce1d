"""Statistics of frames over time, z-scored."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from triad_ml.model.towers.layers import Shape, Tensor, moments_of_present

LOW, HIGH = 0.1, 0.9
"""Quantiles of each bin."""

PARTS = 5
"""Numbers for each bin."""


@keras.saving.register_keras_serializable(package="triad")
class Statistics(keras.layers.Layer):
    """Statistics of frames, z-scored by the moving moments of the rows that are present.

    Takes frames, float32 `[batch, frames, bins]`, and the mask of the rows that are present, bool
    `[batch]`; returns float32 `[batch, PARTS * bins]`, see `pooled`. In training the moments are
    those of the batch. Missing rows do not change them, and are zeros.

    Args:
        momentum: Momentum of the moving moments.
    """

    def __init__(self, momentum: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum

    def build(self, frames_shape: Shape, present_shape: Shape) -> None:
        fixed: dict[str, Any] = {"shape": (PARTS * (frames_shape[-1] or 0),), "trainable": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **fixed)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **fixed)

    def call(self, frames: Tensor, present: Tensor, training: bool = False) -> Tensor:
        values = pooled(frames)
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = moments_of_present(values, present, mean, variance, self.momentum)
        scaled = (values - mean) * ops.rsqrt(variance + keras.config.epsilon())
        return ops.where(present[:, None], scaled, 0.0)

    def compute_output_shape(self, frames_shape: Shape, present_shape: Shape) -> Shape:
        return (frames_shape[0], PARTS * (frames_shape[-1] or 0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum}


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
