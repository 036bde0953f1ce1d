"""Pretrained audio encoders with seeded random weights, and their source files."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.encoders import audio, whisper
from triad_ml.transforms.files import safetensors

Arrays = dict[str, npt.NDArray[Any]]

CONFIG = whisper.Config(bins=80, width=8, layers=2, heads=2, hidden=16, positions=60)
"""Sizes of a tiny Whisper, for audio of up to 1.2 seconds."""

_MUSICNN = {
    "timbral_0": (7, 38, 1, 204),
    "timbral_1": (7, 67, 1, 204),
    "temporal_0": (128, 1, 1, 51),
    "temporal_1": (64, 1, 1, 51),
    "temporal_2": (32, 1, 1, 51),
    "middle_0": (7, 561, 1, 64),
    "middle_1": (7, 64, 1, 64),
    "middle_2": (7, 64, 1, 64),
    "vector": (1506, 200),
}


def whisper_arrays(seed: int = 0, config: whisper.Config = CONFIG) -> Arrays:
    """Returns the tensors of an encoder of Whisper, float32 numbers that float16 holds."""
    random = np.random.default_rng(seed)
    width, hidden = config.width, config.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (width, config.bins, 3),
        "encoder.conv2.weight": (width, width, 3),
    }
    vectors = ["encoder.conv1.bias", "encoder.conv2.bias", "encoder.layer_norm.bias"]
    norms = ["encoder.layer_norm.weight"]
    for index in range(config.layers):
        prefix = f"encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{prefix}.self_attn.{part}.weight"] = (width, width)
        for part in ("q_proj", "v_proj", "out_proj"):
            vectors.append(f"{prefix}.self_attn.{part}.bias")
        shapes[f"{prefix}.fc1.weight"] = (hidden, width)
        shapes[f"{prefix}.fc2.weight"] = (width, hidden)
        shapes[f"{prefix}.fc1.bias"] = (hidden,)
        vectors.append(f"{prefix}.fc2.bias")
        for part in ("self_attn_layer_norm", "final_layer_norm"):
            norms.append(f"{prefix}.{part}.weight")
            vectors.append(f"{prefix}.{part}.bias")
    shapes |= dict.fromkeys([*vectors, *norms], (width,))
    arrays = {name: random.normal(0, 0.4, shape) for name, shape in sorted(shapes.items())}
    for name in norms:
        arrays[name] = 1 + arrays[name] / 4
    arrays["encoder.embed_positions.weight"] = whisper.sinusoids(config.positions, width)
    return {name: value.astype(np.float16).astype(np.float32) for name, value in arrays.items()}


def write_whisper(path: Path, seed: int = 0, config: whisper.Config = CONFIG) -> Path:
    """Writes a file of weights as `triad encoder` does, and returns its path."""
    short = {name: value.astype(np.float16) for name, value in whisper_arrays(seed, config).items()}
    metadata = {audio.ENCODER: "whisper", audio.CONFIG: config.to_json()}
    safetensors.write(path, short, metadata)
    return path


def musicnn_arrays(seed: int = 0) -> Arrays:
    """Returns the tensors of musicnn."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    for name, shape in _MUSICNN.items():
        deviation = (2.0 / np.prod(shape[:-1])) ** 0.5
        arrays[f"{name}.kernel"] = random.normal(0, deviation, shape)
        arrays[f"{name}.bias"] = random.normal(0, 0.1, shape[-1])
    scales = {f"{name}_scaled": shape[-1] for name, shape in _MUSICNN.items()}
    for name, size in {**scales, "frames_scaled": 1, "pooled_scaled": 1506}.items():
        arrays[f"{name}.scale"] = random.normal(1, 0.3, size)
        arrays[f"{name}.offset"] = random.normal(0, 0.3, size)
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def write_musicnn(path: Path, seed: int = 0) -> Path:
    """Writes a file of weights as `triad encoder` does, and returns its path."""
    metadata = {audio.ENCODER: "musicnn", audio.CONFIG: "{}"}
    safetensors.write(path, musicnn_arrays(seed), metadata)
    return path


def transformers_config(config: whisper.Config = CONFIG, **other: Any) -> dict[str, Any]:
    """Returns the fields of a `config.json` of Transformers, those of the decoder among them."""
    return {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "num_mel_bins": config.bins,
        "d_model": config.width,
        "encoder_layers": config.layers,
        "encoder_attention_heads": config.heads,
        "encoder_ffn_dim": config.hidden,
        "max_source_positions": config.positions,
        "activation_function": "gelu",
        "scale_embedding": False,
        "decoder_layers": 4,
        "vocab_size": 51865,
        **other,
    }


def write_transformers(folder: Path, arrays: Arrays, config: Mapping[str, Any]) -> Path:
    """Writes a folder of Transformers with tensors of a decoder, and returns its path."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    named = {f"model.{name}": value for name, value in arrays.items()}
    named["model.decoder.embed_tokens.weight"] = np.zeros((3, 8), np.float32)
    safetensors.write(folder / "model.safetensors", named, {"format": "pt"})
    return folder


def ctranslate2_variables(arrays: Arrays, config: whisper.Config = CONFIG) -> dict[str, Any]:
    """Returns the variables of a model.bin of CTranslate2, float16, with one of the decoder."""
    found: dict[str, Any] = {
        "decoder/num_heads": np.int16(config.heads),
        "encoder/num_heads": np.int16(config.heads),
        "encoder/position_encodings/encodings": arrays["encoder.embed_positions.weight"],
    }
    for layer in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            found[f"encoder/{layer}/{part}"] = arrays[f"encoder.{layer}.{part}"]
    norms = {"encoder/layer_norm": "encoder.layer_norm"}
    for index in range(config.layers):
        source, target = f"encoder.layers.{index}", f"encoder/layer_{index}"
        norms[f"{target}/self_attention/layer_norm"] = f"{source}.self_attn_layer_norm"
        norms[f"{target}/ffn/layer_norm"] = f"{source}.final_layer_norm"
        weights = [arrays[f"{source}.self_attn.{part}_proj.weight"] for part in "qkv"]
        query, value = (arrays[f"{source}.self_attn.{part}_proj.bias"] for part in "qv")
        found[f"{target}/self_attention/linear_0/weight"] = np.concatenate(weights)
        biases = np.concatenate([query, np.zeros_like(query), value])
        found[f"{target}/self_attention/linear_0/bias"] = biases
        others = {"self_attention/linear_1": "self_attn.out_proj"}
        others |= {"ffn/linear_0": "fc1", "ffn/linear_1": "fc2"}
        for layer, name in others.items():
            for part in ("weight", "bias"):
                found[f"{target}/{layer}/{part}"] = arrays[f"{source}.{name}.{part}"]
    for layer, name in norms.items():
        found[f"{layer}/gamma"] = arrays[f"{name}.weight"]
        found[f"{layer}/beta"] = arrays[f"{name}.bias"]
    return {
        name: value.astype(np.float16) if value.dtype == np.float32 else value
        for name, value in found.items()
    }


_TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def ctranslate2_bytes(
    variables: Mapping[str, Any],
    name: str = "WhisperSpec",
    revision: int = 3,
    version: int = 6,
    aliases: Mapping[str, str] | None = None,
) -> bytes:
    """Returns a model.bin of CTranslate2."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text(name), struct.pack("<II", revision, len(variables))]
    for key, value in variables.items():
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        parts += [text(key), shape, struct.pack("<BI", _TYPES[value.dtype.name], value.nbytes)]
        parts.append(value.tobytes())
    named = aliases or {}
    parts.append(struct.pack("<I", len(named)))
    parts += [text(one) for pair in named.items() for one in pair]
    return b"".join(parts)


def write_ctranslate2(folder: Path, content: bytes) -> Path:
    """Writes a folder of CTranslate2 and returns its path."""
    folder.mkdir()
    (folder / "model.bin").write_bytes(content)
    (folder / "config.json").write_text('{"suppress_ids": [1, 2]}')
    return folder


def sounds(lengths: list[int], samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Returns tones in noise, zero-padded to `samples`, one row for each length."""
    random = np.random.default_rng(seed)
    rows = np.zeros((len(lengths), samples), np.float32)
    for row, length in zip(rows, lengths, strict=True):
        time = np.arange(length) / 16_000
        tone = np.sin(2 * np.pi * random.uniform(200, 3000) * time)
        row[:length] = 0.3 * tone + random.normal(0, 0.02, length)
    return rows
