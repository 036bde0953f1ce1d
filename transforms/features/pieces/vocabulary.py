"""Tables of vocabularies, which TensorFlow reads from files that become assets of a SavedModel."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

VOCABULARY, MERGES = "pieces.txt", "merges.tsv"
"""Names of the files: one piece in each line, and the numbers of two pieces with their merge."""


class Tables(NamedTuple):
    """Tables that a tokenizer looks pieces up in; each gives -1 for an unknown key.

    Attributes:
        vocabulary: Id of a piece, string to int64.
        merges: Merge of two pieces, int64 to int64; None if the tokenizer has none.
    """

    vocabulary: tf.lookup.StaticHashTable
    merges: tf.lookup.StaticHashTable | None = None


def lines(tokens: Iterable[str]) -> str:
    """Returns the content of a file with one piece in each line."""
    return "".join(f"{token}\n" for token in tokens)


def write(files: Mapping[str, str], folder: Path) -> None:
    """Writes the files of a tokenizer's tables into a folder."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")


def tables(files: Iterable[str], folder: Path) -> Tables:
    """Creates the tables of a tokenizer's files, before a graph reads from them.

    Args:
        files: Names of the files.
        folder: Folder that holds them; they must stay there until the tables are initialized or
            the SavedModel is exported.
    """
    index = tf.lookup.TextFileIndex
    vocabulary = tf.lookup.TextFileInitializer(
        str(folder / VOCABULARY), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
    )
    merges = None
    if MERGES in files:
        pairs = tf.lookup.TextFileInitializer(
            str(folder / MERGES), tf.int64, 0, tf.int64, 1, delimiter="\t"
        )
        merges = tf.lookup.StaticHashTable(pairs, -1)
    return Tables(tf.lookup.StaticHashTable(vocabulary, -1), merges)
