"""Streaming decompression of gzip files, with a limit on the ratio of inflated to stored bytes."""

import gzip
import io
import zlib
from typing import BinaryIO, cast

from triad_ml.transforms.errors import OptionsError

_BUFFER_BYTES = 2**20
RATIO_CAP = 1000
"""Largest ratio of inflated to stored bytes, once `RATIO_FREE_BYTES` are inflated."""
RATIO_FREE_BYTES = 64 * 2**20
"""Number of inflated bytes up to which any ratio is allowed."""


class InflateError(OptionsError):
    """A file that is no gzip file, is cut off, or inflates beyond `RATIO_CAP`."""


def inflated(stored: BinaryIO, uri: str) -> BinaryIO:
    """Opens the inflated bytes of a gzip file of one or more members.

    Closing the returned file closes `stored` too.

    Args:
        stored: The gzip file, at its beginning.
        uri: URI of the file, for errors.

    Raises:
        InflateError: When the returned file is read, and the gzip file is broken.
    """
    return io.BufferedReader(_Inflated(uri, stored), _BUFFER_BYTES)


class _Inflated(io.RawIOBase):
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
            raise InflateError(
                f"{self._uri}: cannot be inflated after {self._total} bytes ({error}); "
                "write the file again"
            ) from error
        self._total += count
        if self._total > max(RATIO_FREE_BYTES, RATIO_CAP * self._stored.tell()):
            raise InflateError(
                f"{self._uri}: inflates to more than {RATIO_CAP} times its size; "
                "give the records uncompressed"
            )
        return count

    def close(self) -> None:
        if not self.closed:
            self._inflater.close()
            self._stored.close()
        super().close()
