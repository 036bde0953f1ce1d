"""Optimizers by name: arguments, decay, and all of their state in a checkpoint."""

import inspect
import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network
from triad_ml.model.data import batches
from triad_ml.model.training import optimizers, steps
from triad_ml.transforms.spec.training import ARGUMENTS, OptimizerName

ARGUED = {
    "adamw": {"beta_1": 0.8, "amsgrad": True},
    "adam": {},
    "sgd": {"momentum": 0.9, "nesterov": True},
    "lion": {"beta_2": 0.9},
    "rmsprop": {"rho": 0.8, "momentum": 0.5, "centered": True},
    "adagrad": {"initial_accumulator_value": 0.2},
}


def layout_of(name, arguments=None, **training):
    return features.layout(
        ["text"],
        augment=False,
        optimizer=name,
        optimizer_arguments=ARGUED[name] if arguments is None else arguments,
        **training,
    )


def steps_of(layout):
    keras.utils.set_random_seed(0)
    networks = network.build_networks(layout)
    return networks, steps.Steps(networks, layout, {"category": None}, planned=20)


def batch_of(layout, labels):
    tensors = {n: tf.constant(v) for n, v in features.batch(layout, len(labels)).items()}
    ids = tf.constant([f"record-{place}" for place in range(len(labels))])
    return batches.Batch(tensors, {"category": tf.constant(labels, tf.int64)}, ids)


def test_each_registry_has_what_a_spec_can_name():
    assert tuple(optimizers.OPTIMIZERS) == tuple(ARGUMENTS) == typing.get_args(OptimizerName)
    assert tuple(ARGUED) == tuple(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_each_argument_that_a_spec_can_name_is_one_of_keras(name):
    taken = inspect.signature(optimizers.OPTIMIZERS[name]).parameters
    assert ARGUMENTS[name].model_fields.keys() <= taken.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_only_labels_teach_and_a_training_continues_with_the_same_bits_from_its_state(name):
    layout = layout_of(name, weight_decay=0.0)
    networks, trained = steps_of(layout)
    assert type(trained.optimizer) is optimizers.OPTIMIZERS[name]
    variables = [*networks.training.weights, *trained.state]

    def values():
        return [variable.numpy() for variable in variables]

    before = networks.training.get_weights()
    assert trained.train(batch_of(layout, [-1, -1, -1, -1]), epoch=1, step=0) == 0
    for old, new in zip(before, networks.training.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    batch = batch_of(layout, [0, 1, 2, 0])
    trained.train(batch, epoch=1, step=1)
    kept = values()

    def further():
        trained.begin_epoch(2)
        for step in range(2):
            trained.train(batch, epoch=2, step=step)
        return values()

    expected = further()
    for variable, value in zip(variables, kept, strict=True):
        variable.assign(value)
    for found, value in zip(further(), expected, strict=True):
        np.testing.assert_array_equal(found, value)
    weights = networks.training.trainable_variables
    assert any((a != b).any() for a, b in zip(kept[: len(weights)], expected, strict=False))
    assert int(trained.state[0]) == 4


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_reach_the_optimizer_and_all_but_adam_decay_weights(name):
    layout = layout_of(name, weight_decay=0.5)
    kernel, bias = keras.Variable(np.ones((2, 2), "f")), keras.Variable(np.ones(2, "f"))
    made = optimizers.optimizer([kernel, bias], layout.spec.training, 20, 0.1)
    found = made.get_config()
    assert {key: found[key] for key in ARGUED[name]} == ARGUED[name]
    assert found["global_clipnorm"] == 1.0
    made.apply([tf.zeros((2, 2)), tf.zeros(2)], [kernel, bias])
    assert (float(kernel[0, 0]) < 1) == (name != "adam")
    assert float(bias[0]) == 1


def test_the_default_is_adamw_as_keras_has_it():
    layout = features.layout(["text"], learning_rate=0.01, weight_decay=0.02)
    kernel, bias = keras.Variable(np.ones((2, 2), "f")), keras.Variable(np.ones(2, "f"))
    made = optimizers.optimizer([kernel, bias], layout.spec.training, 20, 0.01)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.005, 19, alpha=0.01, warmup_target=0.01, warmup_steps=1
    )
    expected = keras.optimizers.AdamW(schedule, weight_decay=0.02, global_clipnorm=1.0)
    config, own = made.get_config(), expected.get_config()
    assert {**config, "name": ""} == {**own, "name": ""}
