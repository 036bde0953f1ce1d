"""Task fusion learns a task that only the answers of two other tasks together determine."""

import numpy as np
import pytest

from tests import features
from triad_ml.model.data import datasets
from triad_ml.model.evaluation import predict
from triad_ml.model.training import loop

PAIR = ("image", "text")
TASKS = {"bright": {}, "spoken": {}, "same": {}}
CHANCE, MARGIN = 0.5, 0.14  # four standard deviations of 200 guesses


def layout_of(task_fusion):
    """Returns a layout of late fusion, which can add what the modalities say, but not join it."""
    return features.layout(
        PAIR,
        num_classes=2,
        tasks=TASKS,
        model={
            **{"fusion": "sum", "task_fusion": task_fusion},
            **{"dropout": 0.0, "modality_dropout": 0.0},
        },
        epochs=12,
        patience=12,
        batch_size=32,
        learning_rate=2e-2,
        auxiliary_weight=0.0,
        augment=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, layout = tmp_path_factory.mktemp("tasks"), layout_of("none")
    counts = {"train": 320, "eval": 200}
    return {
        split: features.write(
            folder / split,
            layout,
            features.pairs(layout, count, seed, PAIR, signs_of=("bright", "spoken")),
        )
        for seed, (split, count) in enumerate(counts.items())
    }


@pytest.mark.parametrize("task_fusion", ["none", "mlp", "attention"])
def test_a_task_that_is_the_xor_of_two_others_is_learned_by_task_fusion(
    files, task_fusion, tmp_path
):
    layout = layout_of(task_fusion)
    model = loop.train(files, layout, tmp_path, "digest").model
    found = predict.predict(model, datasets.eval_dataset(files["eval"], layout, 48), layout)
    accuracy = {
        task: np.mean(found.said[task].argmax(axis=1) == found.labels[task]) for task in TASKS
    }
    assert min(accuracy["bright"], accuracy["spoken"]) >= 0.95, accuracy
    if task_fusion == "none":
        assert abs(accuracy["same"] - CHANCE) <= MARGIN, accuracy
    else:
        assert accuracy["same"] >= 0.95, accuracy
