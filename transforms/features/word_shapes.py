"""How words are spelled, as part of the feature graph: it says something of unknown words too."""

import tensorflow as tf

AFFIXES = (1, 2, 3, 4)
"""How many characters of a word's beginning and end count."""

SPELLING = "text_spelling"
"""The feature."""

PARTS = 2 * len(AFFIXES) + 1
"""Beginnings, ends, and the shape."""

_SHAPES = (
    (r"\p{Lu}|\p{Lt}", "X"),
    (r"\p{Ll}|\p{Lm}|\p{Lo}|\p{M}", "x"),
    (r"\p{N}", "9"),
    (r"x{3,}", "xx"),
    (r"X{3,}", "XX"),
    (r"9{5,}", "99999"),
)
"""Kinds of characters, and of long runs of one kind only that they are long."""


def spelling_graph(words: tf.RaggedTensor, length: int, buckets: int) -> tf.Tensor:
    """Numbers the parts of words: beginnings and ends in lower case, and the shape.

    A word that is shorter than a part is that part. Parts that share a number by chance are one.

    Args:
        words: As the texts have them, UTF-8, string ragged `[batch, words]`.
        length: Words kept.
        buckets: How many numbers there are.

    Returns:
        int64 `[batch, length, PARTS]`, from 1 to `buckets`; 0 where there is no word.
    """
    flat = words.flat_values
    lowered = tf.strings.lower(flat, encoding="utf-8")
    size = tf.strings.length(lowered, unit="UTF8_CHAR")
    parts = [tf.strings.join(["shape ", _shapes(flat)])]
    for count in AFFIXES:
        end = tf.maximum(size - count, 0)
        kept = tf.fill(tf.shape(size), count)
        first = tf.strings.substr(lowered, tf.zeros_like(size), kept, unit="UTF8_CHAR")
        last = tf.strings.substr(lowered, end, kept, unit="UTF8_CHAR")
        parts += [tf.strings.join([f"{count} ", first]), tf.strings.join([last, f" {count}"])]
    numbers = tf.strings.to_hash_bucket_fast(tf.stack(parts, axis=1), buckets) + 1
    return words.with_flat_values(numbers).to_tensor(0, shape=[None, length, PARTS])


def _shapes(words: tf.Tensor) -> tf.Tensor:
    for pattern, replacement in _SHAPES:
        words = tf.strings.regex_replace(words, pattern, replacement)
    return words
