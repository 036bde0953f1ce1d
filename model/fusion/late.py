"""Late fusion (`fusion: sum`): the sum of the logits that each modality has on its own.

There is no joint embedding. The vector of an image encoder, and hashed n-grams of tokens, go to
logits without a hidden layer. Over such inputs the network is a logistic regression on all
modalities, with dropout.
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
    encoders: Mapping[str, keras.Layer | None],
) -> tuple[Tensors, Tensors]:
    """Builds the logits of each modality and their sums.

    Args:
        layout: Layout whose tasks are all classifications.
        inputs: Inputs of the network; see `network.build`.
        used: Mask of the modalities, bool `[batch, modalities]`, True if present and not hidden.
        encoders: By modality, the pretrained part of its tower, or None.

    Returns:
        Logits by task, and logits of each modality alone by `<task>@<modality>`, float32
        `[batch, classes]` each.
    """
    spec, names = layout.spec.model, layout.spec.modalities.names
    views = {name: TOWERS[name].view(inputs, layout, encoders[name]) for name in names}
    outputs: Tensors = {}
    alone: Tensors = {}
    for task in layout.spec.tasks:
        size = len(layout.classes[task])
        terms = []
        for index, name in enumerate(names):
            own = TOWERS[name].linear(views[name], size, spec, f"auxiliary_{name}_{task}")
            terms.append(own * ops.cast(used[:, index : index + 1], "float32"))
            alone[f"{task}@{name}"] = own
        outputs[task] = sum(terms[1:], start=terms[0])
    return outputs, alone
