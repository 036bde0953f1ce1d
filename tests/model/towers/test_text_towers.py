"""Layers over tokens: masks, rows on their own, saved files, and the ops of a SavedModel."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network as model_network
from triad_ml.model.serving import safety
from triad_ml.model.towers import sequences
from triad_ml.model.towers.text import TEXT_TOWERS
from triad_ml.transforms.spec.model import TextTower

TASKS = {"category": {}, "names": {"kind": "tagging"}}


@pytest.fixture(scope="module", params=["gru", "lstm", "transformer"])
def tower(request):
    """A network with each kind, as one TensorFlow function over one shape, as it is served."""
    keras.utils.set_random_seed(0)
    model = {"text_tower": request.param}
    layout = features.layout(["text"], tasks=TASKS, model=model)
    network = model_network.build(layout)
    return layout, network, tf.function(lambda batch: network(batch, training=False))


def random_batch(layout, seed=0):
    random = np.random.default_rng(seed)
    batch = features.batch(layout, 48, seed)
    for name in layout.spec.modalities.names:
        batch[f"{name}_present"] = random.random(48) < 0.7
    return {name: tf.constant(values) for name, values in batch.items()}


def test_the_registry_has_what_a_spec_can_name():
    assert tuple(TEXT_TOWERS) == typing.get_args(TextTower)


def test_a_row_depends_on_nothing_but_itself_to_the_last_bit(tower):
    layout, _, call = tower
    batch, others = random_batch(layout), random_batch(layout, seed=1)
    expected = call(batch)
    order = np.random.default_rng(2).permutation(48)
    moved = call({name: tf.gather(values, order) for name, values in batch.items()})
    mixed = {name: tf.concat([batch[name][:1], others[name][1:]], axis=0) for name in batch}
    for task, output in expected.items():
        np.testing.assert_array_equal(moved[task], output.numpy()[order])
        np.testing.assert_array_equal(call(mixed)[task][0], output[0])
        for _ in range(5):
            np.testing.assert_array_equal(call(batch)[task], output)


def test_what_a_missing_text_holds_does_not_change_a_bit(tower):
    layout, _, call = tower
    batch = random_batch(layout) | {"text_present": tf.zeros(48, tf.bool)}
    other = batch | {"text": tf.roll(batch["text"], 1, axis=0)}
    for task, output in call(batch).items():
        np.testing.assert_array_equal(call(other)[task], output)
        assert np.isfinite(output).all()


def test_the_network_comes_back_from_its_file(tower, tmp_path):
    layout, network, _ = tower
    network.save(tmp_path / "model.keras")
    batch = random_batch(layout)
    for task, output in keras.models.load_model(tmp_path / "model.keras")(batch).items():
        np.testing.assert_array_equal(output, network(batch)[task])


def test_a_saved_model_with_it_only_computes(tower, tmp_path):
    layout, network, _ = tower
    module = tf.Module()
    module.network = network
    inputs = {
        name: tf.TensorSpec([None, *values.shape[1:]], values.dtype, name=name)
        for name, values in random_batch(layout).items()
    }
    call = tf.function(lambda **batch: network(batch, training=False))
    signatures = {"serving_default": call.get_concrete_function(**inputs)}
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signatures)
    assert "serving_default" in safety.check_folder(tmp_path / "saved")
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    batch = random_batch(layout)
    order = np.random.default_rng(2).permutation(48)
    moved = loaded(**{name: tf.gather(values, order) for name, values in batch.items()})
    for task, output in loaded(**batch).items():
        np.testing.assert_array_equal(moved[task], output.numpy()[order])
        # The shape of its signature is another one, so that TensorFlow may round otherwise.
        np.testing.assert_allclose(output, tower[2](batch)[task], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_recurrent_vectors_are_those_of_keras_over_the_words_without_padding(kind):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    values = random.normal(size=(3, 7, 5)).astype(np.float32)
    lengths = np.array([7, 4, 0])
    known = np.arange(7) < lengths[:, None]
    layer = sequences.Recurrent(kind, 6)
    found = layer(tf.constant(values), tf.constant(known)).numpy()
    assert found.shape == (3, 7, 12)
    for row, length in enumerate(lengths[:2]):
        words = tf.constant(values[row : row + 1, :length])
        before = layer.forwards(words).numpy()[0]
        after = layer.backwards(words).numpy()[0, ::-1]
        np.testing.assert_allclose(found[row, :length], np.hstack([before, after]), atol=1e-6)
    assert not found[2].any()


def test_self_attention_sees_no_padding():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    values = random.normal(size=(1, 7, 8)).astype(np.float32)
    other = np.where(np.arange(7)[None, :, None] < 4, values, 9)
    known = tf.constant(np.arange(7)[None] < 4)
    block = sequences.AttentionBlock(8)
    found = [block(one, one, known).numpy()[0, :4] for one in map(tf.constant, (values, other))]
    np.testing.assert_array_equal(*found)
    whole = block(tf.constant(other), tf.constant(other), tf.ones((1, 7), tf.bool)).numpy()[0, :4]
    assert np.abs(whole - found[0]).max() > 1e-3


def test_no_graph_of_a_recurrent_layer_needs_a_gpu():
    layer = sequences.Recurrent("gru", 4)
    layer.build((None, 6, 4), (None, 6))
    assert not layer.forwards.use_cudnn
    assert not layer.backwards.use_cudnn
