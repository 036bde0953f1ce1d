"""Storage backend of Google Cloud Storage, or of STORAGE_EMULATOR_HOST: atomic object operations.

Each write and each removal names the generation of the object that it replaces. So a request whose
response was lost can be sent again: it cannot undo a change by another process, and if it is
refused because the first request had succeeded, the object's content shows that.
"""

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterable
from typing import Any, Self

from triad_ml.pipelines.storage.backend import StoredFile
from triad_ml.transforms.errors import OptionsError, StorageError

SCHEME = "gs://"

_BINARY = "application/octet-stream"
_ATTEMPTS = 5


@dataclasses.dataclass(frozen=True)
class Patience:
    """Timeouts of requests.

    Attributes:
        timeout: Seconds without a byte of a response, after which a request counts as failed; from
            TRIAD_GCS_TIMEOUT.
        deadline: Seconds for which a failed request is sent again; from TRIAD_GCS_DEADLINE.
    """

    timeout: float = 60
    deadline: float = 120

    @classmethod
    def of_environment(cls) -> Self:
        """Reads the timeouts; raises OptionsError if a variable is no positive number."""
        return cls(
            _seconds("TRIAD_GCS_TIMEOUT", cls.timeout), _seconds("TRIAD_GCS_DEADLINE", cls.deadline)
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of each call of the client; its default policy names the failures to retry."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_delay(initial=0.2, maximum=10).with_timeout(self.deadline)
        return {"timeout": self.timeout, "retry": retry}


class CloudStorage:
    """Storage backend of Google Cloud Storage; `storage.atomic` describes the functions.

    Objects always appear as a whole, so only conditions on their generation are needed.
    """

    def exists(self, path: str) -> bool:
        return bool(_blob(path).exists(**_patience()))

    def read(self, path: str) -> bytes | None:
        from google.api_core.exceptions import NotFound

        try:
            return bytes(_blob(path).download_as_bytes(**_patience()))
        except NotFound:
            return None

    def put(self, path: str, content: bytes) -> None:
        for _ in range(_ATTEMPTS):
            if self._write_over(path, content, _generation(path)):
                return
        raise StorageError(f"{path}: other processes keep on writing it; see which, then run again")

    def touch(self, path: str) -> None:
        """Writes an empty object, or writes it again, so that its time of change is new."""
        _blob(path).upload_from_string(b"", content_type=_BINARY, **_patience())

    def write_new(self, path: str, content: bytes) -> bool:
        return self._write_over(path, content, generation=0)

    def replace(self, path: str, content: bytes, expected: bytes | None) -> bool:
        from google.api_core.exceptions import NotFound

        blob = _blob(path)
        try:
            blob.reload(**_patience())
            # Downloads the generation that `reload` found.
            before = bytes(blob.download_as_bytes(**_patience()))
        except NotFound:
            before = None
        if before != expected:
            return False
        return self._write_over(path, content, 0 if before is None else blob.generation)

    def _write_over(self, path: str, content: bytes, generation: int) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        try:
            _blob(path).upload_from_string(
                content, content_type=_BINARY, if_generation_match=generation, **_patience()
            )
        except PreconditionFailed:
            # If only the response of a first try was lost, the object holds our content.
            return self.read(path) == content
        return True

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        bucket, prefix = _parts(f"{folder.rstrip('/')}/")
        blobs = _client().list_blobs(bucket, prefix=prefix, delimiter="/", **_patience())
        files = [blob.name.removeprefix(prefix) for blob in blobs]  # Fills `blobs.prefixes`.
        folders = [name.removeprefix(prefix).rstrip("/") for name in blobs.prefixes]
        return [name for name in files if name], folders

    def tree(self, folder: str) -> list[StoredFile]:
        bucket, prefix = _parts(f"{folder.rstrip('/')}/")
        return [
            StoredFile(f"{SCHEME}{bucket}/{blob.name}", blob.size, blob.updated.timestamp())
            for blob in _client().list_blobs(bucket, prefix=prefix, **_patience())
        ]

    def move(self, source: str, target: str) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        before, after = _blob(source), _blob(target)
        try:
            token, _, _ = after.rewrite(before, if_generation_match=0, **_patience())
            while token is not None:
                token, _, _ = after.rewrite(
                    before, token=token, if_generation_match=0, **_patience()
                )
        except PreconditionFailed:
            # As in `_write_over`, a response may have been lost.
            before.reload(**_patience())
            after.reload(**_patience())
            if (before.size, before.crc32c) != (after.size, after.crc32c):
                return False
        self.delete(source)
        return True

    def delete(self, path: str) -> None:
        from google.api_core.exceptions import NotFound, PreconditionFailed

        generation = _generation(path)
        if generation:
            # Another process may have removed or replaced it since.
            with contextlib.suppress(NotFound, PreconditionFailed):
                _blob(path).delete(if_generation_match=generation, **_patience())

    def delete_tree(self, folder: str) -> None:
        for file in self.tree(folder):
            self.delete(file.path)


def _parts(path: str) -> tuple[str, str]:
    bucket, _, name = path.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise StorageError(f"{path}: the bucket is missing; write gs://BUCKET/FOLDER")
    return bucket, name


def _blob(path: str) -> Any:
    bucket, name = _parts(path)
    return _client().bucket(bucket).blob(name)


def _generation(path: str) -> int:
    """Returns the generation of an object; 0 if it does not exist."""
    bucket, name = _parts(path)
    blob = _client().bucket(bucket).get_blob(name, **_patience())
    return 0 if blob is None else int(blob.generation)


def _patience() -> dict[str, Any]:
    return Patience.of_environment().arguments


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise OptionsError(f"{variable}: must be seconds above 0, got {text!r}; correct it")
    return seconds


def check_credentials() -> None:
    """Refuses to continue without credentials, for which a library would retry for minutes.

    With STORAGE_EMULATOR_HOST, none are needed.

    Raises:
        StorageError: There are no credentials, or they cannot be read.
    """
    problem = None if os.environ.get("STORAGE_EMULATOR_HOST") else _without_credentials()
    if problem is not None:
        raise StorageError(
            f"{SCHEME}: {problem}; run gcloud auth application-default login, or name a key file "
            "in GOOGLE_APPLICATION_CREDENTIALS"
        )


def check_places(places: Iterable[str]) -> None:
    """Calls `check_credentials` if one of the paths is in a bucket.

    Raises:
        StorageError: As for `check_credentials`.
    """
    if any(place.startswith(SCHEME) for place in places):
        check_credentials()


@functools.cache
def _without_credentials() -> str | None:
    """Returns the reason for missing credentials, or None if there are some; checked only once."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        google.auth.default()
    except GoogleAuthError as error:
        text = " ".join(str(error).split())
        missing = "credentials were not found" in text
        return "no credentials of Google Cloud were found" if missing else text.rstrip(".")
    return None


@functools.cache
def _client() -> Any:
    check_credentials()
    from google.cloud import storage  # Takes a second, so it is imported only if needed.

    return storage.Client()


@functools.cache
def failures() -> tuple[type[Exception], ...]:
    """Returns the exceptions that the client raises if storage, network or credentials fail."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    return OSError, GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse
