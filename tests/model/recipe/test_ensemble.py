"""The mean of several networks as one Keras model."""

import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network
from triad_ml.model.layout import Layout
from triad_ml.model.network import Networks
from triad_ml.model.recipe import ensemble
from triad_ml.model.serving import shapley
from triad_ml.model.tasks.heads import heads_of

TASKS = {"kind": {}, "marks": {"multi_label": True}, "names": {"kind": "tagging"}}
MEMBERS = 3


def layout_of(fusion: str) -> Layout:
    tasks = {"kind": {}, "marks": {"multi_label": True}} if fusion == "sum" else TASKS
    return features.layout(tasks=tasks, num_classes=3, model={"fusion": fusion, "dim": 8})


@pytest.fixture(scope="module", params=["gated", "attention", "sum"])
def made(request: pytest.FixtureRequest) -> tuple[Layout, list[Networks], Networks]:
    layout = layout_of(request.param)
    members = [network.build_networks(layout) for _ in range(MEMBERS)]
    return layout, members, ensemble.averaged(layout, members)


def inputs_of(layout: Layout, hidden: tuple[str, ...] = ()) -> dict[str, tf.Tensor]:
    inputs = {name: tf.constant(value) for name, value in features.batch(layout, 5).items()}
    for name in hidden:
        inputs[f"{name}_present"] = tf.zeros_like(inputs[f"{name}_present"])
    return inputs


@pytest.mark.parametrize("hidden", [(), ("image",), ("audio", "text")])
def test_probabilities_are_the_mean_of_those_of_the_members(made, hidden):
    layout, members, whole = made
    inputs = inputs_of(layout, hidden)
    found = whole.scoring(inputs, training=False)
    each = [one.scoring(inputs, training=False) for one in members]
    for task, shown in (("kind", tf.nn.softmax), ("marks", tf.sigmoid)):
        mean = np.mean([shown(one[task]).numpy() for one in each], axis=0)
        np.testing.assert_allclose(shown(found[task]), mean, atol=1e-6)
        assert np.ptp([shown(one[task]).numpy() for one in each], axis=0).max() > 1e-3
    for task in set(found) - {"kind", "marks"}:
        np.testing.assert_array_equal(found[task], each[-1][task])


def test_it_has_the_weights_of_all_members(made):
    _, members, whole = made
    expected = sum(len(one.scoring.weights) for one in members)
    assert len(whole.scoring.weights) == expected


def test_the_layers_of_the_last_member_keep_their_places(made):
    _, members, whole = made
    for layer in members[-1].scoring.layers:
        assert whole.scoring.get_layer(layer.name) is layer


def test_cut_at_its_seam_it_explains_itself(made):
    layout, _, whole = made
    inputs = inputs_of(layout)
    explainer = shapley.Explainer(whole, layout.spec)
    logits, towers = explainer.logits(inputs)
    heads = heads_of(layout.spec, layout.classes)
    shown = {task: heads[task].shown(logits[task]) for task in ("kind", "marks")}
    for task, (baseline, shares) in explainer.shares(towers, shown).items():
        total = baseline + tf.reduce_sum(shares, axis=1)
        np.testing.assert_allclose(total, tf.reduce_max(shown[task], axis=1), atol=1e-5)
    alone = whole.scoring(inputs_of(layout, ("image", "audio")), training=False)
    np.testing.assert_allclose(
        towers.rest(frozenset({2}))["kind"], alone["kind"], rtol=1e-4, atol=1e-4
    )
