"""Late fusion: the sum of the modalities' logits, linear in their vectors."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests import encoders, features
from triad_ml.model import network
from triad_ml.model.towers.texts import ngrams
from triad_ml.model.training import loop

MODEL = {"fusion": "sum", "text_ngrams": 256}


def with_weights(networks: network.Networks) -> keras.Model:
    """The network that is trained, with weights that are all of some size."""
    random = np.random.default_rng(0)
    for variable in networks.training.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return networks.training


def test_the_logits_are_those_of_the_modalities_that_are_there_added_up() -> None:
    layout = features.layout(model=MODEL)
    model = with_weights(network.build_networks(layout))
    batch = features.batch(layout, 3)
    batch["audio_present"] = np.array([True, False, False])
    batch["text_present"] = np.array([True, True, False])
    found = {name: values.numpy() for name, values in model(batch).items()}
    assert set(found) == {"category", *(f"category@{name}" for name in features.ALL)}
    there = np.stack([batch[f"{name}_present"] for name in features.ALL]).astype(np.float32)
    alone = np.stack([found[f"category@{name}"] for name in features.ALL])
    np.testing.assert_allclose(found["category"], (alone * there[:, :, None]).sum(0), rtol=1e-5)


def test_a_text_is_a_line_through_its_sequences() -> None:
    layout = features.layout(["text"], model=MODEL)
    model = with_weights(network.build_networks(layout))
    assert [tuple(one.shape) for one in model.trainable_variables] == [(256, 3)]
    batch = features.batch(layout, 2)
    first = model(batch)["category"].numpy()
    model.trainable_variables[0].assign(2 * model.trainable_variables[0])
    np.testing.assert_allclose(model(batch)["category"], 2 * first, rtol=1e-5)


def test_a_vector_of_a_frozen_encoder_is_one_layer_away_from_the_logits(tmp_path: Path) -> None:
    weights = str(tmp_path / "lite.weights.h5")  # which is never opened here
    model = {**MODEL, **encoders.LITE, "image_weights": weights, "image_freeze": True}
    networks = network.build_networks(features.layout(["image", "text"], model=model))
    shapes = [tuple(one.shape) for one in networks.training.trainable_variables]
    assert sorted(shapes) == [(3,), (256, 3), (1280, 3)]


def test_left_out_sequences_are_made_up_for_in_training_and_none_is_in_scoring() -> None:
    layer = ngrams.HashedNgrams(buckets=64, dim=1, deviation=0.0, dropout=0.5)
    ids = np.tile(np.arange(2, 9), (4000, 1))
    known = ids > 0
    layer(ids, known)
    layer.vectors.assign(np.ones((64, 1)))
    sequences = 6 + 5 + 4
    np.testing.assert_allclose(layer(ids, known), sequences**0.5, rtol=1e-6)
    dropped = np.asarray(layer(ids, known, training=True))
    assert len(np.unique(dropped.round(3))) > 5
    assert dropped.mean() == pytest.approx(sequences**0.5, rel=0.03)


def test_it_learns_and_the_network_comes_back_from_its_file(tmp_path: Path) -> None:
    options = {"epochs": 20, "patience": 20, "learning_rate": 1e-2, "augment": False}
    layout = features.layout(["image", "text"], model={**MODEL, "dropout": 0.2}, **options)
    files = {
        split: features.write(tmp_path / split, layout, features.records(layout, count, seed))
        for seed, (split, count) in enumerate({"train": 120, "eval": 60}.items())
    }
    trained = loop.train(files, layout, tmp_path / "run", "digest")
    assert max(row["category_accuracy"] or 0.0 for row in trained.history) >= 0.9
    trained.model.save(tmp_path / "model.keras")
    batch = features.batch(layout, 4)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch)["category"], trained.model(batch)["category"])
