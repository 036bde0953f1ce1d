"""Tensors of a text encoder: their names in a checkpoint, their shapes, and their variables."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from triad_ml.transforms.encoders.texts.config import TextConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import checkpoints, safetensors, torch_files
from triad_ml.transforms.spec.model import TransformerFamily

Values = npt.NDArray[Any]
Arrays = dict[str, Values]

_READERS: Mapping[str, Callable[[bytes, str], Arrays]] = {
    ".safetensors": safetensors.parse,
    ".bin": torch_files.parse,
}
"""Readers of files with tensors, by the end of their names."""


class _Names(NamedTuple):
    """Names of tensors in a family's checkpoints, without `.weight` and `.bias`.

    Attributes:
        prefix: Prefix of the encoder's tensors in a checkpoint that has a head, too.
        normalization: Normalization of the embeddings.
        types: Vectors of token types; None if the family has none.
        block: Prefix of a layer, with its number.
        layers: Parts of a layer, in the order of `_PARTS`.
    """

    prefix: str
    normalization: str
    types: str | None
    block: str
    layers: tuple[str, ...]


_PARTS = (
    *("query", "key", "value", "joined", "attended"),
    *("inner", "outer", "normalization"),
)
"""Names of the parts of a `transformer.Block`."""

_BERT = _Names(
    "bert.",
    "embeddings.LayerNorm",
    "embeddings.token_type_embeddings",
    "encoder.layer.{}.",
    (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ),
)
_ROBERTA = _BERT._replace(prefix="roberta.")
_DISTILBERT = _Names(
    "distilbert.",
    "embeddings.LayerNorm",
    None,
    "transformer.layer.{}.",
    (
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "sa_layer_norm",
        "ffn.lin1",
        "ffn.lin2",
        "output_layer_norm",
    ),
)
_FAMILIES: Mapping[TransformerFamily, _Names] = {
    "bert": _BERT,
    "distilbert": _DISTILBERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
}

_WORDS, _POSITIONS = "embeddings.word_embeddings", "embeddings.position_embeddings"
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
"""Tensors that hold 0, 1, 2, ... and zeros; they are no weights."""

_OLD = {".weight": ".gamma", ".bias": ".beta"}
"""Ends of the names of a normalization, and those that TensorFlow's checkpoints had."""


class Wanted(NamedTuple):
    """Tensor of a checkpoint, and the variable that it becomes.

    Attributes:
        name: Name of the tensor without the family's prefix.
        shape: Shape of the tensor; a matrix is turned around on its way into a kernel.
        variable: Names of the layer, its part and the variable.
    """

    name: str
    shape: tuple[int, ...]
    variable: tuple[str, str, str]


def read(held: checkpoints.Held, found: checkpoints.Checkpoint) -> Arrays:
    """Reads the tensors of all files; a list of shards must be right.

    Raises:
        OptionsError: If a file is damaged, or does not hold what the list of shards says.
    """
    tensors: Arrays = {}
    for name in found.weights:
        path = str(held.path / name)
        own = _READERS[name[name.rindex(".") :]](held.contents[name], path)
        if found.shards is not None:
            listed = {tensor for tensor, place in found.shards.items() if place == name}
            if listed != own.keys():
                wrong = min(listed ^ own.keys())
                raise OptionsError(
                    f"{path}: tensor {wrong!r:.120} is not where the list of shards says; "
                    "give the whole folder as it was saved"
                )
        tensors |= own
    return tensors


def checked(config: TextConfig, tensors: Arrays, name: str) -> list[tuple[Wanted, Values]]:
    """Returns the tensors of an encoder, after all of them have been checked.

    Args:
        config: Configuration of the encoder.
        tensors: Tensors of its checkpoint.
        name: Name of the checkpoint for errors.

    Raises:
        OptionsError: If one is missing, has another shape or holds numbers that are not finite, or
            if the encoder in the checkpoint has a tensor that is not known.
    """
    names = _FAMILIES[config.family]
    prefix = names.prefix if any(key.startswith(names.prefix) for key in tensors) else ""
    found, used = [], {prefix + buffer for buffer in _BUFFERS}
    for wanted in _wanted(config, names):
        key = prefix + wanted.name
        end = key[key.rindex(".") :]
        if key not in tensors and key.removesuffix(end) + _OLD[end] in tensors:
            key = key.removesuffix(end) + _OLD[end]
        if key not in tensors:
            raise OptionsError(
                f"{name}: holds no tensor {key}, as config.json wants; give the whole folder"
            )
        used.add(key)
        found.append((wanted, _fitting(tensors[key], wanted, key, name)))
    inside = tuple(prefix + part for part in ("embeddings.", names.block.partition(".")[0] + "."))
    others = sorted(key for key in tensors if key.startswith(inside) and key not in used)
    if others:
        raise OptionsError(
            f"{name}: holds tensor {others[0]!r:.120}, which no {config.family} of config.json "
            "has; give an unchanged encoder"
        )
    return found


def assign(network: keras.Model, tensors: Iterable[tuple[Wanted, Values]]) -> None:
    """Gives the variables of an encoder their values.

    Args:
        network: Model from `transformer.build`.
        tensors: Tensors of its configuration, from `checked`.
    """
    for wanted, values in tensors:
        layer, part, variable = wanted.variable
        owner = getattr(network.get_layer(layer), part)
        turned = values.T if variable == "kernel" else values
        getattr(owner, variable).assign(turned.astype(np.float32))


def _fitting(values: Values, wanted: Wanted, key: str, name: str) -> Values:
    if values.shape != wanted.shape:
        raise OptionsError(
            f"{name}: tensor {key} has shape {values.shape}, and config.json wants "
            f"{wanted.shape}; give files that belong together"
        )
    if not np.issubdtype(values.dtype, np.floating):
        raise OptionsError(f"{name}: tensor {key} holds {values.dtype}; give an encoder of floats")
    # A sum needs no copy. It is not finite if a number is not, but may also overflow.
    with np.errstate(invalid="ignore", over="ignore"):
        total = values.sum(dtype=np.float64)
    if not np.isfinite(total) and not np.isfinite(values).all():
        raise OptionsError(
            f"{name}: tensor {key} holds numbers that are not finite; give another encoder"
        )
    if values.dtype.itemsize > 4 and np.abs(values).max(initial=0) > np.finfo(np.float32).max:
        raise OptionsError(f"{name}: tensor {key} holds numbers beyond float32; give another one")
    return values


def _wanted(config: TextConfig, names: _Names) -> Iterator[Wanted]:
    width = config.width
    yield _embedding(_WORDS, config.vocabulary, width, "words")
    yield _embedding(_POSITIONS, config.positions, width, "positions")
    if names.types is not None:
        yield _embedding(names.types, config.types, width, "types")
    yield from _normalization(names.normalization, width, "embeddings", "normalization")
    for number in range(config.layers):
        for part, own in zip(_PARTS, names.layers, strict=True):
            name, layer = names.block.format(number) + own, f"layer_{number}"
            if part in ("attended", "normalization"):
                yield from _normalization(name, width, layer, part)
                continue
            outputs = config.inner if part == "inner" else width
            inputs = config.inner if part == "outer" else width
            yield Wanted(f"{name}.weight", (outputs, inputs), (layer, part, "kernel"))
            yield Wanted(f"{name}.bias", (outputs,), (layer, part, "bias"))


def _embedding(name: str, count: int, width: int, part: str) -> Wanted:
    return Wanted(f"{name}.weight", (count, width), ("embeddings", part, "embeddings"))


def _normalization(name: str, width: int, layer: str, part: str) -> Iterator[Wanted]:
    yield Wanted(f"{name}.weight", (width,), (layer, part, "gamma"))
    yield Wanted(f"{name}.bias", (width,), (layer, part, "beta"))
