"""Augmentation by name counts: a change that alters the class spoils it, and no other does."""

import dataclasses

import numpy as np
import pytest

from tests import features
from triad_ml.model.data import datasets
from triad_ml.model.evaluation import predict
from triad_ml.model.training import loop

TRAIN, EVAL = 320, 200


def layout_of(modalities, augment):
    return features.layout(
        modalities,
        num_classes=2,
        model={"dropout": 0.0, "modality_dropout": 0.0},
        epochs=6,
        patience=6,
        batch_size=32,
        learning_rate=1e-2,
        augment=augment,
    )


def slopes(count, seed):
    """Images whose brightness rises from left to right in one class, and falls in the other."""
    random = np.random.default_rng(seed)
    made = []
    for place in range(count):
        label = int(random.integers(2))
        row = np.tile([20, 80, 140, 200], 4)
        pixels = np.broadcast_to(row[:: 1 - 2 * label, np.newaxis], (16, 16, 3)).astype(float)
        noisy = (pixels + random.normal(0, 15, pixels.shape)).clip(0, 255)
        labels = {"category": label}
        made.append(
            features.FeatureRecord(f"r{place}", image=noisy.astype(np.uint8), labels=labels)
        )
    return made


def predicted(folder, layout, made):
    """Probabilities of the true classes of the eval split."""
    files = {
        split: features.write(folder / split, layout, records) for split, records in made.items()
    }
    model = loop.train(files, layout, folder / "out", "digest").model
    dataset = datasets.eval_dataset(files["eval"], layout, 48)
    found = predict.predict(model, dataset, layout)
    return found.said["category"][np.arange(len(found.ids)), found.labels["category"]]


OTHERS = {"flip": True, "zoom": False, "shift": False}


@pytest.mark.parametrize(("mirror", "learns"), [(False, True), (True, False)])
def test_mirroring_spoils_a_class_that_it_changes_and_only_mirroring_does(mirror, learns, tmp_path):
    layout = layout_of(["image"], {"mirror": mirror, **OTHERS})
    made = {"train": slopes(TRAIN, 0), "eval": slopes(EVAL, 1)}
    likely = predicted(tmp_path, layout, made).mean()
    assert (likely >= 0.95) if learns else (0.3 < likely < 0.7)


def test_mixed_records_teach_their_classes(tmp_path):
    layout = layout_of(["image", "text"], {"mixup": True})
    counts = {"train": TRAIN, "eval": EVAL}
    made = {
        split: features.records(layout, count, seed, missing=0.2)
        for seed, (split, count) in enumerate(counts.items())
    }
    unlabelled = [
        dataclasses.replace(record, labels={}) if place % 5 == 0 else record
        for place, record in enumerate(made["train"])
    ]
    likely = predicted(tmp_path, layout, {**made, "train": unlabelled})
    assert (likely > 0.5).mean() >= 0.95
