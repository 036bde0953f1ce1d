"""Where every model is opened: verified, if a key is given; from a bucket copied to disk, once."""

import functools
import os

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runtime.names import POINTER as POINTER
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.storage import cloud as storage_cloud
from triad_ml.transforms.errors import LostRaceError, OptionsError
from triad_ml.transforms.files.scratch import ScratchFolder


def read(models: str) -> str | None:
    """The name of the model that counts; None where the folder holds no pointer.

    Raises:
        OptionsError: Where the pointer does not hold the name of a folder beside it.
        StorageError: Where it cannot be read.
    """
    content = atomic.read_if_there(_path(models))
    return None if content is None else _name(models, content)


def resolved(folder: str) -> str:
    """The model folder that a folder's pointer names; the folder itself where it has none.

    Raises:
        OptionsError: See `read`.
        StorageError: See `read`.
    """
    name = read(folder)
    return folder if name is None else f"{folder.rstrip('/')}/{name}"


def parted(model: str) -> tuple[str, str]:
    """The folder that a model folder lies in, and its name there.

    Raises:
        OptionsError: Where the name is none that a pointer may hold.
    """
    cloud = model.startswith("gs://")
    models, _, name = (model.rstrip("/") if cloud else os.path.abspath(model)).rpartition("/")
    return models, _name(models, name.encode(errors="surrogateescape"))


def flip(models: str, name: str, expected: bytes | None) -> None:
    """Lets a model count.

    Args:
        models: The folder with the pointer.
        name: Of the model folder in it.
        expected: What the pointer held when the model was chosen; None where there was none.

    Raises:
        LostRaceError: Where it holds something else now.
        StorageError: Where it cannot be written.
    """
    if not atomic.replace(_path(models), f"{name}\n".encode(), expected):
        raise LostRaceError(
            f"{_path(models)}: another model was released meanwhile; look at it, then release again"
        )


def stamp(models: str) -> tuple[object, ...] | None:
    """Changes whenever the pointer is written, also with what it held; None where there is none.

    Of a bucket it is only what the pointer holds.
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
    """What the pointer holds, byte for byte."""
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
    """A local folder with the same files: the folder itself, or the copy of a `gs://` one.

    Whether the files are those of one model, `load` finds out.

    Raises:
        OptionsError: Where there is no model in the bucket.
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    return _copy(folder) if folder.startswith(storage_cloud.SCHEME) else folder


def load(folder: str, verify_key: str | None) -> bundle.Artefact:
    """Opens a model that this process is to use; nothing else in this package opens one.

    Args:
        folder: Of the model; it may lie in a bucket.
        verify_key: PEM file of the public key that it must be signed with; None asks for none.

    Raises:
        OptionsError: No model, or a key that cannot be used.
        GateError: A file is not the one that was exported or signed.
        StorageError: Where the bucket cannot be read.
    """
    place = local(folder)
    if verify_key is None:
        return bundle.load(place)
    from triad_ml.model.serving import signing

    return signing.verified(place, verify_key)


@functools.cache
def _copy(folder: str) -> str:
    place = _scratch().path / str(_copy.cache_info().misses)
    if not atomic.exists(f"{folder.rstrip('/')}/{bundle.ABOUT}"):
        raise OptionsError(
            f"{folder}: is no model folder ({bundle.ABOUT} is missing); "
            "copy a whole one there that `triad train --output` wrote"
        )
    atomic.copy_down(folder, place)
    return str(place)


@functools.cache
def _scratch() -> ScratchFolder:
    """Removed when the process ends."""
    return ScratchFolder()
