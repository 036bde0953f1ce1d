"""TensorFlow graph of word spelling, hashed affixes and shapes, which unknown words have too."""

import tensorflow as tf

AFFIXES = (1, 2, 3, 4)
"""Numbers of characters in the prefixes and suffixes of a word."""

SPELLING = "text_spelling"
"""Name of the feature."""

PARTS = 2 * len(AFFIXES) + 1
"""Number of parts of a word: prefixes, suffixes, and the shape."""

_SHAPES = (
    (r"\p{Lu}|\p{Lt}", "X"),
    (r"\p{Ll}|\p{Lm}|\p{Lo}|\p{M}", "x"),
    (r"\p{N}", "9"),
    (r"x{3,}", "xx"),
    (r"X{3,}", "XX"),
    (r"9{5,}", "99999"),
)
"""Replacements that make a word's shape: kinds of characters, with long runs shortened."""


def spelling_graph(words: tf.RaggedTensor, length: int, buckets: int) -> tf.Tensor:
    """Hashes the parts of words: prefixes and suffixes in lower case, and the shape.

    If a word is shorter than a prefix or suffix, the part is the whole word.

    Args:
        words: Words in their original spelling, UTF-8, string, ragged `[batch, words]`.
        length: Number of words of each text that are kept.
        buckets: Number of hash buckets.

    Returns:
        int64 `[batch, length, PARTS]`, from 1 to `buckets`; 0 if there is no word.
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
