"""TensorFlow graph of a text's hashed n-grams, the features of linear models of texts."""

import tensorflow as tf

from triad_ml.transforms.features.words import words_graph
from triad_ml.transforms.spec.modalities import TextSpec

GRAMS = "text_grams"
"""Name of the feature."""

BUCKETS = 2**16
"""Number of hash buckets."""

_CHARACTERS = (2, 3, 4)
_WORDS = (1, 2)
_ROOM = {"word": 20, "character": 4}
_LONGEST = 100
"""Characters of a text that are read for each token of its spec. More would hardly be kept, and a
long text would need much memory."""
_SPACES = r"[\s\p{Z}\p{C}]+"


def grams_length(spec: TextSpec) -> int:
    """Returns the number of n-grams that are kept of a text."""
    return _ROOM[spec.tokens] * spec.length


def grams_graph(content: tf.Tensor, spec: TextSpec) -> tf.Tensor:
    """Numbers the n-grams of texts, in lower case.

    They are one word, two neighbouring words, and two to four neighbouring characters, of which
    runs of white space are one. N-grams that share a bucket by chance count as one.

    Args:
        content: Canonical UTF-8, string `[batch]`; empty where missing.
        spec: Kind of tokens and their number, which decide how many n-grams are kept; words precede
            characters.

    Returns:
        int64 `[batch, grams_length(spec)]`, from 1 to `BUCKETS`; 0 behind the last n-gram.
    """
    length = grams_length(spec)
    begin = tf.strings.substr(content, 0, _LONGEST * spec.length, unit="UTF8_CHAR")
    lowered = tf.strings.lower(begin, encoding="utf-8")
    padded = tf.strings.regex_replace(tf.strings.join([" ", lowered, " "]), _SPACES, " ")
    padded = tf.where(tf.equal(content, b""), b"", padded)
    # More than these are never kept.
    padded = tf.strings.substr(padded, 0, length + 1, unit="UTF8_CHAR")
    characters = tf.strings.unicode_split(padded, "UTF-8")
    pairs = tf.strings.ngrams(characters, _CHARACTERS, separator="")
    words = tf.strings.ngrams(words_graph(lowered)[0][:, :length], _WORDS, separator=" ")
    marked = words.with_flat_values(tf.strings.join(["word ", words.flat_values]))
    grams = _side_by_side(marked, pairs)
    numbers = tf.strings.to_hash_bucket_fast(grams.flat_values, BUCKETS) + 1
    return grams.with_flat_values(numbers).to_tensor(0, shape=[None, length])


def _side_by_side(first: tf.RaggedTensor, second: tf.RaggedTensor) -> tf.RaggedTensor:
    """Concatenates rows, as `tf.concat(axis=1)` does.

    That would transpose whole numbers, of which TensorFlow complains on some processors.
    """
    rows = tf.range(first.nrows())
    places = tf.reshape(tf.stack([rows, rows + first.nrows()], axis=1), [-1])
    both = tf.gather(tf.concat([first, second], axis=0), places)
    return tf.RaggedTensor.from_row_splits(both.flat_values, both.row_splits[::2])
