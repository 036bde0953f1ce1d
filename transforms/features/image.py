"""TensorFlow graph of image features: decoded, resized and padded to a square."""

import tensorflow as tf

from triad_ml.transforms.spec.modalities import ImageSpec


def image_graph(content: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Decodes and resizes canonical pictures.

    Areas are averaged where a picture shrinks, which costs a tenth of an antialiased resize.

    Args:
        content: JPEG or PNG, string `[batch]`; empty where missing.
        spec: Size and fit.

    Returns:
        The bytes of uint8 `[size, size, 3]`, row by row, string `[batch]`; zeros where missing.
    """
    size = spec.size
    num_bytes = size * size * 3

    def decode(one: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_jpeg(one, channels=3)  # this op reads PNG as well
        height, width = tf.unstack(tf.shape(picture)[:2])
        target = _fitted(height, width, size) if spec.fit == "pad" else (size, size)
        shrinks = tf.maximum(height, width) > size
        resized = tf.cond(
            shrinks,
            lambda: tf.image.resize(picture, target, method="area"),
            lambda: tf.image.resize(picture, target, method="bilinear"),
        )
        pixels = tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
        framed = tf.reshape(_framed(pixels, size), [size, size, 3])
        return tf.strings.substr(tf.io.serialize_tensor(framed), -num_bytes, num_bytes)

    missing = tf.constant(bytes(num_bytes))
    return tf.map_fn(
        lambda one: tf.cond(tf.equal(one, b""), lambda: missing, lambda: decode(one)),
        content,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )


def _fitted(height: tf.Tensor, width: tf.Tensor, size: int) -> tf.Tensor:
    """Height and width of the largest picture of the same shape that fits into a square."""
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    scaled = tf.round(sides * tf.cast(size, tf.float64) / tf.reduce_max(sides))
    return tf.cast(tf.clip_by_value(scaled, 1, size), tf.int32)


def _framed(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Centres a picture on a white square."""
    spare = size - tf.shape(pixels)[:2]
    before = spare // 2
    margins = tf.concat([tf.stack([before, spare - before], axis=1), [[0, 0]]], axis=0)
    return tf.pad(pixels, margins, constant_values=255)
