"""Text tower: convolutions over n-grams of tokens, pooled to an embedding."""

import keras
from keras import ops

from triad_ml.model.towers.layers import MaskedPooling, MaskMissing, Tensor, embedding
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.spec.model import ModelSpec

NGRAMS = (1, 2, 3, 4)
"""How many neighbouring tokens each group of the text tower's filters sees."""


def text_sequence(
    tokens: Tensor,
    present: Tensor,
    spec: ModelSpec,
    vocabulary_size: int,
    spelled: tuple[Tensor, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Filters over one to four neighbouring tokens, wherever they stand.

    Args:
        tokens: Ids, int64 `[batch, length]`.
        present: bool `[batch]`.
        spec: Gives `text_dim` and `dropout`.
        vocabulary_size: Number of ids.
        spelled: Numbers of the words' parts, int64 `[batch, length, parts]`, and the highest one.

    Returns:
        float32 `[batch, length, filters]`, and where there is a token, bool `[batch, length]`.
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
    filters = max(spec.text_dim // 2, 4)
    grams = [
        keras.layers.Conv1D(
            filters, size, padding="same", activation="relu", name=f"text_{size}_grams"
        )(embedded)
        for size in NGRAMS
    ]
    return keras.layers.Concatenate(name="text_grams")(grams), known


def text_embedding(joined: Tensor, known: Tensor, spec: ModelSpec) -> Tensor:
    """What a text is about, float32 `[batch, dim]`, of what `text_sequence` gives."""
    pooled = MaskedPooling(name="text_pooled")(joined, known)
    return embedding(pooled, spec, "text")
