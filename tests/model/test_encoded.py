"""A pretrained encoder in the network: frozen, then fine-tuned, and resumed exactly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model import data, fused, steps, training
from tests import encoders, features
from tests.model.test_steps import QUIET, STILL, batch_of, steps_of
from tests.model.test_training import Stopped, assert_same

SIZE = 32


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoders.mobile_net(tmp_path_factory.mktemp("mobile") / "mobile.weights.h5")


def layout_of(weights: Path, freeze: Any, **options: Any) -> data.Layout:
    model = {**encoders.MOBILE_NET, "image_weights": str(weights), "image_freeze": freeze}
    layout = features.layout(["image", "text"], model={**QUIET, **model}, **options)
    sections = layout.spec.modalities
    assert sections.image is not None
    image = sections.image.model_copy(update={"size": SIZE})
    sized = sections.model_copy(update={"image": image})
    spec = layout.spec.model_copy(update={"modalities": sized})
    return data.Layout(spec, layout.classes, layout.vocabulary_size)


def values(networks: fused.Networks) -> list[Any]:
    assert networks.encoder is not None
    return [variable.numpy() for variable in networks.encoder.weights]


def changed(before: list[Any], after: list[Any]) -> list[bool]:
    return [bool((one != other).any()) for one, other in zip(before, after, strict=True)]


def test_the_encoder_stays_as_it_was_for_the_frozen_epochs_and_then_changes(weights: Path) -> None:
    layout = layout_of(weights, 2, epochs=4, **STILL)
    networks, trained = steps_of(layout)
    before = values(networks)
    dense = networks.training.get_layer("image_dense").kernel.numpy()
    for epoch in (1, 2):
        trained.begin_epoch(epoch)
        trained.train(batch_of(layout, 4), epoch, step=0)
    assert not any(changed(before, values(networks)))
    assert (networks.training.get_layer("image_dense").kernel.numpy() != dense).any()
    trained.begin_epoch(3)
    trained.train(batch_of(layout, 4), epoch=3, step=0)
    trainable = [variable.trainable for variable in networks.encoder.weights]
    assert changed(before, values(networks)) == trainable  # of the rest are the statistics
    assert 50 < sum(trainable) < len(trainable)


@pytest.mark.parametrize("freeze", [False, True])
def test_frozen_for_good_there_is_no_encoder_to_train(weights: Path, freeze: bool) -> None:
    layout = layout_of(weights, freeze, **STILL)
    networks, trained = steps_of(layout)
    assert (networks.encoder is None) == freeze
    assert layout.image_width == (1280 if freeze else None)
    inputs = {one.name: one for one in networks.scoring.inputs}
    assert inputs["image"].shape[1:] == ((1280,) if freeze else (SIZE, SIZE, 3))
    trained.begin_epoch(1)
    if not freeze:
        before = values(networks)
        trained.train(batch_of(layout, 4), epoch=1, step=0)
        assert any(changed(before, values(networks)))


def test_fine_tuning_takes_smaller_steps_than_the_rest(weights: Path) -> None:
    moved = []
    for rate in (1.0, 0.01):
        layout = layout_of(weights, False, fine_tune_rate=rate, **STILL)
        networks, trained = steps_of(layout)
        before = values(networks)
        trained.begin_epoch(1)
        trained.train(batch_of(layout, 4), epoch=1, step=0)
        after = values(networks)
        moved.append(max(np.abs(a - b).max() for a, b in zip(after, before, strict=True)))
    assert moved[1] == pytest.approx(moved[0] / 100, rel=0.05)


def test_vectors_are_not_augmented(weights: Path) -> None:
    layout = layout_of(weights, True, augment=True)
    batch = batch_of(layout, 4)
    from model import augmentation

    assert batch.features["image"].shape == (4, 1280)
    found = augmentation.augment(batch.features, tf.constant([1, 2]))
    np.testing.assert_array_equal(found["image"], batch.features["image"])


def test_a_fine_tuning_that_stopped_in_either_phase_ends_with_the_same_weights(
    weights: Path, tmp_path: Path
) -> None:
    layout = layout_of(weights, 1, epochs=3, patience=3)
    files = {"train": features.write(tmp_path / "t", layout, features.records(layout, 12))}
    whole = training.train(files, layout, tmp_path / "whole", "digest")

    def stop(row: training.Row) -> None:
        raise Stopped

    for _ in range(3):
        with pytest.raises(Stopped):
            training.train(files, layout, tmp_path / "stopped", "digest", on_epoch=stop)
    resumed = training.train(files, layout, tmp_path / "stopped", "digest")
    assert resumed.resumed_from == 3
    assert_same(resumed, whole)


def test_the_optimizers_are_kept_side_by_side_with_the_steps_first(weights: Path) -> None:
    layout = layout_of(weights, 1, epochs=3)
    _, trained = steps_of(layout)
    assert isinstance(trained, steps.Steps)
    for epoch in (1, 2, 3):
        trained.begin_epoch(epoch)
        trained.train(batch_of(layout, 4), epoch, step=0)
    counts = [int(v) for v in trained.state if v.path.endswith("iteration")]
    assert int(trained.state[0]) == 3
    assert counts == [3, 2]
