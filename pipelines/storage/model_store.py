"""Model store: opens model bundles, from a folder, its pointer or a bucket, and verifies them."""

import functools
import os

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runtime.names import POINTER as POINTER
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.storage import cloud as storage_cloud
from triad_ml.transforms.errors import LostRaceError, OptionsError
from triad_ml.transforms.files.scratch import ScratchFolder


def read(models: str) -> str | None:
    """Returns the name of the released model; None if the folder holds no pointer.

    Raises:
        OptionsError: The pointer does not hold the name of a folder next to it.
        StorageError: The pointer cannot be read.
    """
    content = atomic.read_if_there(_path(models))
    return None if content is None else _name(models, content)


def resolved(folder: str) -> str:
    """Returns the model folder that a folder's pointer names, or the folder if it has no pointer.

    Raises:
        OptionsError: As for `read`.
        StorageError: As for `read`.
    """
    name = read(folder)
    return folder if name is None else f"{folder.rstrip('/')}/{name}"


def parted(model: str) -> tuple[str, str]:
    """Splits the path of a model folder into its parent folder and its name.

    Raises:
        OptionsError: A pointer cannot hold the name.
    """
    cloud = model.startswith("gs://")
    models, _, name = (model.rstrip("/") if cloud else os.path.abspath(model)).rpartition("/")
    return models, _name(models, name.encode(errors="surrogateescape"))


def flip(models: str, name: str, expected: bytes | None) -> None:
    """Releases a model: makes the pointer name it.

    Args:
        models: Folder with the pointer.
        name: Name of the model folder in it.
        expected: Content of the pointer when the model was chosen; None if there was no pointer.

    Raises:
        LostRaceError: The pointer holds something else now.
        StorageError: The pointer cannot be written.
    """
    if not atomic.replace(_path(models), f"{name}\n".encode(), expected):
        raise LostRaceError(
            f"{_path(models)}: another model was released meanwhile; look at it, then release again"
        )


def stamp(models: str) -> tuple[object, ...] | None:
    """Returns a value that changes whenever the pointer is written; None if there is no pointer.

    Locally it also changes if the content stays the same; in a bucket it is the content.
    """
    if models.startswith("gs://"):
        held = content(models)
        return None if held is None else (held,)
    with atomic.explained(models):
        try:
            status = os.stat(_path(models))
        except FileNotFoundError:
            return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def content(models: str) -> bytes | None:
    """Reads the content of the pointer, unchecked; None if there is no pointer."""
    return atomic.read_if_there(_path(models))


def _path(models: str) -> str:
    return f"{models.rstrip('/')}/{POINTER}"


def _name(models: str, content: bytes) -> str:
    name = content.decode(errors="replace").strip()
    if not name or "/" in name or name.startswith(".") or not name.isprintable():
        raise OptionsError(
            f"{_path(models)}: must hold the name of a model folder beside it, got {name!r}; "
            "flip it with `triad release`"
        )
    return name


def local(folder: str) -> str:
    """Returns a local folder with the same files: the folder itself, or a copy of a `gs://` folder.

    A process copies a folder only once. `load` checks that the files are those of one model.

    Raises:
        OptionsError: There is no model in the bucket.
        GateError: The name of an object leads out of the folder.
        StorageError: The bucket cannot be read.
    """
    return _copy(folder) if folder.startswith(storage_cloud.SCHEME) else folder


def load(folder: str, verify_key: str | None) -> bundle.Artefact:
    """Opens a model for this process; all code of `pipelines` opens models with this function.

    Args:
        folder: Model folder, local or in a bucket.
        verify_key: PEM file of the public key that the model must be signed with; None requires no
            signature.

    Raises:
        OptionsError: There is no model, or the key cannot be used.
        GateError: A file is not the one that was exported or signed.
        StorageError: The bucket cannot be read.
    """
    path = local(folder)
    if verify_key is None:
        return bundle.load(path)
    from triad_ml.model.serving import signing

    return signing.verified(path, verify_key)


@functools.cache
def _copy(folder: str) -> str:
    target = _scratch().path / str(_copy.cache_info().misses)
    if not atomic.exists(f"{folder.rstrip('/')}/{bundle.ABOUT}"):
        raise OptionsError(
            f"{folder}: is no model folder ({bundle.ABOUT} is missing); "
            "copy a whole one there that `triad train --output` wrote"
        )
    atomic.copy_down(folder, target)
    return str(target)


@functools.cache
def _scratch() -> ScratchFolder:
    """Returns this process's folder for copies, which is removed when the process ends."""
    return ScratchFolder()
