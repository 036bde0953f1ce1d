"""Text tower: tokens in context, pooled to an embedding."""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.layout import Layout
from triad_ml.model.towers import augmentation, ngrams, sequences
from triad_ml.model.towers.base import SMALL, Change, Columns, Parts, Seen, Tensors, Tower, Words
from triad_ml.model.towers.layers import MaskedPooling, MaskMissing, Tensor, embedding
from triad_ml.model.towers.steps import word_tokens
from triad_ml.transforms.features.grams import GRAMS, grams_length
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.features.word_shapes import PARTS, SPELLING
from triad_ml.transforms.spec.modalities import TextSpec
from triad_ml.transforms.spec.model import ModelSpec

_SCALE = 16.0
"""Factor of the logits of a text's n-grams in late fusion.

With it, they are learned about as fast as those of an image.
"""

NGRAMS = (1, 2, 3, 4)
"""Widths of the groups of convolution filters, in tokens."""


def text_sequence(
    tokens: Tensor,
    present: Tensor,
    spec: ModelSpec,
    vocabulary_size: int,
    spelled: tuple[Tensor, int] | None = None,
) -> Words:
    """Builds word vectors by one of `TEXT_TOWERS`.

    Args:
        tokens: Token ids, int64 `[batch, length]`.
        present: Mask of the rows that have a text, bool `[batch]`.
        spec: Section `model` of the spec, with `text_tower`, `text_dim` and `dropout`.
        vocabulary_size: Number of token ids.
        spelled: Ids of the words' affixes and shapes, int64 `[batch, length, parts]`, and the
            highest id; see `word_shapes.spelling_graph`. None if the spec has no spelling.

    Returns:
        One word per token.
    """
    masked = MaskMissing(name="text_masked")(tokens, present)
    known = ops.not_equal(masked, PAD)
    embedded = keras.layers.Embedding(vocabulary_size, spec.text_dim, name="text_tokens")(masked)
    if spelled is not None:
        numbers, highest = spelled
        numbers = MaskMissing(name="text_spelling_masked")(numbers, present)
        parts = keras.layers.Embedding(highest + 1, spec.text_dim, name="text_spelling_vectors")(
            numbers
        )
        embedded = embedded + ops.sum(parts, axis=2)
    embedded = keras.layers.Dropout(spec.dropout, name="text_tokens_dropout")(embedded)
    embedded = embedded * ops.cast(known, "float32")[:, :, None]
    return Words(TEXT_TOWERS[spec.text_tower](embedded, known, spec), known)


def _convolved(embedded: Tensor, known: Tensor, spec: ModelSpec) -> Tensor:
    """Builds word vectors by convolutions over one to four neighbouring tokens."""
    filters = max(spec.text_dim // 2, 4)
    grams = [
        keras.layers.Conv1D(
            filters, size, padding="same", activation="relu", name=f"text_{size}_grams"
        )(embedded)
        for size in NGRAMS
    ]
    return keras.layers.Concatenate(name="text_convolved")(grams)


TextTower: TypeAlias = Callable[[Tensor, Tensor, ModelSpec], Tensor]
"""Function from token vectors, their mask and the section `model` to word vectors in context.

The token vectors are zeros outside the mask.
"""

TEXT_TOWERS: Mapping[str, TextTower] = {
    "cnn": _convolved,
    **{kind: functools.partial(sequences.recurrent, kind) for kind in sequences.CELLS},
    "transformer": sequences.transformer,
}
"""Layers over the tokens, by their names in the key `model.text_tower` of a spec."""


def text_embedding(joined: Tensor, known: Tensor, spec: ModelSpec) -> Tensor:
    """Builds the embedding of a text, float32 `[batch, dim]`, from `text_sequence`."""
    pooled = MaskedPooling(name="text_pooled")(joined, known)
    return embedding(pooled, spec, "text")


class Text(Tower):
    """Text tower; see `Tower`."""

    def record_bytes(self, layout: Layout) -> int:
        section = _section(layout)
        total = 4 * section.length * (3 if layout.spec.places_spans else 1)
        total += 3 * grams_length(section)
        return total + (4 * section.length * PARTS if section.spelling else 0)

    def columns(self, layout: Layout) -> Columns:
        section = _section(layout)
        tokens = tf.io.FixedLenFeature([section.length], tf.int64)
        columns: Columns = {self.name: tokens}
        if section.spelling:
            columns[SPELLING] = tf.io.FixedLenFeature([section.length, PARTS], tf.int64)
        if layout.grams:
            columns[GRAMS] = tf.io.FixedLenFeature([grams_length(section)], tf.int64)
        return columns

    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        section = _section(layout)
        inputs = {self.name: tf.ensure_shape(columns[self.name], [None, section.length])}
        if section.spelling:
            inputs[SPELLING] = tf.ensure_shape(columns[SPELLING], [None, section.length, PARTS])
        if layout.grams:
            inputs[GRAMS] = tf.ensure_shape(columns[GRAMS], [None, grams_length(section)])
        return inputs

    def inputs(self, layout: Layout) -> Tensors:
        section = _section(layout)
        shapes: dict[str, tuple[int, ...]] = {self.name: (section.length,)}
        if section.spelling:
            shapes[SPELLING] = (section.length, PARTS)
        if layout.grams:
            shapes[GRAMS] = (grams_length(section),)
        return {
            name: keras.Input(shape, dtype="int64", name=name) for name, shape in shapes.items()
        }

    def words(self, inputs: Tensors, layout: Layout) -> Words:
        section = _section(layout)
        spelled = (inputs[SPELLING], section.spelling) if section.spelling else None
        tokens, present = inputs[self.name], inputs[f"{self.name}_present"]
        return text_sequence(tokens, present, layout.spec.model, layout.vocabulary_size, spelled)

    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        spec, words = layout.spec.model, parts.words
        assert words is not None  # the method `words` always builds them
        tokens = word_tokens(*words) if steps else None
        if spec.text_ngrams:
            ids, present = inputs[self.name], inputs[f"{self.name}_present"]
            return Seen(ngrams.text_tower(ids, present, words.sequence, spec), tokens)
        return Seen(text_embedding(*words, spec), tokens)

    def augmentation(self, values: tf.Tensor, changes: Collection[str]) -> Change | None:
        return augmentation.hide_words if "words" in changes else None

    def view(self, inputs: Tensors, layout: Layout, encoder: keras.Model | None) -> Tensor:
        """Builds the masked token ids for hashed n-grams, or the embedding if the spec has none."""
        if not layout.spec.model.text_ngrams:
            return super().view(inputs, layout, encoder)
        tokens, present = inputs[self.name], inputs[f"{self.name}_present"]
        return MaskMissing(name="text_ngrams_masked")(tokens, present)

    def linear(self, view: Tensor, size: int, spec: ModelSpec, layer: str) -> Tensor:
        if not spec.text_ngrams:
            return super().linear(view, size, spec, layer)
        sums = ngrams.HashedNgrams(
            spec.text_ngrams, size, deviation=SMALL, dropout=spec.dropout, name=layer
        )
        return sums(view, ngrams.known(view)) * _SCALE


def _section(layout: Layout) -> TextSpec:
    assert layout.spec.modalities.text is not None
    return layout.spec.modalities.text
