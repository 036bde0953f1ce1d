"""Each fusion learns a class that only two modalities together determine."""

import numpy as np
import pytest

from tests import features
from triad_ml.model.data import datasets
from triad_ml.model.evaluation import predict
from triad_ml.model.training import loop

PAIR = ("image", "text")
CHANCE, MARGIN = 0.5, 0.1  # four standard deviations of 400 guesses


def layout_of(modalities, fusion):
    return features.layout(
        modalities,
        num_classes=2,
        model={"fusion": fusion, "dropout": 0.0, "modality_dropout": 0.0, "dim": 32},
        epochs=15,
        patience=15,
        batch_size=32,
        learning_rate=1e-2,
        auxiliary_weight=0.0,
        augment=False,
    )


def write(folder, layout):
    made = features.layout(PAIR, num_classes=2)
    counts = {"train": 640, "eval": 400}
    return {
        split: features.write(folder / split, layout, features.pairs(made, count, seed, PAIR))
        for seed, (split, count) in enumerate(counts.items())
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pairs"), layout_of(PAIR, "gated"))


@pytest.mark.parametrize("fusion", ["concat", "mlp", "gated", "attention"])
def test_each_fusion_learns_what_only_two_modalities_together_tell(files, fusion, tmp_path):
    layout = layout_of(PAIR, fusion)
    model = loop.train(files, layout, tmp_path, "digest").model
    dataset = datasets.eval_dataset(files["eval"], layout, 48)

    def accuracy(*hidden):
        found = predict.predict(model, dataset, layout, hidden)
        guesses = found.said["category"].argmax(axis=1)
        return np.mean(guesses == found.labels["category"])

    assert accuracy() >= 0.95
    assert accuracy("text") <= CHANCE + MARGIN
    assert accuracy("image") <= CHANCE + MARGIN


@pytest.mark.parametrize("alone", PAIR)
def test_a_network_of_one_of_them_stays_at_chance(alone, tmp_path):
    layout = layout_of((alone,), "gated")
    files = write(tmp_path / "records", layout)
    model = loop.train(files, layout, tmp_path / "out", "digest").model
    found = predict.predict(model, datasets.eval_dataset(files["eval"], layout, 48), layout)
    guesses = found.said["category"].argmax(axis=1)
    assert np.mean(guesses == found.labels["category"]) <= CHANCE + MARGIN
