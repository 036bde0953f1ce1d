"""Temperatures behind the outputs of a network."""

import keras
import numpy as np

from triad_ml.model.network import Cut, Networks
from triad_ml.model.recipe import calibration


def test_outputs_of_a_task_are_divided_by_its_temperature_and_others_stay():
    inputs = {"features": keras.Input((3,), name="features")}
    seen = keras.layers.Dense(4, name="tower")(inputs["features"])
    outputs = {name: keras.layers.Dense(2, name=name)(seen) for name in ("first", "second")}
    model = keras.Model(inputs, outputs, name="triad")
    networks = Networks(model, model, Cut({"tower": seen}, seen, {}))
    given = {"features": np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)}
    before = model(given)

    scoring = calibration.scaled(networks, ["first"]).scoring
    after = scoring(given)
    assert all(np.array_equal(after[name], before[name]) for name in outputs)
    calibration.set_temperatures(scoring, {"first": 1.7})
    after = scoring(given)
    assert np.array_equal(after["first"], before["first"].numpy() / np.float32(1.7))
    assert np.array_equal(after["second"], before["second"])
    own = {weight.path for weight in scoring.weights} - {weight.path for weight in model.weights}
    assert own == {"temperature_first/temperature"}

    rest = keras.Model([seen], dict(scoring.output))  # explanations cut the network like this
    cut = rest([keras.Model(inputs, seen)(given)])
    assert np.array_equal(cut["first"], after["first"])
