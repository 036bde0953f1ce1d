"""Digests of files, and of the code that decides features and scores; without TensorFlow."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from triad_ml.transforms.files import regular

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("transforms", "model")
"""What decides features and scores."""


def file_digest(path: str | Path) -> str:
    """SHA-256 of a local file, hexadecimal."""
    with regular.open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> list[Path]:
    """All files, folders and links below a folder, sorted; links are not followed.

    Folders may lie in one another as deep as a path is long: `Path.rglob` calls itself for each.
    """
    found, left = list[Path](), [folder] if folder.is_dir() else []
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                found.append(Path(entry.path))
                if entry.is_dir(follow_symlinks=False):
                    left.append(found[-1])
    return sorted(found)


def tree_digests(folder: Path) -> dict[str, str]:
    """SHA-256 by relative path of each file below a folder; links to files count as these."""
    files = (path for path in tree(folder) if path.is_file())
    return {str(path.relative_to(folder)): file_digest(path) for path in files}


def code_digest(root: Path = ROOT, packages: Sequence[str] = PACKAGES) -> str:
    """SHA-256 of source files, by default of those that decide features and scores, hexadecimal.

    Args:
        root: Holds the packages.
        packages: Folders below the root, with all folders within them.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            digest.update(f"{name} {file_digest(path)}\n".encode())
    return digest.hexdigest()
