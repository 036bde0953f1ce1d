"""Digests of files, and of the code that decides features and scores; without TensorFlow."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from triad_ml.transforms.files import regular

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("transforms", "model")
"""Packages whose code decides features and scores."""


def file_digest(path: str | Path) -> str:
    """Returns the SHA-256 of a local file, hexadecimal."""
    with regular.open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> list[Path]:
    """Lists all files, folders and links below a folder, sorted; links are not followed.

    Folders may be nested as deep as a path can be long; `Path.rglob`, which is recursive, would
    reach Python's recursion limit.
    """
    paths, left = list[Path](), [folder] if folder.is_dir() else []
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                paths.append(Path(entry.path))
                if entry.is_dir(follow_symlinks=False):
                    left.append(paths[-1])
    return sorted(paths)


def tree_digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file below a folder, by relative path.

    A link to a file has the digest of that file.
    """
    files = (path for path in tree(folder) if path.is_file())
    return {str(path.relative_to(folder)): file_digest(path) for path in files}


def code_digest(root: Path = ROOT, packages: Sequence[str] = PACKAGES) -> str:
    """Returns one SHA-256 of all source files of some packages, hexadecimal.

    By default these are the packages that decide features and scores.

    Args:
        root: Folder that holds the packages.
        packages: Folders below the root; their subfolders are included.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            digest.update(f"{name} {file_digest(path)}\n".encode())
    return digest.hexdigest()
