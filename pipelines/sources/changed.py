"""Refusal of files that changed between the plan and the reading: records would be lost."""

from triad_ml.pipelines.sources.units import Unit
from triad_ml.transforms.errors import StorageError


def refuse_shorter(unit: Unit, size: int) -> None:
    """Refuses a file that ends before the unit does.

    Raises:
        StorageError: Naming the file.
    """
    if size < unit.stop:
        raise changed_error(unit.uri)


def refuse_other_size(unit: Unit, size: int) -> None:
    """Refuses a file of another size, where the unit is all of it.

    Raises:
        StorageError: Naming the file.
    """
    if size != unit.stop:
        raise changed_error(unit.uri)


def changed_error(uri: str) -> StorageError:
    """The error for a file that is not what was planned."""
    return StorageError(f"{uri}: changed while it was read; start again when nothing writes it")
