"""Pretrained audio encoders in the network: fine-tuned beside that of images, or as vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import audio_encoders, encoders, features
from tests.model.training.test_steps import QUIET, STILL, steps_of
from triad_ml.model import layout as model_layout
from triad_ml.model import network as model_network
from triad_ml.model.data import batches, record_size
from triad_ml.model.linear.views import VIEWS
from triad_ml.model.towers import registry
from triad_ml.transforms.encoders import efficientnet_lite, whisper
from triad_ml.transforms.spec.spec import Spec

FRAMES, BINS = 20, 80
CONFIG = whisper.Config(bins=80, width=8, layers=1, heads=2, hidden=16, positions=60)
CLASSES = ("c0", "c1", "c2")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return audio_encoders.write_whisper(
        tmp_path_factory.mktemp("tiny") / "tiny.safetensors", config=CONFIG
    )


def layout_of(tiny: Path, modalities: dict[str, Any], **options: Any) -> model_layout.Layout:
    model = {**features.MODEL, **QUIET, "audio_encoder": "whisper", "audio_weights": str(tiny)}
    training = {"batch_size": 8, "epochs": 3, **STILL, **options.pop("training", {})}
    spec = Spec.model_validate(
        {
            "modalities": {"audio": {"seconds": 0.2}, **modalities},
            "tasks": {"category": {"kind": "classification", "label": "category"}},
            "model": {**model, **options},
            "training": training,
        }
    )
    return model_layout.Layout(spec, {"category": CLASSES}, features.VOCABULARY_SIZE)


def batch(layout: model_layout.Layout, rows: int = 6) -> batches.Batch:
    """Noise; the last row has no audio, and NaN in its place."""
    random = np.random.default_rng(0)
    inputs: dict[str, tf.Tensor] = {}
    for name, one in registry.TOWERS["audio"].inputs(layout).items():
        values = random.normal(0, 1, (rows, *one.shape[1:])).astype(np.float32)
        values[-1] = np.nan
        inputs[name] = tf.constant(values)
    size = layout.spec.modalities.image.size if layout.spec.modalities.image else 0
    if size:
        pixels = random.integers(0, 256, (rows, size, size, 3)).astype(np.uint8)
        inputs["image"] = tf.constant(pixels)
    for name in layout.spec.modalities.names:
        inputs[f"{name}_present"] = tf.constant([True] * rows)
    inputs["audio_present"] = tf.constant([True] * (rows - 1) + [False])
    labels = {"category": tf.constant(random.integers(0, 3, rows))}
    return batches.Batch(inputs, labels, tf.constant([b"id"] * rows))


def values(networks: model_network.Networks, name: str) -> list[Any]:
    return [one.numpy() for one in networks.encoders[name].trainable_variables]


def changed(before: list[Any], after: list[Any]) -> list[bool]:
    return [bool((one != other).any()) for one, other in zip(before, after, strict=True)]


def test_each_encoder_is_fine_tuned_from_its_own_epoch_on(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:1])
    weights = {**encoders.LITE, "image_weights": str(encoders.lite(tmp_path / "l.weights.h5"))}
    modalities = {"image": {"size": 32}}
    layout = layout_of(tiny, modalities, **weights, audio_freeze=False, image_freeze=1)
    networks, trained = steps_of(layout)
    assert list(networks.encoders) == ["image", "audio"]
    seen = []
    for epoch in (1, 2):
        before = {name: values(networks, name) for name in networks.encoders}
        trained.begin_epoch(epoch)
        assert np.isfinite(trained.train(batch(layout), epoch, step=0))
        found = {name: changed(one, values(networks, name)) for name, one in before.items()}
        seen.append((any(found["image"]), all(found["audio"])))
    assert seen == [(False, True), (True, True)]
    steps = [int(one) for one in trained.state if one.path.endswith("iteration")]
    assert steps == [2, 1, 2]
    assert len(networks.encoders["audio"].trainable_variables) == 4 + 15 + 2


def test_a_frozen_encoder_leaves_a_vector_as_input(tiny: Path) -> None:
    layout = layout_of(tiny, {}, audio_pooling="statistics")
    networks = model_network.build_networks(layout)
    assert networks.encoders == {}
    inputs = {one.name: one for one in networks.scoring.inputs}
    assert inputs["audio"].shape == (None, 32)
    assert record_size.record_bytes(layout) == 512 + 4 * 32
    description = batches.feature_description(layout)
    assert description["audio"] == tf.io.FixedLenFeature([32], tf.float32)
    scored = networks.scoring({n: v for n, v in batch(layout).features.items()})
    assert np.isfinite(scored["category"]).all()


def test_an_encoder_in_the_network_reads_whispers_frames_and_no_missing_row(tiny: Path) -> None:
    layout = layout_of(tiny, {}, audio_freeze=False)
    network = model_network.build(layout)
    inputs = {one.name: one for one in network.inputs}
    assert inputs["audio"].shape == (None, FRAMES, BINS)
    given = batch(layout).features
    scored = network(given)["category"].numpy()
    assert np.isfinite(scored).all()
    zeros = tf.where(tf.math.is_nan(given["audio"]), 7.0, given["audio"])
    np.testing.assert_array_equal(network({**given, "audio": zeros})["category"], scored)


@pytest.mark.parametrize("fusion", ["attention", "sum"])
@pytest.mark.parametrize("freeze", [True, False])
def test_each_fusion_takes_the_vector(tiny: Path, fusion: str, freeze: bool) -> None:
    layout = layout_of(tiny, {}, fusion=fusion, audio_freeze=freeze)
    scored = model_network.build(layout)(batch(layout).features)
    assert np.isfinite(scored["category"]).all()


def test_spectrograms_are_stored_as_bytes_and_not_augmented(tmp_path: Path) -> None:
    weights = {**encoders.LITE, "image_weights": str(tmp_path / "unread.weights.h5")}
    spec = {"audio_encoder": "image", "audio_weights": None, "audio_freeze": False}
    layout = layout_of(tmp_path, {"image": {"size": 32}}, **weights, **spec)
    description = batches.feature_description(layout)
    assert description["audio"] == tf.io.FixedLenFeature([], tf.string)
    drawn = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    columns = {"audio": tf.constant([one.tobytes() for one in drawn])}
    parsed = registry.TOWERS["audio"].parse(columns, layout)
    np.testing.assert_array_equal(parsed["audio"], drawn)
    changed = registry.augment({"audio": parsed["audio"]}, tf.constant([1, 2]))
    np.testing.assert_array_equal(changed["audio"], drawn)
    with pytest.raises(tf.errors.InvalidArgumentError):
        registry.TOWERS["audio"].parse({"audio": tf.constant([b"x" * 3073] * 2)}, layout)
    assert VIEWS["audio"].vectors(columns, layout).shape == (2, 4 * 64 + 64 * 9)


def test_linear_models_read_the_vector(tiny: Path) -> None:
    layout = layout_of(tiny, {})
    vectors = tf.random.stateless_normal([3, 8], [1, 2])
    found = VIEWS["audio"].vectors({"audio": vectors}, layout)
    np.testing.assert_array_equal(found, vectors)
    tuned = layout_of(tiny, {}, audio_freeze=False)
    frames = tf.random.stateless_normal([3, FRAMES, BINS], [1, 2])
    assert VIEWS["audio"].vectors({"audio": frames}, tuned).shape == (3, 5 * BINS)
