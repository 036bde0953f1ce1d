"""Child processes that decode media, so that hangs, crashes and memory use cost one medium only."""

import atexit
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.errors import TriadError
from triad_ml.transforms.media.decoder import program
from triad_ml.transforms.media.decoder import protocol as protocol
from triad_ml.transforms.records.values import Flaw, MediumError

COMMAND = (sys.executable, "-I", str(program.__file__))
"""Command of the child, isolated from this process's environment variables and folder; it can
import installed packages only."""

CLOCK_FACTOR = 3
"""Seconds of wall-clock time for each allowed CPU second, so that a busy machine makes no medium
fail."""

ROOM_BYTES = 256 * 2**20
"""Address space for decoding a medium, in addition to the stored medium and the program itself."""

PIXEL_BYTES = 24
"""Additional address space for each pixel that an image declares."""

_START_SECONDS = 120.0  # of wall-clock time; 0.2 if the files are in the page cache
_GRACE_SECONDS = 5.0  # after which a child that is stopped, and cannot end itself, is given up
_NOTHING = struct.Struct("")
_LONGEST_REPLY = 4 * protocol.BLOCK_FRAMES

_FLAWS = {
    -signal.SIGPROF: (Flaw.TIMEOUT, "the decoder used up its CPU time"),
    -signal.SIGALRM: (Flaw.TIMEOUT, "the decoder did not end in time"),
    protocol.NO_MEMORY: (Flaw.TOO_LARGE, "the decoder ran out of memory"),
}
_Result = TypeVar("_Result")
_CRASH = (Flaw.CORRUPT, "the decoder crashed on it")


class Decoded(NamedTuple):
    """Audio that libsndfile decoded.

    Attributes:
        rate: Sample rate in Hz.
        kind: libsndfile's name of the format.
        mono: float32 `[frames]`, the mean of the channels; full scale is 1.
        missing: Number of requested frames that the file does not have.
    """

    rate: int
    kind: str
    mono: npt.NDArray[np.float32]
    missing: int


def decode_sound(
    content: bytes, frames: Callable[[int, int, int], int], cpu_seconds: float
) -> Decoded:
    """Decodes audio in a child process; each calling thread uses one child at a time.

    An earlier medium may have damaged a used child. If a used child fails, this medium therefore
    gets a second try in a new child.

    Args:
        content: The file, of an allowed format.
        frames: Function from the declared rate, channels and frames to the number of frames to
            decode. An exception that it raises is passed on.
        cpu_seconds: CPU time of each try; the limit of wall-clock time is `CLOCK_FACTOR` times as
            long.

    Raises:
        MediumError: CORRUPT if libsndfile refuses the audio or crashes on it, TIMEOUT, TOO_LARGE
            if it runs out of memory.
        TriadError: If no child can be started.
    """
    return _by_some(lambda child: child.decode_sound(content, frames, cpu_seconds))


def decode_picture(
    content: bytes, kind: str, pixels: int, keep_pixels: int, cpu_seconds: float
) -> bytes:
    """Re-encodes an image as a canonical PNG in a child process, as `decode_sound` decodes audio.

    Args:
        content: The file, without parts that decoders do not need.
        kind: Pillow's name of its format, which is an allowed one.
        pixels: Declared width times height; if the image turns out larger, it is refused.
        keep_pixels: Width times height to which a larger image is reduced.
        cpu_seconds: See `decode_sound`.

    Raises:
        MediumError: TOO_LARGE, UNSUPPORTED, TRUNCATED, CORRUPT, EMPTY or TIMEOUT.
        TriadError: If no child can be started.
    """
    return _by_some(
        lambda child: child.decode_picture(content, kind, pixels, keep_pixels, cpu_seconds)
    )


def _by_some(work: "Callable[[_Child], _Result]") -> _Result:
    if (used := _take()) is not None:
        with contextlib.suppress(_DiedError):
            return _by(used, work)
    try:
        return _by(_Child(), work)
    except _DiedError as error:
        raise MediumError(*error.verdict) from error


def close() -> None:
    """Ends the idle children; the next medium starts a new one."""
    while (child := _take()) is not None:
        child.end()


class _DiedError(Exception):
    """A child that has ended, and the flaw that this means for its medium."""

    def __init__(self, verdict: tuple[Flaw, str]) -> None:
        super().__init__(verdict)
        self.verdict = verdict


class _Child:
    """A child process, and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        # After its first access to gs://, Beam sets a default timeout for all new sockets. The
        # child's would then not block, and the child would take missing bytes for the end.
        theirs.setblocking(True)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    COMMAND,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # libraries print warnings about broken media
                    env=_environment(),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C reaches this process only
                )
        except OSError as error:
            raise _no_start(str(error)) from error
        _children.add(self)
        self._deadline = time.monotonic() + _START_SECONDS
        try:
            self._expect(protocol.READY, _NOTHING)
        except _DiedError as error:
            raise _no_start(f"it ended with {self.end()}") from error

    def decode_picture(
        self, content: bytes, kind: str, pixels: int, keep_pixels: int, cpu_seconds: float
    ) -> bytes:
        """Does the work of the function of this name.

        Raises:
            _DiedError: If the child has ended.
        """
        self._request(kind.encode(), content, ROOM_BYTES + PIXEL_BYTES * pixels, cpu_seconds)
        self._send(protocol.PICTURE.pack(pixels, keep_pixels))
        reply = self._receive(4 * keep_pixels + _LONGEST_REPLY)
        return _checked(reply, protocol.PIXELS)

    def decode_sound(
        self, content: bytes, frames: Callable[[int, int, int], int], cpu_seconds: float
    ) -> Decoded:
        """Does the work of the function of this name.

        Raises:
            _DiedError: If the child has ended.
        """
        self._request(protocol.SOUND, content, ROOM_BYTES, cpu_seconds)
        rate, channels, declared, kind = self._expect(protocol.DECLARED, protocol.HEADER)
        try:
            needed = frames(rate, channels, declared)
        except MediumError:
            self._send(protocol.WANTED.pack(0))
            self._expect(protocol.END, protocol.WANTED)
            raise
        self._send(protocol.WANTED.pack(needed))
        mono = np.empty(needed, np.float32)
        done = 0
        while (reply := self._receive())[0] == protocol.SAMPLES:
            count, odd = divmod(len(reply[1]), mono.itemsize)
            if odd or count > needed - done:
                raise _DiedError(_CRASH)
            mono[done : done + count] = np.frombuffer(reply[1], np.float32)
            done += count
        (missing,) = _unpacked(reply, protocol.END, protocol.WANTED)
        return Decoded(rate, kind.rstrip(b"\0").decode("ascii", "replace"), mono[:done], missing)

    def _request(self, kind: bytes, content: bytes, room: int, cpu_seconds: float) -> None:
        seconds = CLOCK_FACTOR * cpu_seconds
        self._deadline = time.monotonic() + seconds + _GRACE_SECONDS
        self._send(protocol.REQUEST.pack(kind, len(content), room, cpu_seconds, seconds))
        self._send(content)

    def end(self) -> int:
        """Kills the child; returns its exit code, also if it had ended before."""
        self._socket.close()
        self._process.kill()
        return self._process.wait()

    def abandon(self) -> None:
        """Closes the socket; the child belongs to the parent of this process, and is not ended."""
        self._socket.close()

    def _expect(self, kind: bytes, body: struct.Struct) -> tuple[Any, ...]:
        return _unpacked(self._receive(), kind, body)

    def _receive(self, longest: int = _LONGEST_REPLY) -> tuple[bytes, bytes]:
        kind, size = protocol.REPLY.unpack(self._exactly(protocol.REPLY.size))
        if size > longest:
            raise _DiedError(_CRASH)
        return kind, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        content = bytearray(size)
        done = 0
        while done < size:
            try:
                self._limit()
                count = self._socket.recv_into(memoryview(content)[done:])
            except OSError as error:
                raise self._died(error) from error
            if not count:
                raise self._died()
            done += count
        return bytes(content)

    def _send(self, content: bytes) -> None:
        try:
            self._limit()
            self._socket.sendall(content)
        except OSError as error:
            raise self._died(error) from error

    def _limit(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _died(self, error: OSError | None = None) -> _DiedError:
        if isinstance(error, TimeoutError):
            return _DiedError(_FLAWS[-signal.SIGALRM])
        try:
            code = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return _DiedError(_CRASH)
        return _DiedError(_FLAWS.get(code, _CRASH))


_idle: list[_Child] = []  # a stack, so that only as many children are used as are needed
_children: weakref.WeakSet[_Child] = weakref.WeakSet()


def _unpacked(reply: tuple[bytes, bytes], kind: bytes, body: struct.Struct) -> tuple[Any, ...]:
    content = _checked(reply, kind)
    if len(content) != body.size:
        raise _DiedError(_CRASH)
    return body.unpack(content)


def _checked(reply: tuple[bytes, bytes], kind: bytes) -> bytes:
    """Returns the body of a reply, if it is of the expected kind; replies are never trusted.

    Raises:
        MediumError: If the child refused the medium.
        _DiedError: If the reply is of another kind.
    """
    if reply[0] == protocol.REFUSED:
        flaw, _, detail = reply[1].decode("ascii", "replace").partition("\0")
        if flaw in set(Flaw):
            raise MediumError(Flaw(flaw), detail)
    if reply[0] != kind:
        raise _DiedError(_CRASH)
    return reply[1]


def _take() -> _Child | None:
    try:
        return _idle.pop()
    except IndexError:  # empty, also if another thread was faster
        return None


def _by(child: _Child, work: Callable[[_Child], _Result]) -> _Result:
    """Decodes a medium in a child, which becomes idle again unless it was interrupted."""
    try:
        result = work(child)
    except MediumError:
        _idle.append(child)
        raise
    except BaseException:  # the child is in the middle of a medium, as after an interrupt
        child.end()
        raise
    _idle.append(child)
    return result


def _environment() -> dict[str, str]:
    """Returns the child's environment variables: the path of libraries, and one thread."""
    variables = {"OPENBLAS_NUM_THREADS": "1"}
    if (folders := os.environ.get("LD_LIBRARY_PATH")) is not None:
        variables["LD_LIBRARY_PATH"] = folders
    return variables


def _no_start(why: str) -> TriadError:
    return TriadError(
        f"the media decoder does not start: {why}; run it by hand to see more: {' '.join(COMMAND)}"
    )


def _forget() -> None:
    """Forgets all children in a forked process, because they belong to its parent."""
    _idle.clear()
    for child in list(_children):
        child.abandon()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
