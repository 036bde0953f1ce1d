"""Weights of image encoders: their paths in a spec, and checks of their digests."""

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
    """Returns a spec with the absolute path of its encoder's weights, and their digest.

    Args:
        spec: The spec as its file has it.
        path: Path of the spec file; relative paths in the spec begin at its folder.

    Raises:
        OptionsError: If weights are missing, or do not have the digest in the spec.
        StorageError: If they cannot be read.
    """
    if spec.model.image_weights is None:
        return spec
    weights = str((path.parent / spec.model.image_weights).absolute())
    whole = spec.model.model_copy(update={"image_weights": weights})
    known = whole.model_copy(update={"image_weights_sha256": checked(whole)})
    return spec.model_copy(update={"model": known})


def checked(model: EncoderSpec) -> str:
    """Returns the SHA-256 of the weights, hexadecimal; for a folder, of its files' digests.

    Raises:
        OptionsError: If the weights are missing, or do not have the digest in the spec.
        StorageError: If they cannot be read.
    """
    assert model.image_weights is not None  # the spec's encoder has weights
    path = Path(model.image_weights)
    return _checked(model, path, path)


@contextlib.contextmanager
def checked_copy(model: EncoderSpec) -> Iterator[Path]:
    """Yields the path of a private copy of the weights, whose digest has been checked.

    A library that opens the copy reads the bytes that were checked, even if the original changes.

    Raises:
        OptionsError: If the weights are missing, or do not have the digest in the spec.
        GateError: If a folder of weights holds a link.
        OSError: If they cannot be copied.
    """
    assert model.image_weights is not None
    path = Path(model.image_weights)
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(private_copy(path))
        except FileNotFoundError as error:
            raise _missing(model, path) from error
        _checked(model, copy, path)
        yield copy


def _checked(model: EncoderSpec, weights: Path, path: Path) -> str:
    """Returns the digest of weights, once it is checked.

    Args:
        model: The section of the spec.
        weights: Path of the weights, or of their copy.
        path: Path of the original, for errors.
    """
    try:
        digest = _folder_digest(weights) if model.image_encoder == HUB else file_digest(weights)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _missing(model, path) from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if model.image_weights_sha256 not in (None, digest):
        raise OptionsError(
            f"{path}: its SHA-256 is {digest}, the spec wants {model.image_weights_sha256}; "
            "put the weights there that the spec was made with"
        )
    return digest


def _missing(model: EncoderSpec, path: Path) -> OptionsError:
    return OptionsError(
        f"{path}: there are no weights for model.image_encoder {model.image_encoder}; "
        "put them there, or name another place in the spec"
    )


def _folder_digest(folder: Path) -> str:
    digests = tree_digests(folder)
    if not digests:
        raise FileNotFoundError
    digest = hashlib.sha256()
    for name in sorted(digests):
        digest.update(f"{name} {digests[name]}\n".encode())
    return digest.hexdigest()
