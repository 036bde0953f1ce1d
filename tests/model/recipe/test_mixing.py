"""Outputs of heads from linear models: their predictions are what was meant."""

import numpy as np
import pytest
import tensorflow as tf

from triad_ml.model.linear.fit import SOLVERS
from triad_ml.model.recipe.mixing import MIXES
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.spec import loading

SPEC = loading.parse("""
modalities: {text: {}}
tasks:
  kind: {kind: classification, label: kind}
  marks: {kind: classification, label: marks, multi_label: true}
  price: {kind: regression, label: price}
""")
RANDOM = np.random.default_rng(4)
ROWS, CLASSES = 9, 3
SCALE = np.tile(np.float32([120.0, 7.5]), (ROWS, 1))


def parts(task):
    """The mix, the head, outputs of a network, and of a linear function."""
    size = {"price": 1}.get(task, CLASSES)
    network, linear = RANDOM.normal(0, 4, (2, ROWS, size)).astype(np.float32)
    if task == "price":
        network = np.concatenate([network, SCALE], axis=1)
        linear = linear + 120
    section = SPEC.tasks[task]
    return MIXES[section.kind](section, task), heads_of(SPEC)[task], network, linear


@pytest.mark.parametrize("task", list(SPEC.tasks))
def test_the_prediction_is_that_of_the_linear_function(task):
    mix, head, _, linear = parts(task)
    found = head.shown(mix.output(tf.constant(linear), {"scale_price": tf.constant(SCALE)}))
    solver = SOLVERS[SPEC.tasks[task].kind](SPEC.tasks[task], CLASSES)
    np.testing.assert_allclose(found, solver.predicted(linear.astype(float)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("task", list(SPEC.tasks))
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_the_prediction_of_a_blend_is_the_weighted_mean(task, share):
    mix, head, network, linear = parts(task)
    output = mix.output(tf.constant(linear), {"scale_price": tf.constant(SCALE)})
    found = head.shown(mix.blended(tf.constant(network), output, share))
    expected = (1 - share) * head.shown(network) + share * head.shown(output)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_each_kind_with_linear_models_has_a_mix():
    assert set(MIXES) == set(SOLVERS)
