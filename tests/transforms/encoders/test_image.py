"""Image encoders: their embeddings equal those of Keras, in every batch and process."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests import encoders
from triad_ml.transforms.encoders import efficientnet_lite, image
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.analyzers import Analysis
from triad_ml.transforms.graph import digest as graph_digest
from triad_ml.transforms.spec.model import EncoderSpec
from triad_ml.transforms.spec.spec import Spec

SIZE = 32


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoders.mobile_net(tmp_path_factory.mktemp("mobile") / "mobile.weights.h5")


def spec_of(weights: Path, **model: object) -> Spec:
    return Spec.model_validate(
        {
            "modalities": {"image": {"size": SIZE}},
            "tasks": {"category": {"kind": "classification", "label": "category"}},
            "model": {**encoders.MOBILE_NET, "image_weights": str(weights), **model},
        }
    )


def pictures(count: int) -> npt.NDArray[np.uint8]:
    shape = (count, SIZE, SIZE, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def encoded(
    spec: Spec, pixels: npt.NDArray[np.uint8], present: list[bool]
) -> npt.NDArray[np.float32]:
    graph = tf.function(lambda bytes_, there: image.vectors_graph(bytes_, there, spec))
    content = tf.constant([one.tobytes() for one in pixels])
    return np.asarray(graph(content, tf.constant(present)))


def test_the_graph_gives_what_the_application_gives_with_its_own_preprocessing(
    mobile: Path,
) -> None:
    network = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    network.load_weights(mobile)
    pixels = pictures(3)
    scaled = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    expected = network(scaled, training=False).numpy()
    found = encoded(spec_of(mobile), pixels, [True] * 3)
    assert found.shape == (3, 1280) == (3, image.width(spec_of(mobile)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_named_layers_stand_before_the_vector_each_part_at_unit_length(mobile: Path) -> None:
    network = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    network.load_weights(mobile)
    names = ["block_12_add", "block_3_expand"]
    parts = keras.Model(network.input, [network.get_layer(name).output for name in names])
    pixels = pictures(3)
    scaled = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    maps = [one.numpy().mean(axis=(1, 2)) for one in parts(scaled, training=False)]
    expected = [*maps, network(scaled, training=False).numpy()]
    expected = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in expected]
    spec = spec_of(mobile, image_layers=names)
    found = encoded(spec, pixels, [True] * 3)
    assert found.shape == (3, image.width(spec))
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_the_layers_of_a_frozen_encoder_are_a_matter_of_preprocessing(mobile: Path) -> None:
    plain, other = spec_of(mobile), spec_of(mobile, image_layers=["block_3_expand"])
    assert plain.features_json() != other.features_json()


def test_a_vector_does_not_depend_on_the_batch_and_a_missing_picture_has_zeros(
    mobile: Path,
) -> None:
    spec, pixels = spec_of(mobile), pictures(5)
    whole = encoded(spec, pixels, [True, True, False, True, True])
    assert not whole[2].any()
    assert whole[3].any()
    for place in (0, 1, 3, 4):
        alone = encoded(spec, pixels[place : place + 1], [True])
        np.testing.assert_array_equal(alone[0], whole[place])


def test_bytes_of_caffes_networks_are_turned_to_their_channels(tmp_path: Path) -> None:
    layer = image.Pixels("keras.applications:ResNet50")
    pixels = np.full((1, 2, 2, 3), [10, 20, 30], np.uint8)
    np.testing.assert_allclose(
        layer(pixels)[0, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-5
    )


def test_efficientnet_lite0_has_the_shape_that_its_weights_are_for() -> None:
    network = efficientnet_lite.build(64)
    assert network.output_shape == (None, efficientnet_lite.WIDTH)
    assert network.count_params() == 3_350_000
    assert network.get_layer("block_15_project").output.shape == (None, 2, 2, 320)
    layer = image.Pixels("efficientnet_lite0")
    assert layer(np.array([[255, 127, 0]], np.uint8)).numpy().tolist() == [[1.0, 0.0, -0.9921875]]


def digest(weights: str) -> str:
    analysis = Analysis({"label_category_vocabulary": ("a", "b")}, {})
    return graph_digest.transform_digest(spec_of(Path(weights)), analysis)


def test_the_transform_digest_is_the_same_in_another_process_and_not_with_other_weights(
    mobile: Path, tmp_path: Path
) -> None:
    keras.layers.Dense(1)  # counted by Keras, and by nothing of ours
    code = (
        "import sys\nfrom tests.transforms.encoders import test_image as t\n"
        "print(t.digest(sys.argv[1]))"
    )
    root = Path(__file__).resolve().parents[3]
    elsewhere = subprocess.run(
        [sys.executable, "-c", code, str(mobile)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest(str(mobile)) == elsewhere.stdout.split()[-1]
    other = encoders.mobile_net(tmp_path / "other.weights.h5", seed=1)
    assert digest(str(other)) != digest(str(mobile))


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"image_encoder": "keras.applications:MobilNet"}, "has no 'MobilNet'; did you mean"),
        ({"image_arguments": {"colour": 1}}, "cannot be made for pictures of 32 x 32"),
        ({"image_arguments": {"alpha": 0.5}}, "holds no weights of keras.applications:Mobile"),
        ({"image_encoder": "efficientnet_lite0", "image_arguments": {}}, "holds no weights of eff"),
        ({"image_layers": ["block_12_ad"]}, "has no layer 'block_12_ad' that gives a map; did you"),
        ({"image_layers": ["pooled"]}, "that gives a map; the last one is 'out_relu'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(
    mobile: Path, model: dict[str, object], problem: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        image.load(spec_of(mobile, **model).model, SIZE)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_holds_no_weights_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.weights.h5").write_bytes(b"no weights")
    with pytest.raises(OptionsError, match="holds no weights of keras.applications:MobileNetV2"):
        image.load(spec_of(tmp_path / "broken.weights.h5").model, SIZE)


def test_kerashub_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)  # as Python marks what cannot be imported
    (tmp_path / "config.json").write_text("{}")
    settings = EncoderSpec(image_encoder="keras_hub", image_weights=str(tmp_path))
    with pytest.raises(
        OptionsError, match=r"not installed; pip install 'keras-hub>=0.32' \(the extra"
    ):
        image.load(settings, SIZE)
