"""Learned weights of tasks, by their uncertainty (Kendall, Gal and Cipolla, 2018)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

OUTPUT = "@log_variances"
"""Name of the training network's output with the log variances; no task can have this name."""

LAYER = "log_variances"
"""Name of the layer with the log variances."""

FARTHEST = 4.0
"""Bound of the log variances: clipped to -4 ... 4, they make learned weights of e**-4 to e**4."""


@keras.saving.register_keras_serializable(package="triad")
class LogVariances(keras.layers.Layer):
    """Learned log variances, one per task, float32 `[1, tasks]`; the input is ignored.

    Args:
        tasks: Number of tasks.
    """

    def __init__(self, tasks: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = tasks

    def build(self, input_shape: Shape) -> None:
        self.values = self.add_weight(shape=(self.tasks,), initializer="zeros", name="values")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.expand_dims(ops.convert_to_tensor(self.values), 0)

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        return keras.KerasTensor((1, self.tasks), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tasks": self.tasks}


def joined(losses: Mapping[str, Tensor], log_variances: Tensor, tasks: Sequence[str]) -> Tensor:
    """Computes the sum, over tasks, of loss / variance + log variance / 2.

    A task whose loss is 0, for example because no record of the batch has its label, changes
    neither the sum nor any gradient. The loss of an auxiliary head, on one modality alone, is
    divided by its task's variance, but has no gradient to it.

    Args:
        losses: Losses with the spec's task weights, by output of the training network: `<task>` or
            `<task>@<modality>`.
        log_variances: Output of `LogVariances`, float32 `[1, tasks]`.
        tasks: Names of the tasks, in the order of the log variances.
    """
    total = 0.0
    bounded = ops.clip(log_variances[0], -FARTHEST, FARTHEST)
    for output in sorted(losses):
        task, _, modality = output.partition("@")
        log_variance = bounded[tasks.index(task)]
        if modality:
            total += losses[output] * ops.exp(-ops.stop_gradient(log_variance))
        else:
            learns = ops.cast(losses[output] > 0, "float32")
            total += losses[output] * ops.exp(-log_variance) + learns * log_variance / 2
    return total


def weights(log_variances: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Computes the factor of each task's loss from the log variances, float32 `[tasks]`."""
    return np.exp(-np.clip(log_variances, -FARTHEST, FARTHEST)).astype(np.float32)
