"""Digests of local files, without TensorFlow."""

import hashlib
from pathlib import Path


def file_digest(path: str | Path) -> str:
    """SHA-256 of a local file, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
