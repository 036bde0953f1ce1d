"""Tagging head in the network: losses, words to tag, and independence of rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import layout
from triad_ml.model import network as model_network
from triad_ml.model.data import batches
from triad_ml.model.evaluation import predict
from triad_ml.model.tasks.tagging import crf, head
from triad_ml.model.tasks.tagging.bio import num_tags
from triad_ml.model.towers import word_context
from triad_ml.model.training import steps
from triad_ml.transforms.spec.spec import Spec

ROWS, LENGTH, CLASSES = 48, 6, 2
TAGS = num_tags(CLASSES)
SPEC = Spec.model_validate(
    {
        "modalities": {name: features.SECTIONS[name] for name in ("image", "text")},
        "tasks": {
            "names": {"kind": "tagging", "label": "names"},
            "roles": {"kind": "tagging", "label": "roles", "marker": "at"},
            "kind": {"kind": "classification", "label": "kind"},
        },
        "model": {**features.MODEL, "dropout": 0.0, "modality_dropout": 0.0},
        "training": {"batch_size": 8, "augment": False, "weight_decay": 0.0},
    }
)
LAYOUT = layout.Layout(SPEC, dict.fromkeys(SPEC.tasks, ("c0", "c1")), features.VOCABULARY_SIZE)


def batch(rows: int = ROWS, seed: int = 0) -> dict[str, tf.Tensor]:
    """Features of noise; a marker at one word of each text."""
    made = {name: tf.constant(v) for name, v in features.batch(LAYOUT, rows, seed).items()}
    marker = np.zeros((rows, LENGTH), np.int64)
    marker[:, 1] = 1
    return {**made, "marker_roles": tf.constant(marker)}


def labels(given: dict[str, tf.Tensor], seed: int = 0) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(seed)
    words = given["text"].numpy() > 0
    tags = np.where(random.random(words.shape) < 0.5, 0, 1 + 2 * random.integers(0, 2, words.shape))
    tags = np.where(words, tags, -1)
    kinds = random.integers(0, 2, len(words))
    return {"names": tf.constant(tags), "roles": tf.constant(tags), "kind": tf.constant(kinds)}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = model_network.build(LAYOUT)
    for name in ("names", "roles"):  # all zeros at first
        weights = model.get_layer(f"head_{name}").weights_of_pairs
        weights.assign(np.random.default_rng(1).normal(size=weights.shape))
    return model


def decoded(model: keras.Model, given: dict[str, tf.Tensor], task: str) -> crf.Decoded:
    packed = model(given, training=False)[task]
    return crf.decode(crf.unpack(packed, head.words_to_tag(given, task)))


def test_a_head_gives_emissions_and_transitions(network):
    outputs = network(batch(3))
    assert {name: tuple(one.shape) for name, one in outputs.items()} == {
        "names": (3, LENGTH + TAGS, TAGS),
        "roles": (3, LENGTH + TAGS, TAGS),
        "kind": (3, 2),
    }


def test_a_saved_and_loaded_network_predicts_the_same(network, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    given = batch(4)
    for name, output in network(given).items():
        np.testing.assert_array_equal(loaded(given)[name], output)


def test_a_row_does_not_depend_by_a_bit_on_its_place_or_its_neighbours(network):
    given = batch()
    order = np.random.default_rng(3).permutation(ROWS)
    moved = {name: tf.gather(values, order) for name, values in given.items()}
    half = {name: tf.concat([v[:24], v[:24]], axis=0) for name, v in given.items()}
    for task in ("names", "roles"):
        whole = decoded(network, given, task)
        assert whole.tags.numpy().any()
        for part, other, twice in zip(
            whole, decoded(network, moved, task), decoded(network, half, task), strict=True
        ):
            np.testing.assert_array_equal(part.numpy()[order], other.numpy())
            np.testing.assert_array_equal(part.numpy()[:24], twice.numpy()[24:])


def test_only_words_are_tagged_and_roles_only_where_something_is_marked(network):
    given = batch(8)
    marker = given["marker_roles"].numpy()
    marker[:4] = 0
    given = given | {"marker_roles": tf.constant(marker)}
    given["text_present"] = tf.constant([True] * 7 + [False])
    words = given["text"].numpy() > 0
    words[7] = False
    np.testing.assert_array_equal(head.words_to_tag(given, "names"), words)
    words[:4] = False
    np.testing.assert_array_equal(head.words_to_tag(given, "roles"), words)
    assert not decoded(network, given, "roles").tags.numpy()[:4].any()
    assert decoded(network, given, "roles").scores.numpy()[:4].tolist() == [1.0] * 4


def test_the_marked_word_changes_what_is_said_of_the_others(network):
    given = batch(8)
    moved = given | {"marker_roles": tf.roll(given["marker_roles"], 1, axis=1)}
    before, after = (network(one)["roles"][:, :LENGTH] for one in (given, moved))
    assert np.abs(before - after).max(axis=(1, 2)).min() > 1e-4
    np.testing.assert_array_equal(network(given)["names"], network(moved)["names"])


def test_other_modalities_change_what_is_said_of_the_words(network):
    given = batch(8)
    hidden = given | {"image_present": tf.zeros(8, tf.bool)}
    assert np.abs(network(given)["names"] - network(hidden)["names"]).max() > 1e-4


def test_distances_are_counted_from_the_first_marked_word():
    layer = head.Distances()
    marker = np.zeros((3, 60), np.int64)
    marker[0, 2:4] = 1
    marker[1, 59] = 1
    found = layer(marker).numpy()
    far = head.FARTHEST
    assert found[0, :6].tolist() == [far - 2, far - 1, 2 * far + 1, 2 * far + 1, far + 2, far + 3]
    assert found[0, 59] == 2 * far
    assert (found[1, 0], found[1, 58]) == (0, far - 1)
    assert found.max() == 2 * far + 1


def test_neighbours_are_zero_past_the_ends():
    sequence = np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1)
    assert word_context.Neighbours(2)(sequence).numpy()[0].tolist() == [
        [0, 1, 3],
        [0, 2, 0],
        [1, 3, 0],
    ]
    assert word_context.Neighbours(4)(sequence).numpy()[0, 1].tolist() == [0, 2, 0]


Trainer = tuple[model_network.Networks, steps.Steps]


@pytest.fixture(scope="module")
def traced() -> tuple[Trainer, list[np.ndarray]]:
    """A trainer, which takes seconds to trace, and the values of its variables at first."""
    keras.utils.set_random_seed(0)
    networks = model_network.build_networks(LAYOUT)
    trained = steps.Steps(networks, LAYOUT, dict.fromkeys(SPEC.tasks), planned=20)
    return (networks, trained), [one.numpy() for one in variables((networks, trained))]


def variables(trainer: Trainer) -> list[keras.Variable]:
    return [*trainer[0].training.weights, *trainer[1].optimizer.variables]


@pytest.fixture
def trainer(traced: tuple[Trainer, list[np.ndarray]]) -> Trainer:
    """The trainer as it was at first."""
    begun, values = traced
    for variable, value in zip(variables(begun), values, strict=True):
        variable.assign(value)
    return begun


def head_weights(networks: model_network.Networks, task: str) -> list[np.ndarray]:
    layers = [one for one in networks.training.layers if one.name.startswith(f"head_{task}")]
    return [weight.numpy() for one in layers for weight in one.trainable_weights]


@pytest.mark.parametrize("missing", ["label", "marker"])
def test_without_a_label_or_a_marker_a_head_learns_exactly_nothing(missing, trainer):
    networks, trained = trainer
    given = batch(8)
    known = labels(given)
    if missing == "label":
        known["roles"] = tf.fill(known["roles"].shape, tf.constant(-1, tf.int64))
    else:
        given["marker_roles"] = tf.zeros_like(given["marker_roles"])
    before = {task: head_weights(networks, task) for task in ("names", "roles")}
    ids = tf.constant([f"r{place}" for place in range(8)])
    trained.train(batches.Batch(given, known, ids), epoch=1, step=0)
    for old, new in zip(before["roles"], head_weights(networks, "roles"), strict=True):
        np.testing.assert_array_equal(old, new)
    moved = [
        (old != new).any()
        for old, new in zip(before["names"], head_weights(networks, "names"), strict=True)
    ]
    assert sum(moved) > len(moved) / 2
    sums = trained.measure([batches.Batch(given, known, ids)])
    assert (sums["roles"].known, sums["roles"].labelled) == (0, 0 if missing == "label" else 8)


def test_training_learns_tags_and_predictions_are_those_of_the_head(trainer):
    networks, trained = trainer
    given = batch(8)
    known = labels(given)
    ids = tf.constant([f"r{place}" for place in range(8)])
    one = batches.Batch(given, known, ids)
    losses = [trained.train(one, epoch=1, step=step) for step in range(40)]
    assert losses[-1] < losses[0] / 2
    dataset = tf.data.Dataset.from_tensors(one)
    found = predict.predict(networks.scoring, dataset, LAYOUT)
    assert found.said.keys() == {"names", "roles", "kind"}
    for task in ("names", "roles"):
        expected = decoded(networks.scoring, given, task)
        np.testing.assert_array_equal(found.said[task].tags, expected.tags)
        np.testing.assert_allclose(found.said[task].scores, expected.span_scores, atol=1e-5)
        words = known[task].numpy() >= 0
        right = (np.where(words, known[task], 0) == expected.tags.numpy()).all(axis=1).sum()
        assert trained.measure([one])[task].correct == right
    hidden = predict.predict(networks.scoring, dataset, LAYOUT, hidden=["text"])
    assert not hidden.said["names"].tags.any()


def test_the_same_training_gives_the_same_weights_to_the_last_bit(traced):
    (networks, trained), values = traced
    given = batch(8)
    one = batches.Batch(given, labels(given), tf.constant([f"r{place}" for place in range(8)]))
    found = []
    for _ in range(2):
        for variable, value in zip(variables((networks, trained)), values, strict=True):
            variable.assign(value)
        losses = [trained.train(one, epoch=1, step=step) for step in range(6)]
        found.append((losses, networks.training.get_weights()))
    (losses, weights), (losses_again, weights_again) = found
    assert losses == losses_again
    for weight, again in zip(weights, weights_again, strict=True):
        np.testing.assert_array_equal(weight, again)
