"""Heads: from an embedding to the logits of a task, and from logits to probabilities."""

import keras
from keras import ops

from triad_ml.model.tasks.base import Built, Fused
from triad_ml.transforms.spec.spec import Spec


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


def linear(fused: Fused, size: int, task: str, spec: Spec) -> Built:
    """Adds a linear head to the joint embedding, and one to each of several modalities."""
    dropout, names = spec.model.dropout, spec.modalities.names
    logits = classification(fused.joint, size, dropout, f"head_{task}", fused.hidden)
    alone = {}
    for place, name in enumerate(names if len(names) > 1 else ()):
        own = classification(fused.embeddings[name], size, dropout, f"auxiliary_{name}_{task}")
        alone[name] = own
        # What a modality says for itself counts too: fusion begins as good as their sum.
        logits = logits + own * ops.cast(fused.used[:, place : place + 1], "float32")
    return Built(logits, alone)


def probabilities(logits: keras.KerasTensor, multi_label: bool) -> keras.KerasTensor:
    """Turns logits `[batch, classes]` into shares of one, or of a set into one share per class."""
    if multi_label:
        return keras.ops.sigmoid(logits)
    return keras.ops.softmax(logits, axis=-1)
