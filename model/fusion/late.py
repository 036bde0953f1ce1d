"""The fusion `sum`: logits that each modality gives for itself, added up, and nothing joint.

An encoder's vector and hashed sequences of tokens go to logits without a hidden layer. So the
network is a logistic regression on all modalities side by side, with dropout.
"""

from collections.abc import Callable
from typing import TypeAlias

import keras
from keras import ops

from triad_ml.model.layout import Layout
from triad_ml.model.towers import layers, ngrams, pretrained
from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor
Tensors = dict[str, Tensor]
Tower = Callable[[str, Tensors, Layout, keras.Model | None], Tensor]

_SMALL = 1e-3
"""Deviation of a new weight. There may be fewer records than weights, and then what no record
moves stays as it was."""

_SCALE = 16.0
"""Of what a text's sequences say, so that it is learned about as fast as what a picture says."""


def logits(
    layout: Layout,
    inputs: Tensors,
    used: Tensor,
    encoder: keras.Model | None,
    tower: Tower,
) -> tuple[Tensors, Tensors]:
    """Adds up the logits of all modalities.

    Args:
        layout: Its tasks are classifications.
        inputs: See `fused.build`.
        used: Which modalities are there and not hidden, bool `[batch, modalities]`.
        encoder: Of pictures, where it is a part of the network.
        tower: Gives the embedding of a modality that goes to its logits by way of a tower.

    Returns:
        The logits by task, and those of each modality alone by `<task>@<modality>`, float32
        `[batch, classes]`. The latter is empty where there is one modality.
    """
    spec, names = layout.spec.model, layout.spec.modalities.names
    views = {name: _view(name, inputs, layout, encoder, tower) for name in names}
    outputs: Tensors = {}
    alone: Tensors = {}
    for task in layout.spec.tasks:
        size = len(layout.classes[task])
        shown = []
        for place, name in enumerate(names):
            own = _own(name, views[name], size, spec, f"auxiliary_{name}_{task}")
            shown.append(own * ops.cast(used[:, place : place + 1], "float32"))
            if len(names) > 1:
                alone[f"{task}@{name}"] = own
        outputs[task] = sum(shown[1:], start=shown[0])
    return outputs, alone


def _view(
    name: str, inputs: Tensors, layout: Layout, encoder: keras.Model | None, tower: Tower
) -> Tensor:
    """What a modality's logits are a linear function of; of sequences of tokens, the ids."""
    features, present = inputs[name], inputs[f"{name}_present"]
    if name == "text" and layout.spec.model.text_ngrams:
        return layers.MaskMissing(name="text_ngrams_masked")(features, present)
    if name == "image" and layout.image_width:
        return pretrained.scaled_vectors(features, present)
    if name == "image" and encoder is not None:
        return pretrained.scaled(pretrained.Encoder(encoder, name="image_encoded")(features))
    return tower(name, inputs, layout, encoder)


def _own(name: str, view: Tensor, size: int, spec: ModelSpec, layer: str) -> Tensor:
    if name == "text" and spec.text_ngrams:
        sums = ngrams.HashedNgrams(
            spec.text_ngrams, size, deviation=_SMALL, dropout=spec.dropout, name=layer
        )
        return sums(view, ngrams.known(view)) * _SCALE
    dropped = keras.layers.Dropout(spec.dropout, name=f"{layer}_dropout")(view)
    initial = keras.initializers.RandomNormal(stddev=_SMALL)
    return keras.layers.Dense(size, kernel_initializer=initial, dtype="float32", name=layer)(
        dropped
    )
