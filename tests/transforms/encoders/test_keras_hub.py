"""Encoders of KerasHub: a preset in a local folder, with the embeddings of KerasHub itself."""

from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from triad_ml.transforms.encoders import image
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.model import EncoderSpec

SIZE = 32
SCALE, OFFSET = [1 / 51, 1 / 57, 1 / 60], [-2.1, -2.0, -1.8]


def backbone() -> Any:
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `save_to_preset` writes it."""
    folder = tmp_path_factory.mktemp("hub") / "preset"
    backbone().save_to_preset(str(folder))
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(SIZE, SIZE), scale=SCALE, offset=OFFSET
    )
    converter.save_to_preset(str(folder))
    return folder


def pictures() -> Any:
    return np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)


def test_a_preset_in_a_folder_gives_what_kerashub_gives(preset: Path) -> None:
    settings = EncoderSpec(image_encoder="keras_hub", image_weights=str(preset))
    pixels = pictures()
    scaled = pixels.astype(np.float32) * np.float32(SCALE) + np.float32(OFFSET)
    network = keras_hub.models.Backbone.from_preset(str(preset))
    expected = network(scaled, training=False).numpy().mean(axis=(1, 2))
    found = image.load(settings, SIZE)(pixels, training=False).numpy()
    assert found.shape == (3, 64)
    assert (found.std(axis=0) > 0).any()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_in_the_feature_graph_a_preset_gives_the_same(preset: Path, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(f"""
modalities: {{image: {{size: {SIZE}}}}}
tasks: {{category: {{kind: classification, label: category}}}}
model: {{image_encoder: keras_hub, image_weights: {preset}}}
""")
    spec, pixels = loading.load(path), pictures()
    assert image.width(spec) == 64
    graph = tf.function(lambda content, there: image.vectors_graph(content, there, spec))
    content = tf.constant([one.tobytes() for one in pixels])
    found = graph(content, tf.constant([True, False, True])).numpy()
    expected = image.load(spec.model, SIZE)(pixels, training=False).numpy()
    assert not found[1].any()
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-4, atol=1e-5)


def test_a_folder_without_a_preset_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no preset")
    settings = EncoderSpec(image_encoder="keras_hub", image_weights=str(tmp_path))
    with pytest.raises(OptionsError, match="holds no KerasHub preset for pictures") as refused:
        image.load(settings, SIZE)
    assert "\n" not in str(refused.value)
