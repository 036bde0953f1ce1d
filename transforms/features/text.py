"""TensorFlow graph of text features: token ids, with the offsets of each token."""

import tensorflow as tf

from triad_ml.transforms.features import words
from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.ids import FIRST_TOKEN, PAD
from triad_ml.transforms.features.word_shapes import spelling_graph
from triad_ml.transforms.features.words import Words, words_graph
from triad_ml.transforms.spec.modalities import TextSpec

TEXT_VOCABULARY = "text_vocabulary"


def text_graph(content: tf.Tensor, spec: TextSpec, analyzers: Analyzers) -> tf.Tensor:
    """Maps texts to token ids, int64 `[batch, length]`, padded with `PAD` and cut at the end.

    Tokens are in lower case. Ids are in the order of falling frequency in the training split.

    Args:
        content: Canonical UTF-8, string `[batch]`; empty if missing.
        spec: Kind of tokens, vocabulary and length.
        analyzers: Analyzers for the vocabulary.
    """
    lowered = tf.strings.lower(content, encoding="utf-8")
    if spec.tokens == "word":
        tokens = words_graph(lowered)[0]
    else:
        tokens = tf.strings.unicode_split(lowered, "UTF-8")
    return _token_ids(tokens, spec, analyzers)


def placed_text_graph(
    content: tf.Tensor, spec: TextSpec, analyzers: Analyzers
) -> tuple[tf.Tensor, Words]:
    """Returns the token ids of `text_graph`, and the offsets of the tokens.

    Lower case can have more characters than the text, so tokens are lower-cased one by one.
    """
    tokens, starts, ends = _tokens(content, spec)
    lowered = tf.strings.lower(tokens.flat_values, encoding="utf-8")
    ids = _token_ids(tokens.with_flat_values(lowered), spec, analyzers)
    return ids, words.words_of(starts, ends, spec.length)


def spelled_graph(content: tf.Tensor, spec: TextSpec, buckets: int) -> tf.Tensor:
    """Returns the ids of the tokens' affixes and shapes; see `word_shapes.spelling_graph`."""
    return spelling_graph(_tokens(content, spec)[0], spec.length, buckets)


def _tokens(
    content: tf.Tensor, spec: TextSpec
) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Returns tokens in their original spelling, and their start and end characters."""
    if spec.tokens == "word":
        return words_graph(content)
    tokens = tf.strings.unicode_split(content, "UTF-8")
    starts = tf.ragged.range(tokens.row_lengths())
    return tokens, starts, starts + 1


def _token_ids(tokens: tf.RaggedTensor, spec: TextSpec, analyzers: Analyzers) -> tf.Tensor:
    known = analyzers.vocabulary_ids(
        tokens.flat_values, TEXT_VOCABULARY, top_k=spec.vocabulary, unseen="minus_one"
    )
    ids = tokens.with_flat_values(known + FIRST_TOKEN)
    return ids.to_tensor(default_value=PAD, shape=[None, spec.length])
