"""Signing and verification of model bundles with a local key pair (OpenSSF model signing), offline.

The signature is `MODEL/model.sig` and covers every other file of the bundle.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from triad_ml.model.serving import bundle
from triad_ml.transforms import extras
from triad_ml.transforms.errors import GateError, OptionsError, StorageError
from triad_ml.transforms.files.private_copies import private_copy

if TYPE_CHECKING:
    from model_signing import hashing

SIGNATURE = "model.sig"

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MAKE = "make one with `openssl ecparam -name prime256v1 -genkey -noout -out KEY.pem`"


def sign(folder: str | Path, key: str | Path) -> Path:
    """Signs a whole model bundle, and replaces its signature if there is one.

    Args:
        folder: Path of the bundle.
        key: PEM file of a private key on the curve P-256, P-384 or P-521, without a password.

    Returns:
        Path of the signature.

    Raises:
        OptionsError: If there is no model, or no such key.
        GateError: If a file is not the one that was exported, or cannot be signed.
        StorageError: If the signature cannot be written.
    """
    folder = Path(folder).resolve()  # a link to the bundle is allowed, links in it are not
    bundle.load(folder)
    private = _key(key, private=True)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in _CURVES:
        raise OptionsError(f"{key}: is no private key on P-256, P-384 or P-521; {_MAKE}")
    hashed = _hashing()  # reports a missing package before the import below
    from model_signing import signing

    path, temporary = folder / SIGNATURE, folder / f".{SIGNATURE}.writing"
    temporary.unlink(missing_ok=True)
    config = signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(hashed)
    try:
        config.sign(folder, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error}; make room or permit writing"
        ) from error
    except ValueError as error:  # a link, or neither a file nor a folder
        raise GateError(
            f"{folder}: cannot be signed: {error}; sign a copy of the folder without it"
        ) from error
    return path


def verify(folder: str | Path, key: str | Path) -> str:
    """Checks that each file of a bundle is the one that the holder of the key signed.

    Args:
        folder: Path of the bundle.
        key: PEM file of the public key.

    Returns:
        Digest of the signed model. Compare it when the bundle is opened later, as another model may
        be there by then.

    Raises:
        OptionsError: If there is no such folder or key, or the folder holds no model.
        GateError: If there is no signature, if it is not of this key, or if a file has changed
            since.
        OSError: If the folder cannot be copied.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise OptionsError(f"{folder}: is no folder of a model; check the path")
    _check_public(key)
    try:
        with private_copy(folder) as copy:
            _verify(copy, folder, key)
            return bundle.described_digest(copy, folder)
    except (FileNotFoundError, NotADirectoryError) as error:  # removed during the check
        raise OptionsError(f"{error.filename}: is not there any more; check the path") from error


def verified(folder: str | Path, key: str | Path) -> bundle.Artefact:
    """Verifies a bundle, and opens it only if it still holds the signed model.

    Raises:
        OptionsError, GateError, OSError: See `verify` and `bundle.load`.
    """
    signed = verify(folder, key)
    model = bundle.load(folder)
    if model.model_digest != signed:
        raise _refused(Path(folder), "another model was put there while it was verified")
    return model


def _check_public(key: str | Path) -> None:
    public = _key(key, private=False)
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in _CURVES:
        raise OptionsError(
            f"{key}: is no public key on P-256, P-384 or P-521; "
            "take it from the private one with `openssl ec -in KEY.pem -pubout -out PUB.pem`"
        )


def _verify(copy: Path, folder: Path, key: str | Path) -> None:
    """Verifies `copy`, a private copy of `folder`, which errors name."""
    path = copy / SIGNATURE
    if not path.is_file():
        raise GateError(
            f"{folder / SIGNATURE}: is missing, so the model is not signed; take a signed one, or "
            f"sign it with `triad sign {folder} --key KEY.pem`"
        )
    hashed = _hashing()
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    try:
        config.set_hashing_config(hashed).verify(copy, path)
    except InvalidSignature as error:
        raise _refused(folder, "the signature is not of this key") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        # The library raises these for a mismatch, and for a file that is no signature.
        reason = " ".join(str(error).split()).replace(str(copy), str(folder))
        raise _refused(folder, reason or type(error).__name__) from error


def _refused(folder: Path, why: str) -> GateError:
    return GateError(
        f"{folder}: is not what was signed: {why}; take the whole folder from its source again"
    )


def _hashing() -> "hashing.Config":
    """Returns the settings for hashing every file except the signature; a link is an error."""
    try:
        from model_signing import hashing
    except ImportError as error:
        raise OptionsError(
            f"signing needs the package model-signing; {extras.remedy('sign')}"
        ) from error
    config = hashing.Config().use_file_serialization(allow_symlinks=False)
    return config.set_ignored_paths(
        paths=[SIGNATURE, f".{SIGNATURE}.writing"], ignore_git_paths=False
    )


def _key(path: str | Path, private: bool) -> object:
    try:
        content = Path(path).read_bytes()
        if private:
            return serialization.load_pem_private_key(content, password=None)
        return serialization.load_pem_public_key(content)
    except OSError as error:
        raise OptionsError(f"{path}: the key cannot be read: {error.strerror}") from error
    except TypeError as error:
        raise OptionsError(
            f"{path}: the key has a password; take one without, readable by you alone"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        kind = "private" if private else "public"
        raise OptionsError(f"{path}: is no {kind} key in PEM; {_MAKE}") from error
