"""Files of picture encoders' weights: what a spec names, and what their content must be."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files.private_copies import private_copy
from triad_ml.transforms.hashing import file_digest, tree_digests
from triad_ml.transforms.spec.model import HUB, EncoderSpec
from triad_ml.transforms.spec.spec import Spec


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
    return _checked(model, place, place)


@contextlib.contextmanager
def checked_copy(model: EncoderSpec) -> Iterator[Path]:
    """A private copy of the weights, which is checked: what a library opens is what was checked.

    Raises:
        OptionsError: Where they are missing, or not those that the spec wants.
        GateError: Where a folder of weights holds a link.
        OSError: Where they cannot be copied.
    """
    assert model.image_weights is not None
    place = Path(model.image_weights)
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(private_copy(place))
        except FileNotFoundError as error:
            raise _missing(model, place) from error
        _checked(model, copy, place)
        yield copy


def _checked(model: EncoderSpec, weights: Path, place: Path) -> str:
    """The digest of weights that lie at, or were copied from, a place."""
    try:
        found = _folder_digest(weights) if model.image_encoder == HUB else file_digest(weights)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _missing(model, place) from error
    except OSError as error:
        raise StorageError(f"{place}: cannot be read: {error.strerror or error}") from error
    if model.image_weights_sha256 not in (None, found):
        raise OptionsError(
            f"{place}: its SHA-256 is {found}, the spec wants {model.image_weights_sha256}; "
            "put the weights there that the spec was made with"
        )
    return found


def _missing(model: EncoderSpec, place: Path) -> OptionsError:
    return OptionsError(
        f"{place}: there are no weights for model.image_encoder {model.image_encoder}; "
        "put them there, or name another place in the spec"
    )


def _folder_digest(folder: Path) -> str:
    found = tree_digests(folder)
    if not found:
        raise FileNotFoundError
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name} {found[name]}\n".encode())
    return digest.hexdigest()
