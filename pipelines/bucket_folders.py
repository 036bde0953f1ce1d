"""Folders of a bucket, copied to the local disk."""

from pathlib import Path, PurePosixPath

from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import GateError


def copy_down(folder: str, place: Path) -> None:
    """Copies a folder of a bucket to a local one.

    Raises:
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    root = folder.rstrip("/")
    for file in atomic.tree(root):
        if file.path.endswith("/"):
            continue  # what a console or TensorFlow makes for a folder
        path = place / inside(file.path.removeprefix(f"{root}/"), root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(atomic.read_bytes(file.path))


def inside(name: str, root: str) -> PurePosixPath:
    """The path of an object below its folder.

    Raises:
        GateError: Where the name, taken as a path, leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise GateError(
            f"{root}/{name}: leads out of {root}; take the folder from its source again"
        )
    return path
