"""Pretrained encoder in the network: frozen, then fine-tuned, and exactly resumed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import encoders, features
from tests.model.training.test_loop import assert_same
from tests.model.training.test_steps import QUIET, STILL, batch_of, steps_of
from triad_ml.model import layout as model_layout
from triad_ml.model import network as model_network
from triad_ml.model.data import record_size
from triad_ml.model.towers import pretrained, registry
from triad_ml.model.training import loop
from triad_ml.transforms.encoders import efficientnet_lite

SIZE = 32


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the first stages of EfficientNet-Lite0 alone, which are traced in a fifth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:2])
        yield encoders.lite(tmp_path_factory.mktemp("lite") / "lite.weights.h5")


def layout_of(
    weights: Path, freeze: Any, layers: tuple[str, ...] | None = None, **options: Any
) -> model_layout.Layout:
    model = {**encoders.LITE, "image_weights": str(weights), "image_freeze": freeze}
    model |= {"image_layers": layers}
    layout = features.layout(["image", "text"], model={**QUIET, **model}, **options)
    sections = layout.spec.modalities
    assert sections.image is not None
    image = sections.image.model_copy(update={"size": SIZE})
    sized = sections.model_copy(update={"image": image})
    spec = layout.spec.model_copy(update={"modalities": sized})
    return model_layout.Layout(spec, layout.classes, layout.vocabulary_size)


def values(networks: model_network.Networks) -> list[Any]:
    (encoder,) = networks.encoders.values()
    return [variable.numpy() for variable in encoder.weights]


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
    assert len(before) == 20
    assert changed(before, values(networks))[-2:] == [True, True]  # of the last convolution
    steps = [int(one) for one in trained.state if one.path.endswith("iteration")]
    assert steps == [3, 1]
    assert int(trained.state[0]) == 3


def test_with_earlier_layers_beside_its_vector_the_encoder_is_fine_tuned_too(weights: Path) -> None:
    layout = layout_of(weights, False, ("block_1_project", "block_2_add"), epochs=1, **STILL)
    networks, trained = steps_of(layout)
    assert networks.encoders["image"].output_shape == (None, 24 + 24 + 1280)
    before = values(networks)
    trained.begin_epoch(1)
    trained.train(batch_of(layout, 4), epoch=1, step=0)
    assert len(before) == 20
    assert all(changed(before, values(networks))[::2])  # all kernels


def test_frozen_for_good_there_is_no_encoder_to_train(weights: Path) -> None:
    layout = layout_of(weights, True)
    networks = model_network.build_networks(layout)
    assert networks.encoders == {}
    inputs = {one.name: one for one in networks.scoring.inputs}
    assert inputs["image"].shape == (None, 1280)
    assert inputs["image"].dtype == "float32"
    text = 4 * 6 + 3 * 20 * 6  # tokens, and the n-grams that a linear model reads
    assert record_size.record_bytes(layout) == 512 + 4 * 1280 + text


def test_fine_tuning_from_the_first_epoch_takes_smaller_steps_by_the_rate(weights: Path) -> None:
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


def test_statistics_of_normalization_and_dropout_stay_out_of_training() -> None:
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    )
    inputs = keras.Input((4,))
    model = keras.Model(inputs, pretrained.Encoder(network)(inputs))
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    before = [variable.numpy() for variable in network.weights]
    np.testing.assert_array_equal(model(rows, training=True), model(rows, training=False))
    assert not any(changed(before, [variable.numpy() for variable in network.weights]))
    assert len(model.trainable_variables) == 2


def test_vectors_are_not_augmented() -> None:
    vectors = np.ones((4, 1280), np.float32)
    found = registry.augment({"image": tf.constant(vectors)}, tf.constant([1, 2]))
    np.testing.assert_array_equal(found["image"], vectors)


def test_a_fine_tuning_that_stopped_ends_with_the_same_weights(
    weights: Path, tmp_path: Path
) -> None:
    layout = layout_of(weights, 1, epochs=3, patience=3)
    files = {"train": features.write(tmp_path / "files", layout, features.records(layout, 12))}

    def keep(row: loop.Row) -> None:
        """Keeps what a kill would leave behind the second epoch."""
        if row["epoch"] == 2:
            shutil.copytree(tmp_path / "whole", tmp_path / "stopped")

    whole = loop.train(files, layout, tmp_path / "whole", "digest", on_epoch=keep)
    resumed = loop.train(files, layout, tmp_path / "stopped", "digest")
    assert resumed.resumed_from == 2
    assert_same(resumed, whole)
