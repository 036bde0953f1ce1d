"""Heads: from an embedding to the logits of a task, and from logits to probabilities."""

import keras


def classification(
    embedding: keras.KerasTensor, num_classes: int, dropout: float, name: str
) -> keras.KerasTensor:
    """Adds a linear classifier.

    Args:
        embedding: float32 `[batch, dim]`.
        num_classes: Of the task.
        dropout: Share of the embedding that is dropped in training.
        name: Of the layer.

    Returns:
        Logits, float32 `[batch, classes]`.
    """
    dropped = keras.layers.Dropout(dropout, name=f"{name}_dropout")(embedding)
    return keras.layers.Dense(num_classes, dtype="float32", name=name)(dropped)


def probabilities(logits: keras.KerasTensor, multi_label: bool) -> keras.KerasTensor:
    """Turns logits `[batch, classes]` into shares of one, or of a set into one share per class."""
    if multi_label:
        return keras.ops.sigmoid(logits)
    return keras.ops.softmax(logits, axis=-1)
