"""Layers behind the logits that scale them by a temperature, as a part of the model."""

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from triad_ml.model.network import Networks


@keras.saving.register_keras_serializable(package="triad")
class Temperature(keras.layers.Layer):
    """Logits divided by a weight, which is 1 until `set_temperatures`."""

    def build(self, logits_shape: tuple[int | None, ...]) -> None:
        self.temperature = self.add_weight(
            shape=(), initializer="ones", dtype="float32", trainable=False, name="temperature"
        )

    def call(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        return ops.divide(logits, self.temperature)

    def compute_output_shape(self, logits_shape: tuple[int | None, ...]) -> Any:
        return logits_shape


def scaled(networks: Networks, tasks: Collection[str]) -> Networks:
    """Adds a temperature of 1 to the scoring network for each of some tasks.

    Args:
        networks: Networks of a training, whose outputs of these tasks are logits.
        tasks: Names of the tasks.

    Returns:
        Networks with the same seam; the training network has no temperature.
    """
    outputs = dict(networks.scoring.output)
    for task in tasks:
        outputs[task] = Temperature(dtype="float32", name=_name(task))(outputs[task])
    scoring = keras.Model(networks.scoring.input, outputs, name=networks.scoring.name)
    return networks._replace(scoring=scoring)


def set_temperatures(model: keras.Model, temperatures: Mapping[str, float]) -> None:
    """Sets the temperatures of a scoring network.

    Args:
        model: Scoring network of `scaled`.
        temperatures: By task, its temperature.
    """
    for task, value in temperatures.items():
        model.get_layer(_name(task)).set_weights([np.asarray(value, np.float32)])


def _name(task: str) -> str:
    return f"temperature_{task}"
