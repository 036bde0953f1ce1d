"""What a storage tells of a file."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFile:
    """A file or an object.

    Attributes:
        path: The whole path.
        bytes: Its size.
        changed: When it was written, in seconds since 1970 by the clock of the storage.
    """

    path: str
    bytes: int
    changed: float
