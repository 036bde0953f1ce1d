"""Task fusion: each task's output also reads what all tasks of the model have found."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import keras
from keras import ops

from triad_ml.model.tasks.base import TaskHead
from triad_ml.model.towers.sequences import AttentionBlock
from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor
Tensors: TypeAlias = Mapping[str, Tensor]

Share: TypeAlias = Callable[[Tensors, ModelSpec], Tensors]
"""Function from the tasks' own representations to what each task reads of all, both by task."""


def joined(
    share: Share,
    heads: Mapping[str, TaskHead],
    outputs: Tensors,
    words: Tensor | None,
    spec: ModelSpec,
) -> dict[str, Tensor]:
    """Adds a projection of all tasks' representations to the output of each task.

    The projections are zero at first, so the outputs begin as they are. Representations pass no
    gradient: the loss of one task changes no other task's head, and a task without labels in a
    batch has gradients of exactly zero, as without task fusion.

    Args:
        share: Value of `TASK_FUSIONS`.
        heads: Heads by task.
        outputs: Outputs of the heads.
        words: Mask of the words that the model may use, bool `[batch, length]`; None if no head
            reads words.
        spec: Section `model` of the spec.

    Returns:
        Outputs by task, of the same shapes.
    """
    own = {
        task: ops.stop_gradient(head.represented(outputs[task], words))
        for task, head in heads.items()
    }
    shared = share(own, spec)
    return {task: head.moved(outputs[task], shared[task]) for task, head in heads.items()}


def _through_a_perceptron(own: Tensors, spec: ModelSpec) -> Tensors:
    mixed = ops.concatenate([*own.values()], axis=-1)
    for place, units in enumerate(spec.hidden_units):
        mixed = keras.layers.Dense(units, activation="relu", name=f"tasks_{place}")(mixed)
        if spec.fusion_dropout:
            layer = keras.layers.Dropout(spec.fusion_dropout, name=f"tasks_{place}_dropout")
            mixed = layer(mixed)
    return dict.fromkeys(own, mixed)


def _by_attention(own: Tensors, spec: ModelSpec) -> Tensors:
    # The bias of each projection tells the tasks apart.
    tokens = ops.stack(
        [keras.layers.Dense(spec.dim, name=f"tasks_of_{task}")(one) for task, one in own.items()],
        axis=1,
    )
    every = ops.ones_like(tokens[:, :, 0], dtype="bool")
    read = AttentionBlock(spec.dim, name="tasks_attention")(tokens, tokens, every)
    return {task: read[:, place] for place, task in enumerate(own)}


TASK_FUSIONS: Mapping[str, Share | None] = {
    "none": None,
    "mlp": _through_a_perceptron,
    "attention": _by_attention,
}
"""Task fusions, by their names in the key `model.task_fusion` of a spec."""
