"""Network as a whole: towers, fusion and heads together."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network as model_network
from triad_ml.model.tasks.classification import head

SUBSETS = [
    ["image"],
    ["audio"],
    ["text"],
    ["image", "audio"],
    ["image", "text"],
    ["audio", "text"],
    list(features.ALL),
]
TASKS = {"category": {}, "tags": {"multi_label": True}}


def hidden(batch, *names):
    return batch | {f"{name}_present": np.zeros_like(batch[f"{name}_present"]) for name in names}


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    layout = features.layout(tasks=TASKS)
    return layout, model_network.build(layout)


@pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
def test_any_modalities_give_logits_for_each_task(modalities):
    layout = features.layout(modalities, num_classes=5, tasks=TASKS)
    networks = model_network.build_networks(layout)
    logits = networks.scoring(features.batch(layout, 3))
    assert {name: (v.dtype.name, v.shape.as_list()) for name, v in logits.items()} == {
        "category": ("float32", [3, 5]),
        "tags": ("float32", [3, 5]),
    }
    alone = {f"{task}@{name}" for task in TASKS for name in modalities if len(modalities) > 1}
    assert set(networks.training(features.batch(layout, 3))) == set(TASKS) | alone


def test_inputs_are_named_as_the_features(network):
    layout, model = network
    assert {one.name for one in model.inputs} == set(features.batch(layout, 1))


def test_a_saved_and_loaded_network_predicts_the_same(network, tmp_path):
    layout, model = network
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    batch = hidden(features.batch(layout, 4), "audio")
    for name, logits in model(batch).items():
        np.testing.assert_array_equal(loaded(batch)[name], logits)


@pytest.mark.parametrize("name", features.ALL)
def test_what_a_missing_modality_holds_does_not_change_a_bit(network, name):
    layout, model = network
    batch = hidden(features.batch(layout, 4), name)
    zeroed = batch | {name: np.zeros_like(batch[name])}
    for task, logits in model(batch).items():
        np.testing.assert_array_equal(model(zeroed)[task], logits)
    full = features.batch(layout, 4)
    assert np.abs(model(full)["category"] - model(batch)["category"]).max() > 1e-4


@pytest.fixture(scope="module", params=["concat", "mlp", "gated", "attention", "sum"])
def fusion(request):
    """A network of each kind, as one TensorFlow function over one shape, as it is served."""
    keras.utils.set_random_seed(0)
    layout = features.layout(tasks=TASKS, model={"fusion": request.param})
    model = model_network.build(layout)
    return layout, model, tf.function(lambda batch: model(batch, training=False))


def test_with_each_fusion_a_row_depends_on_nothing_but_itself_to_the_last_bit(fusion):
    layout, _, call = fusion
    random = np.random.default_rng(0)
    batch = features.batch(layout, 48)
    for name in features.ALL:
        batch[f"{name}_present"] = random.random(48) < 0.7
    expected = call(batch)
    order = random.permutation(48)
    moved = {name: values[order] for name, values in batch.items()}
    others = features.batch(layout, 48, seed=1)
    alone = {name: np.concatenate([batch[name][:1], others[name][1:]]) for name in batch}
    for task, logits in expected.items():
        np.testing.assert_array_equal(call(moved)[task], logits.numpy()[order])
        np.testing.assert_array_equal(call(alone)[task][0], logits[0])


@pytest.mark.parametrize("name", features.ALL)
def test_with_each_fusion_what_a_missing_modality_holds_does_not_change_a_bit(fusion, name):
    layout, _, call = fusion
    full = features.batch(layout, 48)
    batch = hidden(full, name)
    changed = batch | {name: np.zeros_like(batch[name])}
    if name == "audio":
        changed[name] += np.float32(np.nan)
    for task, logits in call(batch).items():
        np.testing.assert_array_equal(call(changed)[task], logits)
        assert np.abs(call(full)[task] - logits).max() > 1e-4


def test_with_each_fusion_the_network_comes_back_from_its_file(fusion, tmp_path):
    layout, model, _ = fusion
    model.save(tmp_path / "model.keras")
    batch = features.batch(layout, 4)
    for task, logits in keras.models.load_model(tmp_path / "model.keras")(batch).items():
        np.testing.assert_array_equal(logits, model(batch)[task])


@pytest.mark.parametrize("kind", ["concat", "mlp", "attention", "sum"])
@pytest.mark.parametrize("modalities", [["text"], ["image", "audio"]], ids="+".join)
def test_each_fusion_takes_one_modality_or_two(kind, modalities):
    layout = features.layout(modalities, model={"fusion": kind})
    logits = model_network.build(layout)(features.batch(layout, 2))["category"]
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", features.ALL)
def test_a_missing_modality_enters_as_its_learned_embedding(network, name):
    layout, model = network
    batch = features.batch(layout, 4)
    batch[f"{name}_present"] = np.array([True, False, True, False])
    before = model(batch)["category"].numpy()
    vector = model.get_layer(f"{name}_or_missing").vector
    kept = vector.numpy()
    vector.assign(kept + 1)
    after = model(batch)["category"].numpy()
    vector.assign(kept)
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert np.abs(after[[1, 3]] - before[[1, 3]]).min(axis=1).max() > 1e-5


def test_a_nan_in_a_missing_sound_reaches_neither_loss_nor_gradient():
    layout = features.layout()
    networks = model_network.build_networks(layout)
    batch = features.batch(layout, 4)
    batch["audio_present"] = np.array([True, False, True, True])
    batch["audio"][1] = np.nan
    tensors = {name: tf.constant(values) for name, values in batch.items()}
    variables = networks.training.trainable_variables
    with tf.GradientTape() as tape:
        outputs = networks.training(tensors, training=True)
        loss = tf.add_n([tf.reduce_sum(one**2) for one in outputs.values()])
    gradients = tape.gradient(loss, variables)
    assert np.isfinite(loss.numpy())
    assert all(np.isfinite(tf.convert_to_tensor(one)).all() for one in gradients)


def test_a_row_does_not_depend_on_its_neighbours(network):
    layout, model = network
    batch, others = features.batch(layout, 4, seed=0), features.batch(layout, 4, seed=1)
    mixed = {name: np.concatenate([others[name][:3], batch[name][:1]]) for name in batch}
    np.testing.assert_array_equal(model(mixed)["category"][3], model(batch)["category"][0])


def test_every_weight_of_the_scoring_network_is_trained(network):
    layout, _ = network
    networks = model_network.build_networks(layout)
    scoring = {id(variable) for variable in networks.scoring.trainable_variables}
    assert scoring == {id(variable) for variable in networks.training.trainable_variables}


@pytest.mark.parametrize(
    ("multi_label", "expected"),
    [(False, [[0.5, 0.25, 0.25]]), (True, [[2 / 3, 0.5, 0.5]])],
)
def test_logits_become_probabilities(multi_label, expected):
    logits = np.log([[2.0, 1.0, 1.0]]).astype("f")
    found = head.probabilities(logits, multi_label).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "order",
    ["import tensorflow_transform, keras", "import keras, tensorflow_transform"],
)
def test_both_import_orders_give_a_keras_3_model(order):
    code = (
        f"{order}\nfrom triad_ml.model import network as networks\nimport tests.features as f\n"
        "network = networks.build(f.layout(['text']))\n"
        "assert isinstance(network, keras.Model), type(network)\n"
        "print(keras.__version__.split('.')[0], network(f.batch(f.layout(['text']), 2)).keys())"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3 dict_keys(['category'])\n", done.stderr
