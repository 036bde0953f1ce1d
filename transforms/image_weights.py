"""Files of picture encoders' weights: what a spec names, and what their content must be."""

import hashlib
from pathlib import Path

from transforms.code import file_digest
from transforms.encoder_spec import HUB, EncoderSpec
from transforms.errors import OptionsError, StorageError
from transforms.spec import Spec


def pinned(spec: Spec, path: Path) -> Spec:
    """The spec of a file, with whole paths of the weights and their digest in it.

    Args:
        spec: As the file says it.
        path: Of the file; relative paths begin at its folder.

    Raises:
        OptionsError: Where weights are missing, or not those that the spec wants.
        StorageError: Where they cannot be read.
    """
    if spec.model.image_weights is None:
        return spec
    place = str((path.parent / spec.model.image_weights).absolute())
    whole = spec.model.model_copy(update={"image_weights": place})
    known = whole.model_copy(update={"image_weights_sha256": checked(whole)})
    return spec.model_copy(update={"model": known})


def checked(model: EncoderSpec) -> str:
    """SHA-256 of the weights, hexadecimal; of a folder that of its files' digests.

    Raises:
        OptionsError: Where they are missing, or not those that the spec wants.
        StorageError: Where they cannot be read.
    """
    assert model.image_weights is not None  # the spec's encoder has weights
    place = Path(model.image_weights)
    try:
        found = _folder_digest(place) if model.image_encoder == HUB else file_digest(place)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise OptionsError(
            f"{place}: there are no weights for model.image_encoder {model.image_encoder}; "
            "put them there, or name another place in the spec"
        ) from error
    except OSError as error:
        raise StorageError(f"{place}: cannot be read: {error.strerror or error}") from error
    if model.image_weights_sha256 not in (None, found):
        raise OptionsError(
            f"{place}: its SHA-256 is {found}, the spec wants {model.image_weights_sha256}; "
            "put the weights there that the spec was made with"
        )
    return found


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if not names:
        raise FileNotFoundError
    for name in names:
        digest.update(f"{name} {file_digest(folder / name)}\n".encode())
    return digest.hexdigest()
