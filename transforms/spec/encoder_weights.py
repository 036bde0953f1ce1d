"""Weights of pretrained encoders: their paths in a spec, and checks of their digests."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import checkpoints
from triad_ml.transforms.files.private_copies import private_copy
from triad_ml.transforms.hashing import file_digest, tree_digests
from triad_ml.transforms.spec.encoder_names import HUB
from triad_ml.transforms.spec.model import EncoderSpec, TextEncoderSpec
from triad_ml.transforms.spec.spec import Spec


@dataclasses.dataclass(frozen=True)
class Keys:
    """Keys of the section `model` that name an encoder and its weights.

    Attributes:
        modality: Modality that the encoder reads, with which the keys begin.
    """

    modality: str

    @property
    def path(self) -> str:
        """Key of the path of the weights."""
        return f"{self.modality}_weights"

    @property
    def sha256(self) -> str:
        """Key of the digest of the weights."""
        return f"{self.modality}_weights_sha256"

    def encoder(self, model: EncoderSpec) -> str | None:
        """Returns the name of the encoder."""
        name: str | None = getattr(model, f"{self.modality}_encoder")
        return name

    def weights(self, model: EncoderSpec) -> str | None:
        """Returns the path of the weights; None without any."""
        path: str | None = getattr(model, self.path)
        return path

    def digest(self, model: EncoderSpec) -> str | None:
        """Returns the SHA-256 of the weights in the spec, hexadecimal; None without one."""
        digest: str | None = getattr(model, self.sha256)
        return digest


IMAGE, AUDIO = Keys("image"), Keys("audio")
"""Keys of the encoders of images and of audio."""


def pinned(spec: Spec, path: Path) -> Spec:
    """Returns a spec with the absolute paths of its encoders' weights, and their digests.

    Args:
        spec: The spec as its file has it.
        path: Path of the spec file; relative paths in the spec begin at its folder.

    Raises:
        OptionsError: If weights are missing, or do not have the digest in the spec.
        StorageError: If they cannot be read.
    """
    model = spec.model
    for keys in (IMAGE, AUDIO):
        weights = keys.weights(model)
        if weights is not None:
            absolute = str((path.parent / weights).absolute())
            whole = model.model_copy(update={keys.path: absolute})
            model = whole.model_copy(update={keys.sha256: checked(whole, keys)})
    if model.text_weights is not None:
        absolute = str((path.parent / model.text_weights).absolute())
        model = model.model_copy(update={"text_weights": absolute})
        model = model.model_copy(update={"text_weights_sha256": checked_text(model)})
    return spec if model is spec.model else spec.model_copy(update={"model": model})


def checked(model: EncoderSpec, keys: Keys = IMAGE) -> str:
    """Returns the SHA-256 of the weights, hexadecimal; for a folder, of its files' digests.

    Raises:
        OptionsError: If the weights are missing, or do not have the digest in the spec.
        StorageError: If they cannot be read.
    """
    path = _path(model, keys)
    return _checked(model, keys, path, path)


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
def checked_copy(model: EncoderSpec, keys: Keys = IMAGE) -> Iterator[Path]:
    """Yields the path of a private copy of the weights, whose digest has been checked.

    A library that opens the copy reads the bytes that were checked, even if the original changes.

    Raises:
        OptionsError: If the weights are missing, or do not have the digest in the spec.
        GateError: If a folder of weights holds a link.
        OSError: If they cannot be copied.
    """
    path = _path(model, keys)
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(private_copy(path))
        except FileNotFoundError as error:
            raise _missing(model, keys, path) from error
        _checked(model, keys, copy, path)
        yield copy


def _path(model: EncoderSpec, keys: Keys) -> Path:
    weights = keys.weights(model)
    assert weights is not None  # the spec's encoder has weights
    return Path(weights)


def _checked(model: EncoderSpec, keys: Keys, weights: Path, path: Path) -> str:
    """Returns the digest of weights, once it is checked.

    Args:
        model: The section of the spec.
        keys: Keys of the encoder.
        weights: Path of the weights, or of their copy.
        path: Path of the original, for errors.
    """
    try:
        folder = keys.encoder(model) == HUB
        digest = _folder_digest(weights) if folder else file_digest(weights)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _missing(model, keys, path) from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _expected(digest, keys.digest(model), path)


def _expected(digest: str, wanted: str | None, path: Path) -> str:
    if wanted not in (None, digest):
        raise OptionsError(
            f"{path}: its SHA-256 is {digest}, the spec wants {wanted}; "
            "put the weights there that the spec was made with"
        )
    return digest


def _missing(model: EncoderSpec, keys: Keys, path: Path) -> OptionsError:
    return OptionsError(
        f"{path}: there are no weights for model.{keys.modality}_encoder {keys.encoder(model)}; "
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
