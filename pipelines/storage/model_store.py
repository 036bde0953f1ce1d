"""Where every model is opened: verified, if a key is given; from a bucket copied to disk, once."""

import functools

from triad_ml.model.serving import bundle
from triad_ml.pipelines import bucket_folders
from triad_ml.pipelines.storage import atomic, cloud
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files.scratch import ScratchFolder


def local(folder: str) -> str:
    """A local folder with the same files: the folder itself, or the copy of a `gs://` one.

    Whether the files are those of one model, `load` finds out.

    Raises:
        OptionsError: Where there is no model in the bucket.
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    return _copy(folder) if folder.startswith(cloud.SCHEME) else folder


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
    bucket_folders.copy_down(folder, place)
    return str(place)


@functools.cache
def _scratch() -> ScratchFolder:
    """Removed when the process ends."""
    return ScratchFolder()
