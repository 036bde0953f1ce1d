"""Classification head: logits from an embedding, and probabilities from logits."""

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
        num_classes: Number of classes of the task.
        dropout: Share of the embedding that is dropped in training.
        name: Name of the output layer.
        hidden: Number of units in the hidden layer; 0 for no hidden layer.

    Returns:
        Logits, float32 `[batch, classes]`.
    """
    if hidden:
        layer = keras.layers.Dense(hidden, activation="relu", name=f"{name}_hidden")
        embedding = layer(embedding)
    dropped = keras.layers.Dropout(dropout, name=f"{name}_dropout")(embedding)
    return keras.layers.Dense(num_classes, dtype="float32", name=name)(dropped)


def linear(fused: Fused, size: int, task: str, spec: Spec) -> Built:
    """Adds a head on the joint embedding and, if there are several modalities, one on each of them.

    Args:
        fused: Tensors of the network.
        size: Number of outputs.
        task: Name of the task.
        spec: Spec with the modalities and the dropout.
    """
    dropout, names = spec.model.dropout, spec.modalities.names
    logits = classification(fused.joint, size, dropout, f"head_{task}", fused.hidden)
    alone = {}
    for index, name in enumerate(names if len(names) > 1 else ()):
        own = classification(fused.embeddings[name], size, dropout, f"auxiliary_{name}_{task}")
        alone[name] = own
        # Added to the output too, so that any fusion starts as good as late fusion.
        logits = logits + own * ops.cast(fused.used[:, index : index + 1], "float32")
    return Built(logits, alone)


def probabilities(logits: keras.KerasTensor, multi_label: bool) -> keras.KerasTensor:
    """Converts logits `[batch, classes]` to probabilities, for sets of classes class by class."""
    if multi_label:
        return keras.ops.sigmoid(logits)
    return keras.ops.softmax(logits, axis=-1)
