"""Flaky Cloud Storage in this process: correct semantics, but failing connections.

The emulator from PyPI serves on loopback. A layer in front of it adds what it lacks, conditions on
generations, and seeded faults: refusals, resets, lost responses, bodies cut short and stalls.
"""

import contextlib
import dataclasses
import io
import json
import logging
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.storage import Storage

from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import cloud

BUCKET = "triad-test"
KINDS = ("refused", "failed", "reset", "lost", "truncated", "stalled")
"""What may become of a request: 503 before or after it is carried out, a reset before or after, a
body that ends in the middle, and silence until the client goes away."""

_BEFORE = ("refused", "reset", "stalled")
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PRECONDITION_FAILED = (
    b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as the storage sees it."""

    method: str
    path: str


Faults = Callable[[Request], str | None]
"""Names the kind of fault that a request meets, or None."""


def seeded(seed: int, share: float, kinds: Sequence[str] = KINDS) -> Faults:
    """Faults of the given kinds that a share of all requests meets."""
    rng = random.Random(seed)
    return lambda request: rng.choice(kinds) if rng.random() < share else None


def at(number: int, kind: str) -> Faults:
    """One fault, for the request of that number, from 1."""
    numbers = iter(range(1, 10**9))
    return lambda request: kind if next(numbers) == number else None


def after(number: int, kind: str) -> Faults:
    """The same fault for each request after that number."""
    numbers = iter(range(1, 10**9))
    return lambda request: kind if next(numbers) > number else None


class FlakyStorage:
    """What the tests hold of the storage.

    Attributes:
        uri: Of the bucket.
        environment: What leads the clients of a process here, without patience for what fails.
        met: The requests that met a fault, and its kind.
        seen: All requests since `clear`.
    """

    def __init__(self, front: "_Front") -> None:
        self._front = front
        self.uri = f"gs://{BUCKET}"
        self.environment = {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{front.server_address[1]}",
            "NO_GCE_CHECK": "true",  # else Beam asks the network for credentials
            "TRIAD_GCS_TIMEOUT": "0.5",
            "TRIAD_GCS_DEADLINE": "5",
        }

    @property
    def met(self) -> list[tuple[Request, str]]:
        return list(self._front.met)

    @property
    def seen(self) -> list[Request]:
        return list(self._front.seen)

    @contextlib.contextmanager
    def faults(self, faults: Faults) -> Iterator[None]:
        """Lets requests meet faults for a while."""
        self._front.faults = faults
        try:
            yield
        finally:
            self._front.faults = None

    def clear(self) -> None:
        """Removes all objects, and forgets what was seen."""
        self._front.storage.wipe()
        buckets.create_bucket(BUCKET, self._front.storage)
        self._front.met.clear()
        self._front.seen.clear()

    def objects(self) -> dict[str, bytes]:
        """The content of each object by name, past all faults."""
        with self._front.lock:
            names = sorted(self._front.storage.objects.get(BUCKET, {}))
            return {name: self._front.storage.get_file(BUCKET, name) for name in names}

    def generations(self) -> dict[str, str]:
        """The generation of each object by name: an equal one was not written again."""
        with self._front.lock:
            found = self._front.storage.objects.get(BUCKET, {})
            return {name: found[name]["generation"] for name in sorted(found)}

    def write(self, name: str, content: bytes) -> None:
        """Another process's write, while the storage decides on a fault."""
        resource = objects._make_object_resource("", BUCKET, name, None, str(len(content)))
        resource = objects._checksums(content, resource)
        self._front.storage.create_file(BUCKET, name, content, resource)

    def age(self, prefix: str, updated: str) -> None:
        """Dates the objects below a prefix as written at an ISO time."""
        with self._front.lock:
            for name, stored in self._front.storage.objects[BUCKET].items():
                if name.startswith(prefix):
                    stored["updated"] = updated


@contextlib.contextmanager
def serve() -> Iterator[FlakyStorage]:
    """Runs the storage on a free port of loopback."""
    for name in ("gcp_storage_emulator", "api"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    front = _Front(Storage(use_memory_fs=True))
    thread = threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    flaky = FlakyStorage(front)
    flaky.clear()
    try:
        yield flaky
    finally:
        front.shutdown()
        front.server_close()
        thread.join()


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, storage: Storage) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.storage = storage
        self.lock = threading.Lock()
        self.faults: Faults | None = None
        self.met: list[tuple[Request, str]] = []
        self.seen: list[Request] = []

    def fault(self, request: Request) -> str | None:
        with self.lock:
            self.seen.append(request)
            kind = None if self.faults is None else self.faults(request)
            if kind is not None:
                self.met.append((request, kind))
            return kind

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is what is wanted here."""


class _Handler(emulator.RequestHandler):
    server: _Front

    def __init__(self, *args: Any) -> None:
        super().__init__(args[2].storage, *args)

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        kind = self.server.fault(Request(method, self.path))
        answer = b"" if kind in _BEFORE else self._carried_out(method, body)
        if kind == "stalled":
            self.rfile.read(1)  # until the client has enough
        elif kind in ("reset", "lost"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif kind in ("refused", "failed"):
            self.wfile.write(_UNAVAILABLE)
        elif kind == "truncated":
            head, separator, content = answer.partition(b"\r\n\r\n")
            self.wfile.write(head + separator + content[: len(content) // 2])
        else:
            self.wfile.write(answer)
        self.close_connection = True

    def _carried_out(self, method: str, body: bytes) -> bytes:
        """What the emulator answers, one request at a time."""
        rfile, wfile = self.rfile, self.wfile
        self.rfile, self.wfile = io.BytesIO(body), io.BytesIO()
        try:
            with self.server.lock:
                if not self._condition_holds(method, body):
                    return _PRECONDITION_FAILED
                emulator.Router(self).handle(method)
                return self.wfile.getvalue()
        finally:
            self.rfile, self.wfile = rfile, wfile

    def _condition_holds(self, method: str, body: bytes) -> bool:
        url = urlsplit(self.path)
        wanted = parse_qs(url.query).get("ifGenerationMatch")
        if wanted is None or method not in ("POST", "DELETE"):
            return True
        return self._generation(_object_name(url.path, url.query, body)) == wanted[0]

    def _generation(self, name: str) -> str:
        try:
            return str(self.server.storage.get_file_obj(BUCKET, name)["generation"])
        except NotFound:
            return "0"


def _object_name(path: str, query: str, body: bytes) -> str:
    """Of the object that a request writes or removes."""
    _, found, name = path.rpartition("/o/")  # of a copy, its target
    if found:
        return unquote(name)
    named = parse_qs(query).get("name")
    if named is not None:
        return named[0]
    start = body.index(b"{")
    decoded, _ = json.JSONDecoder().raw_decode(body[start:].decode("utf-8", "replace"))
    return str(decoded["name"])


def forget_clients() -> None:
    """Makes the next use of `gs://` in this process look anew where the storage is."""
    cloud._client.cache_clear()
    units._gcs.cache_clear()
