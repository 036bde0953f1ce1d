"""Training of several tasks: no gradient from records without a label, and learned task weights."""

import shutil
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import layout as model_layout
from triad_ml.model import network
from triad_ml.model.data import batches
from triad_ml.model.tasks import task_weights
from triad_ml.model.training import loop
from triad_ml.model.training import steps as training_steps

TASKS = {
    "category": {},
    "tags": {"multi_label": True},
    "names": {"kind": "tagging"},
    "focus": {"imbalance": "focal"},
}
KINDS = {
    "fixed": ("fixed", {}),
    "uncertainty": ("uncertainty", {}),
    "task fusion": ("fixed", {"task_fusion": "mlp"}),
    "task attention": ("uncertainty", {"task_fusion": "attention"}),
}
STILL = {"augment": False, "weight_decay": 0.0}
ROWS = 6


def labels(layout, without=()):
    """Labels of each task, and none of those `without`."""
    length = layout.spec.modalities.text.length
    given = {
        "category": np.arange(ROWS) % 3,
        "tags": np.eye(3, 4, dtype=np.float32)[np.arange(ROWS) % 3],
        "names": np.tile([1, 2, 0, 0, 0, 0][:length], (ROWS, 1)),
        "focus": np.arange(ROWS) % 3,
    }
    return {
        name: tf.constant(np.full_like(values, -1) if name in without else values)
        for name, values in given.items()
    }


def batch(layout, without=()):
    made = {name: tf.constant(values) for name, values in features.batch(layout, ROWS).items()}
    return batches.Batch(made, labels(layout, without), tf.constant(["r"] * ROWS))


class Started(NamedTuple):
    """A training before its first step."""

    layout: model_layout.Layout
    networks: network.Networks
    steps: training_steps.Steps


@pytest.fixture(scope="module")
def trainings():
    """Fixed weights, learned ones, and task fusion, with the values that they begin with."""
    made = {}
    for kind, (task_weights_of, model) in KINDS.items():
        keras.utils.set_random_seed(0)
        layout = features.layout(
            ["image", "text"], tasks=TASKS, model=model, **STILL, task_weights=task_weights_of
        )
        networks = network.build_networks(layout)
        for layer in networks.scoring.layers:
            if layer.name.endswith("_shared"):  # at zero it would pass no gradient to any layer
                layer.kernel.assign(keras.random.normal(layer.kernel.shape))
        none = dict.fromkeys(layout.spec.tasks)
        started = Started(
            layout, networks, training_steps.Steps(networks, layout, none, planned=10)
        )
        made[kind] = (started, [variable.numpy() for variable in variables_of(started)])
    return made


def variables_of(started):
    return [*started.networks.training.weights, *started.steps.optimizer.variables]


def anew(trainings, kind):
    """The training as it was before its first step; building and tracing it takes seconds."""
    started, values = trainings[kind]
    for variable, value in zip(variables_of(started), values, strict=True):
        variable.assign(value)
    return started


def of_task(networks, task):
    """The weights that only this task's loss can move."""
    return {
        variable.path: variable.numpy()
        for layer in networks.training.layers
        if layer.name.startswith(f"head_{task}")
        or (layer.name.startswith("auxiliary_") and layer.name.endswith(f"_{task}"))
        for variable in layer.trainable_variables
    }


def same(before, after):
    return {name: bool((values == after[name]).all()) for name, values in before.items()}


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_a_task_without_labels_in_a_batch_has_gradients_of_exactly_zero(trainings, task, weights):
    layout, networks, trained = anew(trainings, weights)
    before = {name: of_task(networks, name) for name in TASKS}
    assert np.isfinite(trained.train(batch(layout, without=[task]), epoch=1, step=0))
    # The first step of Adam moves a weight by the sign of its gradient, however small that is.
    after = {name: of_task(networks, name) for name in TASKS}
    assert len(before[task]) >= 2
    assert all(same(before[task], after[task]).values())
    for other in set(TASKS) - {task}:
        assert not all(same(before[other], after[other]).values()), other
    if KINDS[weights][0] == "uncertainty":
        values = networks.training.get_layer(task_weights.LAYER).values.numpy()
        moved = dict(zip(TASKS, values != 0, strict=True))
        assert moved == {name: name != task for name in TASKS}


@pytest.mark.parametrize("weights", ["uncertainty", "task fusion", "task attention"])
def test_without_any_label_no_weight_moves(trainings, weights):
    layout, networks, trained = anew(trainings, weights)
    before = networks.training.trainable_variables
    kept = [variable.numpy() for variable in before]
    assert trained.train(batch(layout, without=TASKS), epoch=1, step=0) == 0
    for variable, values in zip(before, kept, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)


def test_losses_are_divided_by_variances_and_variances_have_a_price():
    found = {"a": 2.0, "a@text": 3.0, "b": 0.0}
    losses = {name: tf.Variable(value) for name, value in found.items()}
    variances = tf.Variable([[0.7, -0.2]])
    with tf.GradientTape() as tape:
        total = task_weights.joined(losses, variances, ["a", "b"])
    slopes = tape.gradient(total, [losses["a"], losses["a@text"], variances])
    assert float(total) == pytest.approx((2 + 3) * np.exp(-0.7) + 0.7 / 2, rel=1e-6)
    assert [float(one) for one in slopes[:2]] == pytest.approx([np.exp(-0.7)] * 2)
    assert slopes[2].numpy()[0].tolist() == [pytest.approx(0.5 - 2 * np.exp(-0.7)), 0.0]


def test_a_learned_weight_stays_within_bounds():
    far = np.array([-100, 100], np.float32)
    assert task_weights.weights(far).tolist() == pytest.approx([np.exp(4), np.exp(-4)])


def test_learned_weights_begin_with_those_of_the_spec_and_are_not_part_of_the_model():
    layout = features.layout(
        ["text"],
        tasks={"a": {"weight": 2.0}, "b": {}},
        task_weights="uncertainty",
    )
    networks = network.build_networks(layout)
    trained = training_steps.Steps(networks, layout, dict.fromkeys("ab"), planned=10)
    assert trained.task_weights == {"a": 2.0, "b": 1.0}
    names = {layer.name for layer in networks.scoring.layers}
    assert task_weights.LAYER not in names
    assert set(networks.scoring(features.batch(layout, 2))) == {"a", "b"}


def test_an_interrupted_training_goes_on_with_the_weights_it_had_learned(tmp_path):
    layout = features.layout(
        ["text"], tasks={"a": {}, "b": {}}, task_weights="uncertainty", epochs=3, patience=3
    )
    made = [
        features.FeatureRecord(one.id, text=one.text, labels={"ab"[place % 2]: one.labels["a"]})
        for place, one in enumerate(features.records(layout, 24))
    ]
    files = {"train": features.write(tmp_path / "train", layout, made)}

    def keep(row):
        """Keeps what a kill would leave behind the first epoch."""
        if row["epoch"] == 1:
            shutil.copytree(tmp_path / "whole", tmp_path / "cut")

    expected = loop.train(files, layout, tmp_path / "whole", "digest", on_epoch=keep).history
    resumed = loop.train(files, layout, tmp_path / "cut", "digest")
    assert resumed.resumed_from == 1
    found = resumed.history
    learned = [[row["a_weight"], row["b_weight"]] for row in expected]
    assert [[row["a_weight"], row["b_weight"]] for row in found] == learned
    assert len({tuple(row) for row in learned}) == 3
    assert all(len(set(row)) == 2 for row in learned)
