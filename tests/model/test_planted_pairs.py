"""Only two modalities together tell the class: each fusion learns it, and needs both."""

import numpy as np
import pytest

from model import data, predictions, training
from tests import features

PAIR = ("image", "text")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    layout = features.layout(num_classes=2)
    counts = {"train": 640, "eval": 240}
    return {
        split: features.write(folder / split, layout, features.pairs(layout, count, seed, PAIR))
        for seed, (split, count) in enumerate(counts.items())
    }


@pytest.mark.parametrize("fusion", ["concat", "mlp", "gated", "attention"])
def test_each_fusion_learns_what_only_two_modalities_together_tell(files, fusion, tmp_path):
    layout = features.layout(
        num_classes=2,
        model={"fusion": fusion, "dropout": 0.0, "modality_dropout": 0.0},
        epochs=15,
        patience=15,
        batch_size=32,
        learning_rate=1e-2,
        auxiliary_weight=0.0,
        augment=False,
    )
    model = training.train(files, layout, tmp_path, "digest").model
    dataset = data.eval_dataset(files["eval"], layout, 48)

    def accuracy(*hidden):
        found = predictions.predict(model, dataset, hidden)
        guesses = found.probabilities["category"].argmax(axis=1)
        return np.mean(guesses == found.labels["category"])

    assert accuracy() >= 0.95
    assert accuracy("audio") >= 0.8  # which is noise
    for alone in features.ALL:
        hidden = [name for name in features.ALL if name != alone]
        assert accuracy(*hidden) <= 0.5 + 0.12, alone
