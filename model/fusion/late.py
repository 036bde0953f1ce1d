"""The fusion `sum`: logits that each modality gives for itself, added up, and nothing joint.

An encoder's vector and hashed sequences of tokens go to logits without a hidden layer. So the
network is a logistic regression on all modalities side by side, with dropout.
"""

from collections.abc import Mapping
from typing import TypeAlias

import keras
from keras import ops

from triad_ml.model.layout import Layout
from triad_ml.model.towers.registry import TOWERS

Tensor: TypeAlias = keras.KerasTensor
Tensors = dict[str, Tensor]


def logits(
    layout: Layout,
    inputs: Tensors,
    used: Tensor,
    encoders: Mapping[str, keras.Model | None],
) -> tuple[Tensors, Tensors]:
    """Adds up the logits of all modalities.

    Args:
        layout: Names and sizes; all tasks are classifications.
        inputs: Inputs of the network; see `network.build`.
        used: Mask of the modalities that are present and not hidden, bool `[batch, modalities]`.
        encoders: By modality, the pretrained part of its tower, if any.

    Returns:
        The logits by task, and those of each modality alone by `<task>@<modality>`, float32
        `[batch, classes]`.
    """
    spec, names = layout.spec.model, layout.spec.modalities.names
    views = {name: TOWERS[name].view(inputs, layout, encoders[name]) for name in names}
    outputs: Tensors = {}
    alone: Tensors = {}
    for task in layout.spec.tasks:
        size = len(layout.classes[task])
        shown = []
        for place, name in enumerate(names):
            own = TOWERS[name].linear(views[name], size, spec, f"auxiliary_{name}_{task}")
            shown.append(own * ops.cast(used[:, place : place + 1], "float32"))
            alone[f"{task}@{name}"] = own
        outputs[task] = sum(shown[1:], start=shown[0])
    return outputs, alone
