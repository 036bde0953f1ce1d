"""Linear models and blends as Keras models, against the numbers of scikit-learn."""

import dataclasses

import numpy as np
import pytest

from tests import features
from triad_ml.model.data import datasets, scan
from triad_ml.model.evaluation import predict
from triad_ml.model.layout import Layout
from triad_ml.model.linear import blocks, floor
from triad_ml.model.linear.subsets import Subsets
from triad_ml.model.recipe import graph

PLAIN = features.layout(tasks={"kind": {}, "marks": {"multi_label": True}}, num_classes=3)
LAYOUT = dataclasses.replace(PLAIN, grams=True)
HIDDEN = [(), ("image",), ("audio",), ("text",), ("image", "text"), ("audio", "text")]


@dataclasses.dataclass(frozen=True)
class Fitted:
    linear: dict[str, Subsets]
    test: scan.Survey

    def blocks(self, hidden=()) -> blocks.Blocks:
        read = blocks.read(self.test.files, LAYOUT, ["kind", "marks"], self.test.records)
        seen = {name: one & (name not in hidden) for name, one in read.present.items()}
        return dataclasses.replace(read, present=seen)

    def said(self, networks, hidden=(), layout: Layout = LAYOUT):
        dataset = datasets.eval_dataset(self.test.files, layout, 48, self.test.records)
        return predict.predict(networks.scoring, dataset, layout, hidden).said


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Fitted:
    folder = tmp_path_factory.mktemp("recipe")
    made = features.records(PLAIN, 90, seed=1, missing=0.3)
    train = scan.survey(features.write(folder / "train", PLAIN, made), PLAIN)
    made = features.records(PLAIN, 60, seed=2, missing=0.3)
    test = scan.survey(features.write(folder / "test", PLAIN, made), PLAIN)
    read = floor.read(train, PLAIN)
    return Fitted(floor.completed(read, floor.of_blocks(read, PLAIN), PLAIN), test)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_weights_in_layers_give_what_scikit_learn_gives(fitted, hidden):
    model = graph.combined(LAYOUT, None, fitted.linear, {"kind": 1.0, "marks": 1.0})
    found = fitted.said(model, hidden)
    for task, linear in fitted.linear.items():
        expected = linear.predict(fitted.blocks(hidden))
        np.testing.assert_allclose(found[task], expected, atol=1e-5)
