"""Task fusion: every kind of head takes part, and training begins as without it."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network as model_network
from triad_ml.model.tasks.task_fusion import TASK_FUSIONS
from triad_ml.transforms.spec.model import TaskFusion

TASKS = {
    "category": {},
    "tags": {"multi_label": True},
    "price": {"kind": "regression"},
    "names": {"kind": "tagging"},
    "answer": {"kind": "generation", "length": 4},
}
OWN = {
    "category": "head_category",
    "tags": "head_tags",
    "price": "head_price",
    "names": "head_names_emissions",
    "answer": "head_answer_context",
}
"""By task, a layer of its head that no other head reads without task fusion."""
ROWS = 6


def networks_of(task_fusion, fusion="gated", tasks=TASKS):
    model = {"fusion": fusion, "task_fusion": task_fusion}
    layout = features.layout(["image", "text"], tasks=tasks, model=model)
    keras.utils.set_random_seed(8)
    return layout, model_network.build_networks(layout)


def batch_of(layout):
    batch = features.batch(layout, ROWS)
    batch["scale_price"] = np.tile(np.float32([3, 2]), (ROWS, 1))
    batch["units_answer"] = np.full((ROWS, 2 * layout.spec.modalities.text.length), -1)
    return {name: tf.constant(values) for name, values in batch.items()}


def share(networks, seed=0):
    """Sets the projections of what tasks share to other values than the zeros of the beginning."""
    random = np.random.default_rng(seed)
    for task in networks.scoring.output:
        kernel = networks.scoring.get_layer(f"head_{task}_shared").kernel
        kernel.assign(random.normal(size=kernel.shape))


def outputs(networks, batch):
    found = networks.scoring(batch, training=False)
    return {task: output.numpy() for task, output in found.items()}


def changed(before, after):
    return {task for task, output in before.items() if (output != after[task]).any()}


@pytest.fixture(scope="module", params=["mlp", "attention"])
def fused(request):
    layout, networks = networks_of(request.param)
    return layout, networks, batch_of(layout)


@pytest.fixture(scope="module")
def plain():
    return networks_of("none")[1]


def test_the_registry_has_what_a_spec_can_name():
    assert tuple(TASK_FUSIONS) == typing.get_args(TaskFusion)


def test_training_begins_with_the_weights_and_outputs_of_a_network_without_it(fused, plain):
    _, networks, batch = fused
    for layer in networks.scoring.layers:
        if layer.name.endswith("_shared"):
            layer.kernel.assign(tf.zeros_like(layer.kernel))
    own = [layer for layer in plain.training.layers if layer.weights]
    assert len(own) > 20
    for layer in own:
        twin = networks.training.get_layer(layer.name)
        for expected, found in zip(layer.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert changed(outputs(plain, batch), outputs(networks, batch)) == set()


@pytest.mark.parametrize("task", TASKS)
def test_what_one_task_finds_moves_the_output_of_every_other(fused, plain, task):
    _, networks, batch = fused
    share(networks)
    bias = networks.scoring.get_layer(OWN[task]).bias
    kept, before = bias.numpy(), outputs(networks, batch)
    bias.assign(kept + np.linspace(0.5, 1.5, len(kept)))
    after = outputs(networks, batch)
    bias.assign(kept)
    assert changed(before, after) == set(TASKS)
    bias, before = plain.scoring.get_layer(OWN[task]).bias, outputs(plain, batch)
    kept = bias.numpy()
    bias.assign(kept + np.linspace(0.5, 1.5, len(kept)))
    after = outputs(plain, batch)
    bias.assign(kept)
    assert changed(before, after) == {task}


def test_shapes_are_those_without_it_and_the_scale_of_numbers_stays(fused, plain):
    _, networks, batch = fused
    share(networks)
    found, expected = outputs(networks, batch), outputs(plain, batch)
    assert {task: one.shape for task, one in found.items()} == {
        task: one.shape for task, one in expected.items()
    }
    np.testing.assert_array_equal(found["price"][:, 1:], batch["scale_price"])
    transitions = slice(6, None)
    np.testing.assert_array_equal(found["names"][:, transitions], expected["names"][:, transitions])
    np.testing.assert_array_equal(found["answer"][:, 1:], expected["answer"][:, 1:])


def test_the_loss_of_one_task_has_no_gradient_in_the_head_of_another(fused):
    _, networks, batch = fused
    share(networks)
    others = [v for name in OWN.values() for v in networks.scoring.get_layer(name).weights]
    own = networks.scoring.get_layer(OWN["category"]).weights
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(networks.scoring(batch, training=False)["category"] ** 2)
    gradients = tape.gradient(loss, others)
    reached = {
        variable.path
        for variable, gradient in zip(others, gradients, strict=True)
        if gradient is not None
    }
    assert reached == {variable.path for variable in own}


def test_a_hidden_text_tells_other_tasks_nothing(fused):
    _, networks, batch = fused
    share(networks)
    absent = batch | {"text_present": tf.zeros(ROWS, tf.bool)}
    other = absent | {"text": tf.roll(batch["text"], 1, axis=0)}
    assert changed(outputs(networks, absent), outputs(networks, other)) == set()


def test_a_saved_and_loaded_network_predicts_the_same(fused, tmp_path):
    _, networks, batch = fused
    share(networks)
    networks.scoring.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")(batch)
    for task, output in outputs(networks, batch).items():
        np.testing.assert_array_equal(loaded[task], output)


@pytest.mark.parametrize("kind", ["mlp", "attention"])
@pytest.mark.parametrize("fusion", ["gated", "sum"])
def test_a_row_depends_on_nothing_but_itself_to_the_last_bit(fusion, kind):
    layout, networks = networks_of(kind, fusion, {"category": {}, "tags": {"multi_label": True}})
    share(networks)
    random = np.random.default_rng(0)
    batch = features.batch(layout, 48)
    for name in ("image", "text"):
        batch[f"{name}_present"] = random.random(48) < 0.7
    order = random.permutation(48)
    moved = {name: values[order] for name, values in batch.items()}
    call = tf.function(lambda given: networks.scoring(given, training=False))
    after = call(moved)
    for task, logits in call(batch).items():
        np.testing.assert_array_equal(after[task], logits.numpy()[order])
