"""Calls of a text encoder in few fixed shapes, so that a text's vector depends on the text alone.

The last bits of a product of matrices depend on the shapes of the matrices. Texts are therefore
sorted into classes of lengths, and each call takes as many texts of one class as fill `POSITIONS`
positions; a call with fewer texts is filled up. The calls of a graph wait for each other: if they
ran at the same time, they would share threads, and TensorFlow would divide their products in
another way each time.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from triad_ml.transforms.encoders.texts.transformer import PADDING

POSITIONS = 192
"""Number of positions in a call: that of texts times that of their pieces."""

LENGTHS = (16, 32, 64, POSITIONS)
"""Numbers of pieces to which texts are padded; each divides `POSITIONS`."""

Encode: TypeAlias = Callable[[tf.Tensor], tf.Tensor]
"""Encoder: ids of pieces, int32 `[texts, length]`, to float32 `[texts, length, width]`."""

Pool: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Pooling: vectors of pieces, and ids of pieces, to a vector for each text."""


def lengths(pieces: int) -> tuple[int, ...]:
    """Returns the numbers of pieces to which texts of at most `pieces` pieces are padded."""
    needed = next(length for length in LENGTHS if length >= pieces)
    return tuple(length for length in LENGTHS if length <= needed)


def states(encode: Encode, ids: tf.Tensor, width: int) -> tf.Tensor:
    """Encodes the pieces of texts.

    Args:
        encode: Encoder; its vectors behind the end of a text have no meaning.
        ids: Ids of pieces, int32 or int64 `[batch, pieces]`, with `PADDING` behind the end of a
            text. The number of pieces is static and at most `POSITIONS`.
        width: Size of a vector.

    Returns:
        Vector of each piece, float32 `[batch, pieces, width]`; zeros behind the end of a text.
    """
    pieces = ids.shape[1]
    longest = lengths(pieces)[-1]

    def known(group: tf.Tensor) -> tf.Tensor:
        vectors = tf.where(tf.not_equal(group, PADDING)[:, :, None], encode(group), 0.0)
        return tf.pad(vectors, [[0, 0], [0, longest - group.shape[1]], [0, 0]])

    return _encoded(known, ids, (longest, width))[:, :pieces]


def vectors(encode: Encode, pool: Pool, ids: tf.Tensor, width: int) -> tf.Tensor:
    """Encodes texts as one vector each.

    Args:
        encode: See `states`.
        pool: Pooling.
        ids: See `states`.
        width: Size of a vector.

    Returns:
        Vector of each text, float32 `[batch, width]`; zeros for a text without pieces.
    """
    return _encoded(lambda group: pool(encode(group), group), ids, (width,))


def _encoded(call: Encode, ids: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Calls an encoder with the texts of each class; texts without pieces get zeros.

    Args:
        call: Function from ids of a fixed shape to float32 `[texts, *shape]`.
        ids: See `states`.
        shape: Shape of a text's vector or vectors.
    """
    classes = lengths(ids.shape[1])
    ids = tf.cast(ids, tf.int32)
    count = tf.shape(ids)[0]
    sizes = tf.reduce_sum(tf.cast(tf.not_equal(ids, PADDING), tf.int32), axis=1)
    # Behind the texts is an empty one, for places in calls that have no text.
    filled = tf.pad(ids, [[0, 1], [0, classes[-1] - ids.shape[1]]], constant_values=PADDING)
    result = tf.zeros([count, *shape], tf.float32)
    shorter = 0
    for length in classes:
        places = tf.where((sizes > shorter) & (sizes <= length))[:, 0]
        with tf.control_dependencies([result]):
            result = _of_class(call, filled[:, :length], tf.cast(places, tf.int32), result)
        shorter = length
    return result


def _of_class(call: Encode, ids: tf.Tensor, places: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Encodes the texts of one class, and writes their vectors to `result`.

    Args:
        call: See `_encoded`.
        ids: Ids of all texts, padded to the length of the class, and of an empty text at the end.
        places: Indices of the texts of the class, int32 `[texts]`.
        result: Vectors of all texts.
    """
    rows = POSITIONS // ids.shape[1]
    empty = tf.shape(ids)[0] - 1
    missing = -tf.size(places) % rows
    whole = tf.concat([places, tf.fill([missing], empty)], axis=0)
    groups = tf.reshape(tf.gather(ids, whole), [-1, rows, ids.shape[1]])
    shape = result.shape[1:]
    encoded = tf.map_fn(
        call,
        groups,
        fn_output_signature=tf.TensorSpec([rows, *shape], tf.float32),
        parallel_iterations=1,
    )
    own = tf.reshape(encoded, [-1, *shape])[: tf.size(places)]
    return tf.tensor_scatter_nd_update(result, places[:, None], own)
