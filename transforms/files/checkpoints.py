"""Folder of a text encoder as Hugging Face Transformers and sentence-transformers write it.

Only the files named here are read, and only they count in the digest of the folder.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import regular

CONFIG = "config.json"
MODULES = "modules.json"
SENTENCES = "sentence_bert_config.json"
SAFETENSORS, TORCH = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
"""Suffix of the list of shards, behind `SAFETENSORS` or `TORCH`."""

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""Files that decide the pieces of a text; a folder has some of them."""

MOST_JSON = 2**20
"""Largest size of a JSON file, in bytes; the lists of shards may be 16 times as large."""
MOST_SHARDS = 64
MOST_BYTES = 4 * 2**30
"""Largest size of one file of tensors, in bytes."""

_KINDS = ("Transformer", "Pooling", "Normalize")
"""Modules of sentence-transformers that are known, in their only order; the first is needed."""


class Files(Protocol):
    """Files of a folder, by relative path."""

    def has(self, name: str) -> bool:
        """Returns True if there is such a file."""

    def read(self, name: str, limit: int) -> bytes:
        """Returns the content of a file of at most `limit` bytes.

        Raises:
            OptionsError: If there is no such file, or it is larger.
            StorageError: If it cannot be read.
        """


class Folder:
    """Files on the disk; links are followed, as in a cache of Hugging Face.

    Args:
        path: Path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str, limit: int) -> bytes:
        path = self.path / name
        try:
            with regular.open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(size) if size <= limit else b""
        except (FileNotFoundError, NotADirectoryError) as error:
            raise OptionsError(f"{path}: there is no such file; give the whole folder") from error
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
        if size > limit:
            raise _too_large(path, limit)
        return content


class Held:
    """Files in memory.

    Args:
        path: Path of the folder from which they were read, for errors.
        contents: Content by relative path.
    """

    def __init__(self, path: Path, contents: Mapping[str, bytes]) -> None:
        self.path, self.contents = path, contents

    def has(self, name: str) -> bool:
        return name in self.contents

    def read(self, name: str, limit: int) -> bytes:
        if name not in self.contents:
            raise OptionsError(f"{self.path / name}: appeared while others were read; start again")
        if len(self.contents[name]) > limit:
            raise _too_large(self.path / name, limit)
        return self.contents[name]


def _too_large(path: Path, limit: int) -> OptionsError:
    return OptionsError(f"{path}: over {limit} bytes; give the folder of a text encoder")


class Checkpoint(NamedTuple):
    """Files of a folder that are read, by their use.

    Attributes:
        config: Name of the file with the network's sizes.
        weights: Names of the files with tensors, sorted.
        shards: By tensor, the file that holds it; None without a list of shards.
        pooling: Name of the file with the kind of pooling; None without one.
        normalize: True if vectors are scaled to unit length.
        sentences: Name of the file with the settings of sentence-transformers, or None.
        tokenizer: Names of the tokenizer's files, sorted.
        others: Names of further files that are read.
    """

    config: str
    weights: tuple[str, ...]
    shards: Mapping[str, str] | None
    pooling: str | None
    normalize: bool
    sentences: str | None
    tokenizer: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files that are read, sorted."""
        optional = (self.pooling, self.sentences)
        found = {self.config, *self.weights, *self.tokenizer, *self.others}
        return tuple(sorted(found | {name for name in optional if name is not None}))


def checkpoint(files: Files, path: Path) -> Checkpoint:
    """Finds the files that are read.

    Args:
        files: Files of the folder.
        path: Path of the folder, for errors.

    Raises:
        OptionsError: If the folder is not one of a text encoder, or has modules that are unknown.
        StorageError: If a file cannot be read.
    """
    modules = _modules(files, path)
    base = modules.get("Transformer", "")
    config = f"{base}{CONFIG}"
    if not files.has(config):
        raise OptionsError(
            f"{path}: holds no {config}; give a folder that Hugging Face Transformers has saved"
        )
    listed = [name for kind in (SAFETENSORS, TORCH) for name in (kind, kind + INDEX)]
    weights = next((base + name for name in listed if files.has(base + name)), None)
    if weights is None:
        raise OptionsError(
            f"{path}: holds neither {base}{SAFETENSORS} nor {base}{TORCH}; give the whole folder"
        )
    shards = _shards(files, path, weights, base) if weights.endswith(INDEX) else None
    pooling = f"{modules['Pooling']}{CONFIG}" if "Pooling" in modules else None
    others = [MODULES] if modules else []
    return Checkpoint(
        config,
        tuple(sorted(set(shards.values()))) if shards is not None else (weights,),
        shards,
        pooling,
        "Normalize" in modules,
        f"{base}{SENTENCES}" if modules and files.has(f"{base}{SENTENCES}") else None,
        tuple(sorted(base + name for name in TOKENIZER if files.has(base + name))),
        tuple([*others, weights] if shards is not None else others),
    )


def mapping(files: Files, name: str, path: Path, limit: int = MOST_JSON) -> dict[str, Any]:
    """Reads a JSON file that holds a mapping.

    Raises:
        OptionsError: If it holds anything else.
        StorageError: If it cannot be read.
    """
    found = _json(files, name, path, limit)
    if not isinstance(found, dict):
        raise OptionsError(f"{path / name}: is no mapping; give the file as it was saved")
    return found


def _json(files: Files, name: str, path: Path, limit: int) -> Any:
    try:
        return json.loads(files.read(name, limit), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise OptionsError(
            f"{path / name}: is no JSON ({type(error).__name__}); give the file as it was saved"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _modules(files: Files, path: Path) -> dict[str, str]:
    """Returns the modules of sentence-transformers: by kind, the prefix of its files' names."""
    if not files.has(MODULES):
        return {}
    listed = _json(files, MODULES, path, MOST_JSON)
    found: dict[str, str] = {}
    for module in listed if isinstance(listed, list) else [None]:
        entry = module if isinstance(module, dict) else {}
        kind, place = str(entry.get("type")).rpartition(".")[2], entry.get("path")
        if kind not in _KINDS or kind in found or not isinstance(place, str):
            known = ", ".join(_KINDS)
            raise OptionsError(
                f"{path / MODULES}: module {entry.get('type')!r:.80} is not known here or stands "
                f"twice; give an encoder that has {known} at most, once each"
            )
        if place and not _is_plain(place):
            raise OptionsError(f"{path / MODULES}: path {place!r:.80} is no name of a folder")
        found[kind] = f"{place}/" if place else ""
    if [*found] != [kind for kind in _KINDS if kind in found] or "Transformer" not in found:
        raise OptionsError(
            f"{path / MODULES}: modules are {', '.join(found) or 'none'}; give an encoder that "
            f"has {', '.join(_KINDS)} in this order"
        )
    return found


def _shards(files: Files, path: Path, index: str, base: str) -> dict[str, str]:
    """Returns the file of each tensor in a list of shards."""
    places = mapping(files, index, path, 16 * MOST_JSON).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise OptionsError(f"{path / index}: has no weight_map; give the file as it was saved")
    for place in places.values():
        if not isinstance(place, str) or not _is_plain(place):
            raise OptionsError(f"{path / index}: {place!r:.80} is no name of a file")
    names = set(places.values())
    if len(names) > MOST_SHARDS:
        raise OptionsError(f"{path / index}: over {MOST_SHARDS} shards; give a smaller encoder")
    missing = sorted(name for name in names if not files.has(base + name))
    if missing:
        raise OptionsError(f"{path / base / missing[0]}: the shard is missing; copy it too")
    return {tensor: base + place for tensor, place in places.items()}


def _is_plain(name: str) -> bool:
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\\0")
