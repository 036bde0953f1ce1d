"""Weights between tasks that are learned with them (Kendall, Gal and Cipolla, 2018)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

OUTPUT = "@log_variances"
"""Of the training network, where the weights are learned; no task has such a name."""

LAYER = "log_variances"
FARTHEST = 4.0
"""A log variance counts as no farther from zero: a task weighs e**-4 to e**4 of what it had."""


@keras.saving.register_keras_serializable(package="triad")
class LogVariances(keras.layers.Layer):
    """One learned log variance a task, float32 `[1, tasks]`, whatever it is called with.

    Args:
        tasks: Their number.
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
    """The sum, over tasks, of loss / variance + log variance / 2.

    A task whose loss is 0, as where no record of the batch has its label, changes neither the sum
    nor any gradient. The loss of a head that one modality has for itself is divided by its task's
    variance, but does not move it.

    Args:
        losses: Weighted, by output of the training network: `<task>` or `<task>@<modality>`.
        log_variances: float32 `[1, tasks]`.
        tasks: In the order of the log variances.
    """
    total = 0.0
    bounded = ops.clip(log_variances[0], -FARTHEST, FARTHEST)
    for output in sorted(losses):
        task, _, modality = output.partition("@")
        own = bounded[tasks.index(task)]
        if modality:
            total += losses[output] * ops.exp(-ops.stop_gradient(own))
        else:
            there = ops.cast(losses[output] > 0, "float32")
            total += losses[output] * ops.exp(-own) + there * own / 2
    return total


def weights(log_variances: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What each task's loss is multiplied with, float32 `[tasks]`."""
    return np.exp(-np.clip(log_variances, -FARTHEST, FARTHEST)).astype(np.float32)
