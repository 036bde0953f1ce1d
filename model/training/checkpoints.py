"""Checkpoints of a training: one folder an epoch, there as a whole or not at all."""

import dataclasses
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.hashing import file_digest

Arrays = tuple[npt.NDArray[Any], ...]

KEPT = 2
"""How many checkpoints stay; the older one serves where the disk damaged the newer one."""

_ARRAYS, _STATE = "arrays.npz", "state.json"
"""The latter begins with its own SHA-256 and holds that of the former: no flipped bit is read."""
_GROUPS = ("weights", "optimizer", "best")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A training at the end of an epoch.

    Attributes:
        digest: Of everything that decides the result: spec, classes, files.
        epoch: How many epochs are done.
        weights: Of the trained network.
        optimizer: Its state.
        best: The weights at the end of the best epoch.
        best_epoch: From 1 on.
        best_loss: What that epoch was compared by on the eval split: its loss, or minus its
            accuracy; None where the last epoch counts.
        history: One row an epoch.
        done: Whether no further epoch follows.
    """

    digest: str
    epoch: int
    weights: Arrays
    optimizer: Arrays
    best: Arrays
    best_epoch: int
    best_loss: float | None
    history: tuple[Mapping[str, float | None], ...]
    done: bool


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint and removes all but the last `KEPT`.

    A process that dies at any moment leaves whole checkpoints and hidden leftovers; the next call
    removes the latter.

    Raises:
        StorageError: Where the folder cannot be written.
    """
    final = folder / f"epoch-{checkpoint.epoch:05d}"
    temporary = folder / f".writing-{checkpoint.epoch:05d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary.mkdir()
        _write(temporary, checkpoint)
        _sync(temporary)
        if final.exists():  # damaged, or training would not have done this epoch again
            _remove(final)
        os.replace(temporary, final)
        _sync(folder)
        for old in _finished(folder)[KEPT:]:
            _remove(old)
    except OSError as error:
        raise StorageError(
            f"{folder}: the checkpoint cannot be written: {error.strerror or error}; "
            "make room or permit writing, then start again: training goes on where it was"
        ) from error


def latest(folder: Path, digest: str) -> Checkpoint | None:
    """Reads the newest whole checkpoint, or gives None where there is none.

    Raises:
        OptionsError: Where it belongs to another training.
        StorageError: Where there are checkpoints, and none can be read.
    """
    finished = _finished(folder)
    for place in finished:
        checkpoint = _read(place)
        if checkpoint is None:
            continue
        if checkpoint.digest != digest:
            raise OptionsError(
                f"{folder}: holds a training of another spec or other data; "
                "choose another --output (--fresh would throw that training away)"
            )
        return checkpoint
    if finished:
        raise StorageError(
            f"{folder}: none of {len(finished)} checkpoints can be read; "
            "restore one, or choose another --output (--fresh would throw them away)"
        )
    return None


def clear(folder: Path) -> None:
    """Removes every checkpoint."""
    if folder.is_dir():
        _remove_leftovers(folder)
        for place in _finished(folder):
            _remove(place)


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    arrays = {
        f"{group}_{place:04d}": array
        for group in _GROUPS
        for place, array in enumerate(getattr(checkpoint, group))
    }
    state = {
        field.name: getattr(checkpoint, field.name)
        for field in dataclasses.fields(checkpoint)
        if field.name not in _GROUPS
    }
    with open(folder / _ARRAYS, "wb") as file:
        np.savez(file, **arrays)
        _flush(file)
    state[_ARRAYS] = file_digest(folder / _ARRAYS)
    content = json.dumps(state, separators=(",", ":")).encode()
    with open(folder / _STATE, "wb") as file:
        file.write(f"{hashlib.sha256(content).hexdigest()}\n".encode() + content)
        _flush(file)


def _read(folder: Path) -> Checkpoint | None:
    """Reads one checkpoint, or gives None where it is damaged."""
    try:
        said, _, content = (folder / _STATE).read_bytes().partition(b"\n")
        if said.decode() != hashlib.sha256(content).hexdigest():
            return None
        state = json.loads(content)
        if state.pop(_ARRAYS) != file_digest(folder / _ARRAYS):
            return None
        with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
            state |= {group: tuple(_arrays(stored, group)) for group in _GROUPS}
        return Checkpoint(**{**state, "history": tuple(state["history"])})
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _arrays(stored: Mapping[str, npt.NDArray[Any]], group: str) -> Iterator[npt.NDArray[Any]]:
    for name in sorted(name for name in stored if name.startswith(f"{group}_")):
        yield stored[name]


def _finished(folder: Path) -> Sequence[Path]:
    """The checkpoints that were written to the end, the newest first."""
    return sorted(folder.glob("epoch-*"), reverse=True)


def _remove_leftovers(folder: Path) -> None:
    for pattern in (".writing-*", ".removed-*"):
        for place in folder.glob(pattern):
            shutil.rmtree(place)


def _remove(checkpoint: Path) -> None:
    # Half of a checkpoint must never bear its name.
    hidden = checkpoint.with_name(f".removed-{checkpoint.name}")
    os.replace(checkpoint, hidden)
    shutil.rmtree(hidden)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
