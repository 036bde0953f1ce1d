"""Pieces of texts with their offsets, and the special pieces around them."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.errors import OptionsError

VECTOR, PIECES, FIRST = "text_vector", "text_pieces", "text_first_piece"
"""Names of features: the vector of a frozen encoder, or the pieces and the place of each word's
first one."""


class Pieces(NamedTuple):
    """Pieces of texts, with their offsets in characters.

    Attributes:
        ids: Number of each piece in the vocabulary, int64, ragged `[batch, pieces]`.
        starts: Index of each piece's first character, int64, ragged `[batch, pieces]`.
        ends: Index after each piece's last character, int64, ragged `[batch, pieces]`.
    """

    ids: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


class DensePieces(NamedTuple):
    """Pieces of texts between the special pieces, in a fixed number of positions.

    Attributes:
        ids: Number of each piece in the vocabulary, int64 `[batch, length]`; then padding.
        starts: Index of each piece's first character, int64 `[batch, length]`.
        ends: Index after each piece's last character, int64 `[batch, length]`; like the start, 0
            for special pieces and padding.
        counts: Number of pieces in front of the padding, int64 `[batch]`.
    """

    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    counts: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Frame:
    """Special pieces around each text, and its largest length.

    Attributes:
        first: Ids in front of a text's pieces.
        last: Ids behind a text's pieces.
        padding: Id of padding.
        length: Number of pieces that are kept, with the special ones; None if all are.
    """

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    padding: int = 0
    length: int | None = None

    def cut(self, length: int) -> "Frame":
        """Returns the frame with another length.

        Raises:
            OptionsError: If no place for a piece is left.
        """
        special = len(self.first) + len(self.last)
        if length <= special:
            raise OptionsError(
                f"length {length}: the encoder puts {special} special pieces around each text; "
                f"set at least {special + 1}"
            )
        return dataclasses.replace(self, length=length)


def dense(pieces: Pieces, frame: Frame) -> DensePieces:
    """Puts the special pieces around each text, cuts its end, and pads it.

    Args:
        pieces: Pieces without the special ones.
        frame: Special pieces and length; without a length, the longest text decides.
    """
    before, around = len(frame.first), len(frame.first) + len(frame.last)
    room = None if frame.length is None else frame.length - around
    lengths = pieces.ids.row_lengths()
    kept = lengths if room is None else tf.minimum(lengths, room)

    def placed(part: tf.RaggedTensor, padding: int) -> tf.Tensor:
        inner = part.to_tensor(padding, shape=[None, room])
        sides = [[0, 0], [before, len(frame.last)]]
        return tf.pad(inner, sides, constant_values=tf.constant(padding, tf.int64))

    ids = placed(pieces.ids, frame.padding)
    position = tf.range(tf.shape(ids, tf.int64)[1])[tf.newaxis]
    for index, special in enumerate(frame.first):
        ids = tf.where(position == index, tf.constant(special, tf.int64), ids)
    for index, special in enumerate(frame.last):
        here = position == (kept + before + index)[:, tf.newaxis]
        ids = tf.where(here, tf.constant(special, tf.int64), ids)
    return DensePieces(ids, placed(pieces.starts, 0), placed(pieces.ends, 0), kept + around)


def framed(pieces: Pieces, frame: Frame) -> Pieces:
    """Puts the special pieces around each text and cuts its end; see `dense`."""
    values = dense(pieces, frame)
    ids, starts, ends = (
        tf.RaggedTensor.from_tensor(part, lengths=values.counts)
        for part in (values.ids, values.starts, values.ends)
    )
    return Pieces(ids, starts, ends)
