"""Folders of a bucket, copied to the local disk."""

from pathlib import Path, PurePosixPath

from pipelines import storage
from transforms.errors import GateError


def copy_down(folder: str, place: Path) -> None:
    """Copies a folder of a bucket to a local one.

    Raises:
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    root = folder.rstrip("/")
    for file in storage.tree(root):
        if file.path.endswith("/"):
            continue  # what a console or TensorFlow makes for a folder
        name = file.path.removeprefix(f"{root}/")
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/"):
            raise GateError(f"{file.path}: leads out of {root}; remove the object")
        path = place.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_bytes(file.path))
