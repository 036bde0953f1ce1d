"""Tables from a character to the characters that a normalization makes of it, with their kinds.

A table has two stages: the block of 128 code points, and the code point in its block. Blocks that
hold the same are stored once. An entry of the table has the distances between code points, so most
letters of a script share one.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Outputs = tuple[tuple[int, int], ...]
"""Kind and code point of each character that replaces a character."""

_BITS = 7
_BLOCK = 1 << _BITS
_CODE_POINTS = 0x110000
_SHIFT = 22
_MIDDLE = 1 << (_SHIFT - 1)
_WALKED = ((0, 0x40000), (0xE0000, 0xE1000))
_UNASSIGNED, _PRIVATE, _PRIVATE_PLANES = 0x40000, 0xF0000, 0xF0000
"""A code point of the unassigned planes, one of the private ones, and the first of the latter."""


class Table(NamedTuple):
    """Two-stage table.

    Attributes:
        blocks: Number of the stored block of each 128 code points, int32 `[8704]`.
        entries: Entry of each code point of each stored block, int32 `[blocks * 128]`.
        splits: Index of each entry's first value, int64 `[entries + 1]`.
        values: Kind and distance of each character that replaces one, int32.
    """

    blocks: npt.NDArray[np.int32]
    entries: npt.NDArray[np.int32]
    splits: npt.NDArray[np.int64]
    values: npt.NDArray[np.int32]


class Replaced(NamedTuple):
    """Characters that replace others.

    Attributes:
        source: Index of the character that each replaces, int64.
        kinds: Kinds, int32.
        code_points: Code points, int32.
    """

    source: tf.Tensor
    kinds: tf.Tensor
    code_points: tf.Tensor


def build(outputs: Callable[[int], Outputs]) -> Table:
    """Builds the table of a function of code points.

    The planes without assigned characters are not walked; one code point stands for all.

    Args:
        outputs: Function from a code point to its replacements, with kinds of 0 to 255.
    """
    numbers: dict[tuple[int, ...], int] = {}

    def entry(code_point: int) -> int:
        packed = tuple(
            (kind << _SHIFT) + other - code_point + _MIDDLE for kind, other in outputs(code_point)
        )
        return numbers.setdefault(packed, len(numbers))

    row = np.full(_CODE_POINTS, entry(_UNASSIGNED), np.int32)
    row[_PRIVATE_PLANES:] = entry(_PRIVATE)
    for first, end in _WALKED:
        row[first:end] = [entry(code_point) for code_point in range(first, end)]
    stored, blocks = np.unique(row.reshape(-1, _BLOCK), axis=0, return_inverse=True)
    sizes = [len(packed) for packed in numbers]
    return Table(
        blocks.reshape(-1).astype(np.int32),
        stored.reshape(-1).astype(np.int32),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([value for packed in numbers for value in packed], np.int32),
    )


def replaced(table: Table, code_points: tf.Tensor) -> Replaced:
    """Looks characters up in a table.

    Args:
        table: Table with the replacements.
        code_points: Code points, int32 `[characters]`.

    Returns:
        Replacements in the order of the characters.
    """
    entry = _entries(table, code_points)
    values = tf.RaggedTensor.from_row_splits(table.values, table.splits, validate=False)
    found = tf.gather(values, entry)
    source, packed = found.value_rowids(), found.flat_values
    distance = tf.bitwise.bitwise_and(packed, (1 << _SHIFT) - 1) - _MIDDLE
    kinds = tf.bitwise.right_shift(packed, _SHIFT)
    return Replaced(source, kinds, tf.gather(code_points, source) + distance)


def first_kinds(table: Table, code_points: tf.Tensor) -> tf.Tensor:
    """Returns the kind of the first replacement of each character, 0 if it has none, int32."""
    packed = np.append(table.values, 0)[table.splits[:-1]]
    kinds = np.where(np.diff(table.splits) > 0, packed >> _SHIFT, 0)
    return tf.gather(kinds.astype(np.int32), _entries(table, code_points))


def _entries(table: Table, code_points: tf.Tensor) -> tf.Tensor:
    block = tf.gather(table.blocks, tf.bitwise.right_shift(code_points, _BITS))
    inside = tf.bitwise.bitwise_and(code_points, _BLOCK - 1)
    return tf.gather(table.entries, block * _BLOCK + inside)


WHITE_SPACE = frozenset(
    [*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]
    + [0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
)
"""Code points with Unicode's property White_Space, which `str.isspace` does not quite follow."""

SURROGATES = range(0xD800, 0xE000)


cached = functools.lru_cache(maxsize=4)
"""Decorator of a function that builds a table; keeps the last tables of a process."""
