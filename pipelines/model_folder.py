"""Where every model is opened: verified, if a key is given; from a bucket copied to disk, once."""

import functools

from model import artefact
from pipelines import bucket_folders, cloud_storage, storage
from transforms.errors import OptionsError
from transforms.scratch import ScratchFolder


def local(folder: str) -> str:
    """A local folder with the same files: the folder itself, or the copy of a `gs://` one.

    Whether the files are those of one model, `load` finds out.

    Raises:
        OptionsError: Where there is no model in the bucket.
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    return _copy(folder) if folder.startswith(cloud_storage.SCHEME) else folder


def load(folder: str, verify_key: str | None) -> artefact.Artefact:
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
        return artefact.load(place)
    from model import signing

    return signing.verified(place, verify_key)


@functools.cache
def _copy(folder: str) -> str:
    place = _scratch().path / str(_copy.cache_info().misses)
    if not storage.exists(f"{folder.rstrip('/')}/{artefact.ABOUT}"):
        raise OptionsError(
            f"{folder}: is no model folder ({artefact.ABOUT} is missing); "
            "copy a whole one there that `triad train --output` wrote"
        )
    bucket_folders.copy_down(folder, place)
    return str(place)


@functools.cache
def _scratch() -> ScratchFolder:
    """Removed when the process ends."""
    return ScratchFolder()
