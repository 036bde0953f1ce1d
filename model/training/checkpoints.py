"""Checkpoints of a training: one folder per epoch, written atomically."""

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
"""Number of checkpoints that are kept; the older one is the fallback if the newer is damaged."""

_ARRAYS, _STATE = "arrays.npz", "state.json"
"""Names of the two files of a checkpoint.

The state file begins with its own SHA-256 and holds that of the arrays, so that any flipped bit is
noticed.
"""
_GROUPS = ("weights", "optimizer", "best")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """State of a training at the end of an epoch.

    Attributes:
        digest: Digest of everything that decides the result: spec, classes and files.
        epoch: Number of finished epochs.
        weights: Weights of the training network.
        optimizer: State of the optimizers.
        best: Weights at the end of the best epoch.
        best_epoch: Number of the best epoch, from 1.
        best_loss: Value that epochs are compared by, the lower the better: the loss on the eval
            split, or minus the weighted sum of accuracies there; None if the last epoch counts.
        history: Rows of the history, one per epoch.
        done: True if no further epoch follows.
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

    A process that dies at any moment leaves complete checkpoints and hidden temporary folders; the
    next call removes the temporary folders.

    Raises:
        StorageError: If the folder cannot be written.
    """
    final = folder / f"epoch-{checkpoint.epoch:05d}"
    temporary = folder / f".writing-{checkpoint.epoch:05d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary.mkdir()
        _write(temporary, checkpoint)
        _sync(temporary)
        if final.exists():  # it is damaged, else training would not have repeated the epoch
            _remove(final)
        os.replace(temporary, final)
        _sync(folder)
        for old in _finished(folder)[KEPT:]:
            _remove(old)
    except OSError as error:
        raise StorageError(
            f"{folder}: the checkpoint cannot be written: {error.strerror or error}; "
            "make room or permit writing, then start again: training resumes at its last checkpoint"
        ) from error


def latest(folder: Path, digest: str) -> Checkpoint | None:
    """Reads the newest undamaged checkpoint; returns None if there are no checkpoints.

    Args:
        folder: Folder of the checkpoints.
        digest: Expected `Checkpoint.digest`.

    Raises:
        OptionsError: If it belongs to another training.
        StorageError: If there are checkpoints, but none can be read.
    """
    finished = _finished(folder)
    for path in finished:
        checkpoint = _read(path)
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
        for path in _finished(folder):
            _remove(path)


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    arrays = {
        f"{group}_{index:04d}": array
        for group in _GROUPS
        for index, array in enumerate(getattr(checkpoint, group))
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
    """Reads one checkpoint; returns None if it is damaged."""
    try:
        digest, _, content = (folder / _STATE).read_bytes().partition(b"\n")
        if digest.decode() != hashlib.sha256(content).hexdigest():
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
    """Returns the folders of the finished checkpoints, the newest first."""
    return sorted(folder.glob("epoch-*"), reverse=True)


def _remove_leftovers(folder: Path) -> None:
    for pattern in (".writing-*", ".removed-*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path)


def _remove(checkpoint: Path) -> None:
    # A partly deleted checkpoint must not look like a finished one.
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
