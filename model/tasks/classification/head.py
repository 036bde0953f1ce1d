"""Heads: from an embedding to the logits of a task, and from logits to probabilities."""

import keras


def classification(
    embedding: keras.KerasTensor, num_classes: int, dropout: float, name: str, hidden: int = 0
) -> keras.KerasTensor:
    """Adds a linear classifier, or one with a hidden layer.

    Args:
        embedding: float32 `[batch, dim]`.
        num_classes: Of the task.
        dropout: Share of the embedding that is dropped in training.
        name: Of the layer.
        hidden: Units of the hidden layer; 0 is none.

    Returns:
        Logits, float32 `[batch, classes]`.
    """
    if hidden:
        layer = keras.layers.Dense(hidden, activation="relu", name=f"{name}_hidden")
        embedding = layer(embedding)
    dropped = keras.layers.Dropout(dropout, name=f"{name}_dropout")(embedding)
    return keras.layers.Dense(num_classes, dtype="float32", name=name)(dropped)


def probabilities(logits: keras.KerasTensor, multi_label: bool) -> keras.KerasTensor:
    """Turns logits `[batch, classes]` into shares of one, or of a set into one share per class."""
    if multi_label:
        return keras.ops.sigmoid(logits)
    return keras.ops.softmax(logits, axis=-1)
