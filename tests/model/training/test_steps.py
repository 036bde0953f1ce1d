"""Optimizer step, and loss and accuracy on a split."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network
from triad_ml.model.data import batches, scan
from triad_ml.model.tasks.classification import losses
from triad_ml.model.towers import mixing
from triad_ml.model.training import steps
from triad_ml.transforms.spec import training

STILL = {"augment": False, "weight_decay": 0.0}
QUIET = {"dropout": 0.0, "modality_dropout": 0.0}


def steps_of(layout, weights=None):
    keras.utils.set_random_seed(0)
    networks = network.build_networks(layout)
    none = dict.fromkeys(layout.spec.tasks)
    return networks, steps.Steps(networks, layout, weights or none, planned=20)


def batch_of(layout, rows, labels=None):
    values = labels if labels is not None else np.arange(rows) % 3
    tensors = {name: tf.constant(v) for name, v in features.batch(layout, rows).items()}
    ids = tf.constant([f"record-{place}" for place in range(rows)])
    return batches.Batch(tensors, {"category": tf.constant(values, tf.int64)}, ids)


def test_rows_that_fill_a_batch_up_change_neither_loss_nor_step():
    layout = features.layout(["image", "text"], model=QUIET, **STILL)
    batch = batch_of(layout, 6)
    traces = []
    for given in (batch, batches.pad_batch(batch, 8)):
        networks, trained = steps_of(layout)
        losses = [trained.train(given, epoch=1, step=step) for step in range(3)]
        sums = trained.measure([given])["category"]
        mean = networks.scoring.get_layer("image_0").moving_mean.numpy()
        traces.append((losses, sums, mean))
    (plain, plain_sums, plain_mean), (padded, padded_sums, padded_mean) = traces
    assert padded == pytest.approx(plain, rel=1e-4)
    assert padded_sums.known == plain_sums.known == 6
    assert padded_sums.correct == plain_sums.correct
    assert padded_sums.loss == pytest.approx(plain_sums.loss, rel=1e-3)
    np.testing.assert_allclose(padded_mean, plain_mean, rtol=1e-3, atol=1e-6)


def test_a_missing_modality_does_not_teach_the_head_that_it_has_alone():
    layout = features.layout(["image", "text"], **STILL)
    networks, trained = steps_of(layout)
    batch = batch_of(layout, 6)
    batch.features["image_present"] = tf.zeros(6, tf.bool)
    heads = {
        name: networks.training.get_layer(f"auxiliary_{name}_category")
        for name in ("image", "text")
    }
    before = {name: head.kernel.numpy() for name, head in heads.items()}
    trained.train(batch, epoch=1, step=0)
    np.testing.assert_array_equal(heads["image"].kernel.numpy(), before["image"])
    assert (heads["text"].kernel.numpy() != before["text"]).any()


@pytest.mark.parametrize("names", [["text"], ["image", "text"]])
def test_without_labels_nothing_is_learned(names):
    augment = {"mixup": True} if "image" in names else False
    layout = features.layout(names, **{**STILL, "augment": augment})
    networks, trained = steps_of(layout)
    before = [weight.numpy() for weight in networks.training.trainable_variables]
    assert trained.train(batch_of(layout, 4, labels=[-1, -1, 3, -1]), epoch=1, step=0) == 0
    for old, new in zip(before, networks.training.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_a_mixed_step_mixes_the_adjusted_losses_of_both_labels():
    switches = {**dict.fromkeys(training.USUAL, False), "mixup": True}
    layout = features.layout(["audio"], model=QUIET, **{**STILL, "augment": switches})
    offsets = np.array([0.0, -2.0, 1.0], np.float32)
    keras.utils.set_random_seed(0)
    networks = network.build_networks(layout)
    trained = steps.Steps(networks, layout, {"category": None}, 20, {"category": offsets})
    labels = np.array([0, 1, 2, -1, 1, 0, -1, 2])
    batch = batch_of(layout, 8, labels)
    drawn = np.random.SeedSequence([0, 1, 1, 0]).generate_state(2) >> 1  # as `Steps.train` does
    mix = mixing.mixed(batch.features, tf.constant(drawn.astype(np.int32)))
    assert (mix.shares.numpy() < 0.99).any()
    logits = networks.training(dict(mix.features), training=True)["category"]
    own, other = (
        losses.sparse_crossentropy(tf.constant(one), logits + offsets)
        for one in (labels, labels[mix.partners.numpy()])
    )
    wanted = float(losses.mixed_mean(own, other, mix.shares))
    assert trained.train(batch, epoch=1, step=0) == pytest.approx(wanted, rel=1e-5)
    assert wanted != pytest.approx(float(losses.masked_mean(*own)), rel=1e-3)


def test_a_set_with_a_class_that_training_does_not_know_counts_as_wrong():
    layout = features.layout(["text"], tasks={"tags": {"multi_label": True}})
    networks, trained = steps_of(layout)
    tensors = {name: tf.constant(v) for name, v in features.batch(layout, 4).items()}
    logits = networks.scoring(tensors, training=False)["tags"].numpy()
    unseen = np.array([[0], [1], [0], [1]])
    sets = np.concatenate([logits >= 0, unseen], axis=1).astype(np.float32)
    batch = batches.Batch(tensors, {"tags": tf.constant(sets)}, tf.constant(["r"] * 4))
    sums = trained.measure([batch])["tags"]
    assert (sums.correct, sums.labelled) == (2, 4)


def test_classes_that_training_does_not_know_count_as_wrong_and_not_in_the_loss():
    layout = features.layout(["text"])
    _, trained = steps_of(layout)
    sums = trained.measure([batch_of(layout, 4, labels=[0, 3, -1, 5])])["category"]
    assert (sums.known, sums.labelled) == (1, 3)
    assert sums.correct <= 1


def test_the_chance_of_a_step_depends_on_epoch_and_step_alone():
    layout = features.layout(["text"], learning_rate=1e-12, weight_decay=0.0)
    _, trained = steps_of(layout)
    batch = batch_of(layout, 6)

    def losses(epoch):
        trained.begin_epoch(epoch)
        return [trained.train(batch, epoch, step) for step in range(3)]

    first, second, again = losses(1), losses(2), losses(1)
    assert len(set(first + second)) == 6
    assert again == pytest.approx(first, abs=1e-6)


def test_the_learning_rate_rises_and_then_falls():
    layout = features.layout(["text"], learning_rate=0.01)
    _, trained = steps_of(layout)
    batch = batch_of(layout, 4)
    rates = []
    for step in range(20):
        rates.append(trained.learning_rate)
        trained.train(batch, 1, step)
    assert max(rates) == pytest.approx(0.01)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.001


def test_class_weights_follow_the_spec():
    tasks = {
        "plain": {},
        "category": {"imbalance": "class_weights"},
        "tags": {"imbalance": "class_weights", "multi_label": True},
    }
    layout = features.layout(["text"], num_classes=2, tasks=tasks)
    counts = dict.fromkeys(tasks, np.array([1, 3]))
    split = scan.Survey((), 4, 0, dict.fromkeys(tasks, 4), counts, records=None, versions={})
    weights = steps.class_weights(split, layout)
    assert weights["plain"] is None
    assert weights["category"].tolist() == pytest.approx([2, 2 / 3])
    assert weights["tags"].tolist() == [pytest.approx([2 / 3, 2]), pytest.approx([2, 2 / 3])]


def adjusted(imbalance):
    tasks = {
        "category": {"imbalance": imbalance},
        "tags": {"imbalance": imbalance, "multi_label": True},
    }
    return features.layout(["text"], tasks=tasks, model=QUIET, **STILL)


COUNTED = scan.Survey(
    *((), 20, 0, {"category": 20, "tags": 20}),
    {"category": np.array([16, 3, 1]), "tags": np.array([16, 3, 1])},
    records=None,
    versions={},
)


def test_only_logit_adjustment_adds_to_the_logits():
    assert steps.class_offsets(COUNTED, adjusted("none")) == {"category": None, "tags": None}
    found = steps.class_offsets(COUNTED, adjusted("logit_adjustment"))
    assert np.exp(found["category"]).tolist() == pytest.approx([0.8, 0.15, 0.05])
    assert np.exp(found["tags"]).tolist() == pytest.approx([4, 3 / 17, 1 / 19])
    assert steps.class_weights(COUNTED, adjusted("logit_adjustment"))["category"] is None


def test_logit_adjustment_changes_losses_and_no_prediction():
    layout = adjusted("logit_adjustment")
    networks = network.build_networks(layout)
    offsets = steps.class_offsets(COUNTED, layout)
    weights = dict.fromkeys(layout.spec.tasks)
    plain, moved = (steps.Steps(networks, layout, weights, 1, one) for one in (None, offsets))
    batch = batch_of(layout, 8)
    batch.labels["tags"] = tf.one_hot(np.arange(8) % 3, 4)  # the last column: unseen classes
    logits = networks.scoring(batch.features, training=False)
    sums = [one.measure([batch]) for one in (plain, moved)]
    for name in layout.spec.tasks:
        before, after = (found[name] for found in sums)
        assert (before.correct, before.known) == (after.correct, after.known)
        assert before.loss != pytest.approx(after.loss)
    rows, _ = losses.sparse_crossentropy(
        batch.labels["category"], logits["category"] + offsets["category"]
    )
    assert sums[1]["category"].loss == pytest.approx(float(np.sum(rows)), rel=1e-5)
    expected = sum(one.loss / one.known for one in sums[1].values())
    assert moved.train(batch, 1, 0) == pytest.approx(expected, rel=1e-4)


def test_class_balanced_weights_follow_beta():
    tasks = {
        "plain": {"imbalance": "class_balanced"},
        "near": {"imbalance": "class_balanced", "beta": 0.5},
        "tags": {"imbalance": "class_balanced", "multi_label": True, "beta": 0.5},
    }
    layout = features.layout(["text"], num_classes=2, tasks=tasks)
    counts = dict.fromkeys(tasks, np.array([1, 3]))
    split = scan.Survey((), 4, 0, dict.fromkeys(tasks, 4), counts, records=None, versions={})
    found = steps.class_weights(split, layout)
    effective = (1 - 0.99**3) / 0.01
    assert found["plain"][0] / found["plain"][1] == pytest.approx(effective)
    assert found["near"][0] / found["near"][1] == pytest.approx(1.75)
    assert (found["tags"][1, 0] / found["tags"][0, 0]) == pytest.approx(1.75)
