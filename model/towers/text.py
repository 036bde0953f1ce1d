"""Text tower: tokens in context, pooled to an embedding."""

import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.layout import Layout
from triad_ml.model.towers import augmentation, pretrained, sequences
from triad_ml.model.towers.base import SMALL, Change, Columns, Parts, Seen, Tensors, Tower, Words
from triad_ml.model.towers.layers import MaskedPooling, MaskMissing, Tensor, embedding
from triad_ml.model.towers.steps import word_tokens
from triad_ml.model.towers.texts import ngrams, pretrained_text
from triad_ml.transforms.encoders.texts.transformer import PADDING
from triad_ml.transforms.features.grams import GRAMS, grams_length
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.features.pieces.values import FIRST, PIECES, VECTOR
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
        embedded = embedded + spelling_vectors(*spelled, present, spec)
    embedded = keras.layers.Dropout(spec.dropout, name="text_tokens_dropout")(embedded)
    embedded = embedded * ops.cast(known, "float32")[:, :, None]
    return Words(TEXT_TOWERS[spec.text_tower](embedded, known, spec), known)


def spelling_vectors(numbers: Tensor, highest: int, present: Tensor, spec: ModelSpec) -> Tensor:
    """Builds the sums of the vectors of the words' affixes and shapes; see `text_sequence`."""
    numbers = MaskMissing(name="text_spelling_masked")(numbers, present)
    parts = keras.layers.Embedding(highest + 1, spec.text_dim, name="text_spelling_vectors")(
        numbers
    )
    return ops.sum(parts, axis=2)


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
        total += 4 * sum(int(math.prod(one.shape)) for one in _encoded(layout).values())
        return total + (4 * section.length * PARTS if section.spelling else 0)

    def columns(self, layout: Layout) -> Columns:
        return {
            name: tf.io.FixedLenFeature(one.shape.as_list(), one.dtype)
            for name, one in _features(layout).items()
        }

    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        return {
            name: tf.ensure_shape(columns[name], [None, *one.shape])
            for name, one in _features(layout).items()
        }

    def inputs(self, layout: Layout) -> Tensors:
        return {
            name: keras.Input(tuple(one.shape), dtype=one.dtype.name, name=name)
            for name, one in _features(layout).items()
        }

    def encoder(self, layout: Layout) -> keras.Layer | None:
        return pretrained_text.encoder_layer(layout.spec.model)

    def parts(self, inputs: Tensors, layout: Layout, encoder: keras.Layer | None) -> Parts:
        if encoder is None:
            reads = layout.text_width is None or layout.spec.reads_words
            return Parts(words=self._words(inputs, layout, None) if reads else None)
        present = inputs[f"{self.name}_present"]
        ids = pretrained_text.OfPresent(name="text_pieces_masked")(inputs[PIECES], present)
        states = encoder(ids)
        pieces = Words(states, ops.not_equal(ids, PADDING))
        if not layout.spec.reads_words:
            return Parts(encoder, None, pieces)
        first = pretrained_text.Placed(name="text_first_pieces")(states, inputs[FIRST])
        return Parts(encoder, self._words(inputs, layout, first), pieces)

    def _words(self, inputs: Tensors, layout: Layout, first: Tensor | None) -> Words:
        """Builds word vectors from those of the words' first pieces, or from token ids alone."""
        section, spec = _section(layout), layout.spec.model
        spelled = (inputs[SPELLING], section.spelling) if section.spelling else None
        tokens, present = inputs[self.name], inputs[f"{self.name}_present"]
        if first is None:
            return text_sequence(tokens, present, spec, layout.vocabulary_size, spelled)
        known = ops.not_equal(MaskMissing(name="text_masked")(tokens, present), PAD)
        if spelled is not None:
            vectors = spelling_vectors(*spelled, present, spec)
            first = keras.layers.Concatenate(name="text_words")([first, vectors])
        return Words(first * ops.cast(known, "float32")[:, :, None], known)

    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        spec, words = layout.spec.model, parts.words
        if parts.pieces is not None:
            tokens = word_tokens(*parts.pieces) if steps else None
            return Seen(embedding(_pooled(parts), spec, self.name), tokens)
        if layout.text_width is not None:
            return Seen(embedding(self.view(inputs, layout, None), spec, self.name))
        assert words is not None  # the method `parts` builds them
        tokens = word_tokens(*words) if steps else None
        if spec.text_ngrams:
            ids, present = inputs[self.name], inputs[f"{self.name}_present"]
            return Seen(ngrams.text_tower(ids, present, words.sequence, spec), tokens)
        return Seen(text_embedding(*words, spec), tokens)

    def augmentation(self, values: tf.Tensor, changes: Collection[str]) -> Change | None:
        return augmentation.hide_words if "words" in changes else None

    def view(self, inputs: Tensors, layout: Layout, encoder: keras.Layer | None) -> Tensor:
        """Builds the scaled vector of a pretrained encoder.

        Without one, builds the masked token ids for hashed n-grams, or the embedding if the spec
        has none.
        """
        present = inputs[f"{self.name}_present"]
        if layout.text_width is not None:
            return pretrained.scaled_vectors(inputs[VECTOR], present, "text_encoder")
        if encoder is not None:
            return _pooled(self.parts(inputs, layout, encoder))
        if not layout.spec.model.text_ngrams:
            return super().view(inputs, layout, encoder)
        return MaskMissing(name="text_ngrams_masked")(inputs[self.name], present)

    def linear(self, view: Tensor, size: int, spec: ModelSpec, layer: str) -> Tensor:
        if not spec.text_ngrams:
            return super().linear(view, size, spec, layer)
        sums = ngrams.HashedNgrams(
            spec.text_ngrams, size, deviation=SMALL, dropout=spec.dropout, name=layer
        )
        return sums(view, ngrams.known(view)) * _SCALE


def _pooled(parts: Parts) -> Tensor:
    """Builds the scaled vector of a text from those of its pieces, float32 `[batch, width]`."""
    assert parts.encoder is not None
    assert parts.pieces is not None
    pool = pretrained_text.Pooled(parts.encoder.encoder, name="text_pooled")
    return pretrained.scaled(pool(*parts.pieces), "text_encoder")


def _section(layout: Layout) -> TextSpec:
    assert layout.spec.modalities.text is not None
    return layout.spec.modalities.text


def _features(layout: Layout) -> dict[str, tf.TensorSpec]:
    """Returns shape, without the batch, and dtype of the features that the tower reads."""
    section = _section(layout)
    features = {"text": tf.TensorSpec([section.length], tf.int64)}
    if section.spelling:
        features[SPELLING] = tf.TensorSpec([section.length, PARTS], tf.int64)
    if layout.grams and layout.text_width is None:
        features[GRAMS] = tf.TensorSpec([grams_length(section)], tf.int64)
    return features | _encoded(layout)


def _encoded(layout: Layout) -> dict[str, tf.TensorSpec]:
    """Returns those of `_features` that are for a pretrained encoder."""
    model = layout.spec.model
    if model.text_encoder is None:
        return {}
    width = layout.text_width
    if width is not None:
        return {VECTOR: tf.TensorSpec([width], tf.float32)}
    features = {PIECES: tf.TensorSpec([model.pieces], tf.int64)}
    if layout.spec.reads_words:
        features[FIRST] = tf.TensorSpec([_section(layout).length], tf.int64)
    return features
