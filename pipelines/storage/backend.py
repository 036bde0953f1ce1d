"""Interface of a storage backend, and its description of a stored file."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFile:
    """Stored file or object.

    Attributes:
        path: Full path.
        bytes: Size in bytes.
        changed: Time of the last change, in seconds since 1970, by the clock of the storage.
    """

    path: str
    bytes: int
    changed: float


class _Storage(Protocol):
    """Interface of a backend; `storage.atomic` describes the functions."""

    def read(self, path: str) -> bytes | None: ...
    def put(self, path: str, content: bytes) -> None: ...
    def write_new(self, path: str, content: bytes) -> bool: ...
    def replace(self, path: str, content: bytes, expected: bytes | None) -> bool: ...
    def exists(self, path: str) -> bool: ...
    def names(self, folder: str) -> tuple[list[str], list[str]]: ...
    def move(self, source: str, target: str) -> bool: ...
    def delete(self, path: str) -> None: ...
    def delete_tree(self, folder: str) -> None: ...
    def tree(self, folder: str) -> list[StoredFile]: ...
