"""Opening of input files, local or `gs://`, for reading as they are stored or inflated."""

import gzip
import io
import os
import re
import zlib
from typing import BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import OptionsError, StorageError

BUFFER_BYTES = 2**20
RATIO_CAP = 1000
"""Largest ratio of inflated to stored bytes, once `RATIO_FREE_BYTES` are inflated."""
RATIO_FREE_BYTES = 64 * 2**20

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme(uri: str) -> str:
    """The scheme in lower case, or "" for a local path."""
    match = _SCHEME.match(uri)
    return match.group(1).lower() if match else ""


def open_stored(uri: str) -> BinaryIO:
    """Opens a file for reading; nothing is inflated, whatever its name is.

    Raises:
        StorageError: Where it cannot be opened.
    """
    try:
        if not scheme(uri):
            return open(uri, "rb", buffering=BUFFER_BYTES)
        raw = FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    except OSError as error:
        raise unreadable(uri, error) from error
    return io.BufferedReader(raw, BUFFER_BYTES)


def open_inflated(uri: str) -> BinaryIO:
    """Opens a file for reading; one named `.gz` is inflated in small steps.

    Raises:
        StorageError: Where it cannot be opened.
        OptionsError: On reading, where the file is no gzip file, is cut off, or inflates beyond
            `RATIO_CAP`.
    """
    stored = open_stored(uri)
    if not is_gzip(uri):
        return stored
    return io.BufferedReader(_Inflated(uri, stored), BUFFER_BYTES)


def is_gzip(uri: str) -> bool:
    """Whether the name says that the file is compressed."""
    return uri.lower().endswith(".gz")


def size(file: BinaryIO) -> int:
    """Bytes of an open file as it is now; the position stays."""
    position = file.tell()
    try:
        return file.seek(0, os.SEEK_END)
    finally:
        file.seek(position)


def unreadable(uri: str, error: OSError) -> StorageError:
    """The error for a file that the system does not give."""
    why = " ".join((error.strerror or str(error)).split())
    return StorageError(f"{uri}: cannot be read: {why}; check the path and the permissions")


class _Inflated(io.RawIOBase):
    """The inflated bytes of a gzip file of one or more members."""

    def __init__(self, uri: str, stored: BinaryIO) -> None:
        super().__init__()
        self._uri = uri
        self._stored = stored
        self._inflater = gzip.GzipFile(fileobj=stored, mode="rb")
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = cast(memoryview, buffer)
        try:
            count = self._inflater.readinto(view)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise OptionsError(
                f"{self._uri}: cannot be inflated after {self._total} bytes ({error}); "
                "write the file again"
            ) from error
        self._total += count
        if self._total > max(RATIO_FREE_BYTES, RATIO_CAP * self._stored.tell()):
            raise OptionsError(
                f"{self._uri}: inflates to more than {RATIO_CAP} times its size; "
                "give the records uncompressed"
            )
        return count

    def close(self) -> None:
        if not self.closed:
            self._inflater.close()
            self._stored.close()
        super().close()
