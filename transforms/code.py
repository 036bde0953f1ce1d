"""Digests of files, and of the code that decides features and scores; without TensorFlow."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def file_digest(path: str | Path) -> str:
    """SHA-256 of a local file, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_digest(root: Path = ROOT) -> str:
    """SHA-256 of the source files that decide features and scores, hexadecimal.

    Args:
        root: Holds the packages `transforms` and `model`.
    """
    digest = hashlib.sha256()
    for package in ("transforms", "model"):
        for path in sorted((root / package).glob("*.py")):
            digest.update(f"{package}/{path.name} {file_digest(path)}\n".encode())
    return digest.hexdigest()
