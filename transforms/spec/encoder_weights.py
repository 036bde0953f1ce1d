"""Weights of encoders: their paths in a spec, and checks of their digests."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import checkpoints
from triad_ml.transforms.files.private_copies import private_copy
from triad_ml.transforms.hashing import file_digest, tree_digests
from triad_ml.transforms.spec.model import HUB, EncoderSpec, TextEncoderSpec
from triad_ml.transforms.spec.spec import Spec


def pinned(spec: Spec, path: Path) -> Spec:
    """Returns a spec with the absolute paths of its encoders' weights, and their digests.

    Args:
        spec: The spec as its file has it.
        path: Path of the spec file; relative paths in the spec begin at its folder.

    Raises:
        OptionsError: If weights are missing, or do not have the digest in the spec.
        StorageError: If they cannot be read.
    """
    found = dict[str, str]()
    if spec.model.image_weights is not None:
        found["image_weights"] = str((path.parent / spec.model.image_weights).absolute())
        whole = spec.model.model_copy(update=found)
        found["image_weights_sha256"] = checked(whole)
    if spec.model.text_weights is not None:
        found["text_weights"] = str((path.parent / spec.model.text_weights).absolute())
        found["text_weights_sha256"] = checked_text(spec.model.model_copy(update=found))
    return spec.model_copy(update={"model": spec.model.model_copy(update=found)}) if found else spec


def checked(model: EncoderSpec) -> str:
    """Returns the SHA-256 of the weights, hexadecimal; for a folder, of its files' digests.

    Raises:
        OptionsError: If the weights are missing, or do not have the digest in the spec.
        StorageError: If they cannot be read.
    """
    assert model.image_weights is not None  # the spec's encoder has weights
    path = Path(model.image_weights)
    return _checked(model, path, path)


def checked_text(model: TextEncoderSpec) -> str:
    """Returns the SHA-256 of the text encoder's folder, hexadecimal: of its files' digests.

    Only the files that are read count.

    Raises:
        OptionsError: If the folder is none of a text encoder, or has not the digest in the spec.
        StorageError: If a file cannot be read.
    """
    assert model.text_weights is not None  # the spec's text encoder has weights
    path = Path(model.text_weights)
    names = checkpoints.checkpoint(checkpoints.Folder(path), path).names
    try:
        digests = {name: file_digest(path / name) for name in names}
    except FileNotFoundError as error:
        raise OptionsError(f"{error.filename}: is missing; give the whole folder") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _expected(_joined(digests), model.text_weights_sha256, path)


def held_text(model: TextEncoderSpec) -> tuple[checkpoints.Held, checkpoints.Checkpoint]:
    """Reads all files of the text encoder's folder, and checks the digest of what was read.

    Raises:
        OptionsError, StorageError: See `checked_text`.
    """
    assert model.text_weights is not None
    path = Path(model.text_weights)
    folder = checkpoints.Folder(path)
    names = checkpoints.checkpoint(folder, path).names
    held = checkpoints.Held(
        path, {name: folder.read(name, checkpoints.MOST_BYTES) for name in names}
    )
    digests = {name: hashlib.sha256(held.contents[name]).hexdigest() for name in names}
    _expected(_joined(digests), model.text_weights_sha256, path)
    return held, checkpoints.checkpoint(held, path)


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
    return _expected(digest, model.image_weights_sha256, path)


def _expected(digest: str, wanted: str | None, path: Path) -> str:
    if wanted not in (None, digest):
        raise OptionsError(
            f"{path}: its SHA-256 is {digest}, the spec wants {wanted}; "
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
    return _joined(digests)


def _joined(digests: Mapping[str, str]) -> str:
    """Returns one digest of files, by their names and digests."""
    digest = hashlib.sha256()
    for name in sorted(digests):
        digest.update(f"{name} {digests[name]}\n".encode())
    return digest.hexdigest()
