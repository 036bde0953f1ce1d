"""Regression head in the network: loss, gradients, training and serving outputs."""

import keras
import numpy as np
import tensorflow as tf

from tests import features
from triad_ml.model import layout as model_layout
from triad_ml.model import network
from triad_ml.model.data import batches
from triad_ml.model.serving import shapley
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.tasks.regression.task import _errors, _huber
from triad_ml.model.training import steps
from triad_ml.transforms.records.values import Number
from triad_ml.transforms.spec.spec import Spec

SPEC = Spec.model_validate(
    {
        "modalities": {name: features.SECTIONS[name] for name in ("image", "text")},
        "tasks": {
            "price": {"kind": "regression", "label": "price"},
            "kind": {"kind": "classification", "label": "kind"},
        },
        "model": {**features.MODEL, "dropout": 0.0, "modality_dropout": 0.0},
        "training": {"batch_size": 8, "augment": False, "weight_decay": 0.0, "learning_rate": 0.01},
    }
)
LAYOUT = model_layout.Layout(SPEC, {"price": (), "kind": ("c0", "c1")}, features.VOCABULARY_SIZE)
HEAD = heads_of(SPEC, LAYOUT.classes)["price"]
MEAN, DEVIATION = 100.0, 20.0


def batch(rows: int = 8, known: bool = True) -> batches.Batch:
    made = {name: tf.constant(v) for name, v in features.batch(LAYOUT, rows).items()}
    made["scale_price"] = tf.constant([[MEAN, DEVIATION]] * rows)
    prices = MEAN + DEVIATION * np.linspace(-1.5, 1.5, rows)
    labels = np.stack([np.ones(rows), prices], axis=1) if known else np.full((rows, 2), -1.0)
    kinds = tf.constant(np.arange(rows) % 2)
    ids = tf.constant([f"r{place}" for place in range(rows)])
    return batches.Batch(made, {"price": tf.constant(labels, tf.float32), "kind": kinds}, ids)


def trainer() -> tuple[network.Networks, steps.Steps]:
    keras.utils.set_random_seed(0)
    networks = network.build_networks(LAYOUT)
    return networks, steps.Steps(networks, LAYOUT, dict.fromkeys(SPEC.tasks), planned=60)


def test_the_loss_is_huber_of_errors_in_deviations():
    output = tf.constant([[0.5, 100.0, 20.0], [-3.0, 100.0, 20.0], [9.0, np.nan, 0.0]])
    labels = tf.constant([[1.0, 100.0], [1.0, 100.0], [-1.0, -1.0]])
    errors = _errors(output, labels, labels[:, 0] >= 0)
    np.testing.assert_array_equal(errors, [0.5, -3.0, 0.0])
    np.testing.assert_array_equal(_huber(errors), [0.125, 2.5, 0.0])
    sums = HEAD.sums(output, {}, labels, None)
    assert [float(one) for one in sums] == [2.625, 2, 1, 2]


def test_a_record_without_a_label_has_a_gradient_of_exactly_zero():
    networks, trained = trainer()
    layer = networks.scoring.get_layer("head_price")
    before = [value.copy() for value in layer.get_weights()]
    trained.train(batch(known=False), epoch=1, step=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    sums = trained.measure([batch(known=False)])["price"]
    assert (sums.loss, sums.known, sums.labelled) == (0, 0, 0)


def test_training_learns_numbers_and_serves_them_in_the_units_of_the_labels():
    networks, trained = trainer()
    one = batch()
    losses = [trained.train(one, epoch=1, step=step) for step in range(60)]
    assert losses[-1] < losses[0] / 4
    output = networks.scoring(one.features, training=False)["price"]
    served = HEAD.serve(output, one.features, one.features, networks.scoring, tf.constant([""]))
    assert served.keys() == HEAD.parts.keys()
    truth = one.labels["price"][:, 1].numpy()
    np.testing.assert_allclose(served["value"], truth, atol=DEVIATION / 2)
    outputs = {"price/value": served["value"].numpy()}
    assert HEAD.finite(outputs).all()
    read = HEAD.reader(outputs)(3, None, None)
    assert read == Number(float(served["value"][3]))


def test_shares_and_baseline_add_up_to_the_number():
    networks, _ = trainer()
    given = batch().features
    explainer = shapley.Explainer(networks, SPEC)
    outputs, towers = explainer.logits(given)
    heads = heads_of(SPEC, LAYOUT.classes)
    whole = {name: heads[name].shown(outputs[name]) for name in SPEC.tasks}
    baseline, shares = explainer.shares(towers, whole)["price"]
    total = baseline.numpy() + shares.numpy().sum(axis=1)
    np.testing.assert_allclose(total, whole["price"], rtol=1e-5)
