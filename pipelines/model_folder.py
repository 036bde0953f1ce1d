"""Model folders in a bucket: a process copies one to its own disk, once."""

import functools
import tempfile
from pathlib import Path, PurePosixPath

from model import artefact
from pipelines import cloud_storage, storage
from transforms.errors import GateError, OptionsError


def local(folder: str) -> str:
    """A local folder with the same files: the folder itself, or the copy of a `gs://` one.

    Whether the files are those of one model, `model.artefact.load` finds out.

    Raises:
        OptionsError: Where there is no model in the bucket.
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    return _copy(folder) if folder.startswith(cloud_storage.SCHEME) else folder


@functools.cache
def _copy(folder: str) -> str:
    place = Path(_scratch().name) / str(_copy.cache_info().misses)
    root = folder.rstrip("/")
    names = [file.path.removeprefix(f"{root}/") for file in storage.tree(root)]
    if artefact.ABOUT not in names:
        raise OptionsError(
            f"{folder}: is no model folder ({artefact.ABOUT} is missing); "
            "copy a whole one there that `triad train --output` wrote"
        )
    for name in names:
        if name.endswith("/"):
            continue  # what a console makes for an empty folder
        path = place / inside(name, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_bytes(f"{root}/{name}"))
    return str(place)


def inside(name: str, root: str) -> PurePosixPath:
    """The path of an object below its folder.

    Raises:
        GateError: Where the name, taken as a path, leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise GateError(f"{root}/{name}: leads out of the model's folder; remove the object")
    return path


@functools.cache
def _scratch() -> "tempfile.TemporaryDirectory[str]":
    """Removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="triad-model-")
