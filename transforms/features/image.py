"""TensorFlow graph of image features: decoded, resized and padded to a square."""

import numpy as np
import tensorflow as tf

from triad_ml.transforms.spec.modalities import ImageSpec


def image_graph(content: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Decodes and resizes canonical images.

    An image is shrunk by averaging areas, which takes a tenth of the time of an antialiased resize.

    Args:
        content: JPEG or PNG, string `[batch]`; empty if missing.
        spec: Size and fit.

    Returns:
        Bytes of uint8 `[size, size, 3]`, row by row, string `[batch]`; zeros if missing.
    """
    size = spec.size
    num_bytes = size * size * 3

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(encoded, channels=3)  # this op reads PNG as well
        height, width = tf.unstack(tf.shape(image)[:2])
        target = _fitted(height, width, size) if spec.fit == "pad" else (size, size)
        shrinks = tf.maximum(height, width) > size
        resized = tf.cond(
            shrinks,
            lambda: tf.image.resize(image, target, method="area"),
            lambda: tf.image.resize(image, target, method="bilinear"),
        )
        pixels = tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
        framed = tf.reshape(_framed(pixels, size), [size, size, 3])
        return tf.strings.substr(tf.io.serialize_tensor(framed), -num_bytes, num_bytes)

    missing = tf.constant(bytes(num_bytes))
    return tf.map_fn(
        lambda encoded: tf.cond(tf.equal(encoded, b""), lambda: missing, lambda: decode(encoded)),
        content,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )


def packed(pictures: tf.Tensor) -> tf.Tensor:
    """Converts images, uint8 `[batch, size, size, 3]`, to bytes, row by row, string `[batch]`."""
    num_bytes = int(np.prod(pictures.shape[1:]))
    return tf.map_fn(
        lambda one: tf.strings.substr(tf.io.serialize_tensor(one), -num_bytes, num_bytes),
        pictures,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )


def _fitted(height: tf.Tensor, width: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the largest height and width of the same aspect ratio that fit into a square."""
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    scaled = tf.round(sides * tf.cast(size, tf.float64) / tf.reduce_max(sides))
    return tf.cast(tf.clip_by_value(scaled, 1, size), tf.int32)


def _framed(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Centres an image on a white square."""
    spare = size - tf.shape(pixels)[:2]
    before = spare // 2
    margins = tf.concat([tf.stack([before, spare - before], axis=1), [[0, 0]]], axis=0)
    return tf.pad(pixels, margins, constant_values=255)
