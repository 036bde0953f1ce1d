"""Atomic object operations on Google Cloud Storage, or on STORAGE_EMULATOR_HOST."""

import contextlib
import functools
from typing import Any

from transforms.errors import StorageError

SCHEME = "gs://"

_BINARY = "application/octet-stream"


class CloudStorage:
    """See `storage`. Objects appear whole: only conditions on their generation are needed."""

    def exists(self, path: str) -> bool:
        return bool(_blob(path).exists())

    def read(self, path: str) -> bytes | None:
        from google.api_core.exceptions import NotFound

        try:
            return bytes(_blob(path).download_as_bytes())
        except NotFound:
            return None

    def put(self, path: str, content: bytes) -> None:
        _blob(path).upload_from_string(content, content_type=_BINARY)

    def write_new(self, path: str, content: bytes) -> bool:
        return self._write_over(path, content, generation=0)

    def replace(self, path: str, content: bytes, expected: bytes | None) -> bool:
        from google.api_core.exceptions import NotFound

        blob = _blob(path)
        try:
            blob.reload()
            before = bytes(blob.download_as_bytes())  # of this very generation
        except NotFound:
            before = None
        if before != expected:
            return False
        return self._write_over(path, content, 0 if before is None else blob.generation)

    def _write_over(self, path: str, content: bytes, generation: int) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        try:
            _blob(path).upload_from_string(
                content, content_type=_BINARY, if_generation_match=generation
            )
        except PreconditionFailed:
            # The answer to a first try may have been lost: then the content is there, and ours.
            return self.read(path) == content
        return True

    def upload(self, local: str, path: str) -> None:
        _blob(path).upload_from_filename(local, content_type=_BINARY)

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        bucket, prefix = _parts(f"{folder.rstrip('/')}/")
        found = _client().list_blobs(bucket, prefix=prefix, delimiter="/")
        files = [blob.name.removeprefix(prefix) for blob in found]  # read before the prefixes
        folders = [name.removeprefix(prefix).rstrip("/") for name in found.prefixes]
        return [name for name in files if name], folders

    def delete(self, path: str) -> None:
        from google.api_core.exceptions import NotFound

        with contextlib.suppress(NotFound):
            _blob(path).delete()

    def delete_tree(self, folder: str) -> None:
        bucket, prefix = _parts(f"{folder.rstrip('/')}/")
        for blob in list(_client().list_blobs(bucket, prefix=prefix)):
            self.delete(f"{SCHEME}{bucket}/{blob.name}")


def _parts(path: str) -> tuple[str, str]:
    bucket, _, name = path.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise StorageError(f"{path}: the bucket is missing; write gs://BUCKET/FOLDER")
    return bucket, name


def _blob(path: str) -> Any:
    bucket, name = _parts(path)
    return _client().bucket(bucket).blob(name)


@functools.cache
def _client() -> Any:
    from google.cloud import storage  # a second to import: only where a path needs it

    return storage.Client()


@functools.cache
def failures() -> tuple[type[Exception], ...]:
    """What the client raises where storage, network or credentials fail."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    return OSError, GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse
