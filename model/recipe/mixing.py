"""Registry by kind of task: how the output of a head and that of a linear model become one."""

import abc
from collections.abc import Mapping
from typing import TypeAlias

import keras
from keras import ops

from triad_ml.transforms.spec.tasks import Task

Tensor: TypeAlias = keras.KerasTensor

_LEAST = 1e-7
"""Smallest probability of which a logarithm is taken."""


class Mix(abc.ABC):
    """Outputs of a head from those of a linear model.

    Args:
        task: Section of the spec for the task.
        name: Name of the task.
    """

    def __init__(self, task: Task, name: str) -> None:
        self.task, self.name = task, name

    @abc.abstractmethod
    def output(self, linear: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Builds the head's output from the output of a linear function.

        Args:
            linear: float32 `[batch, outputs]`, as `fit.Solver.predicted` takes it.
            inputs: Inputs of the network.
        """

    @abc.abstractmethod
    def blended(self, network: Tensor, linear: Tensor, share: float) -> Tensor:
        """Builds the output whose prediction is the weighted mean of two.

        Args:
            network: Output of the head.
            linear: Result of `output`.
            share: Weight of the linear one, between 0 and 1.
        """


class Logits(Mix):
    """Mix of logits: the mean is that of probabilities."""

    def output(self, linear: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        return linear

    def blended(self, network: Tensor, linear: Tensor, share: float) -> Tensor:
        shown = ops.sigmoid if self.task.multi_label else ops.softmax
        mean = (1.0 - share) * shown(network) + share * shown(linear)
        if not self.task.multi_label:
            return ops.log(ops.maximum(mean, _LEAST))
        return ops.log(ops.maximum(mean, _LEAST)) - ops.log(ops.maximum(1.0 - mean, _LEAST))


class Scores(Mix):
    """Mix of the z-scores of numbers."""

    def output(self, linear: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        scale = inputs[f"scale_{self.name}"]
        return ops.concatenate([(linear - scale[:, :1]) / scale[:, 1:], scale], axis=1)

    def blended(self, network: Tensor, linear: Tensor, share: float) -> Tensor:
        return (1.0 - share) * network + share * linear


MIXES: Mapping[str, type[Mix]] = {"classification": Logits, "regression": Scores}
"""By kind of task; the other kinds have no linear models."""
