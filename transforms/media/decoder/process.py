"""Child processes that decode media: what hangs, crashes or swells costs one medium."""

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
"""Isolated from the variables and the folder of this process; it finds installed packages alone."""

CLOCK_FACTOR = 3
"""Seconds by the clock for each CPU second allowed: a busy machine makes no medium a broken one."""

ROOM_BYTES = 256 * 2**20
"""Address space for decoding a medium, beside it as stored and what the program takes."""

PIXEL_BYTES = 24
"""Address space for each pixel that a picture declares, on top."""

_START_SECONDS = 120.0  # by the clock; it takes 0.2 where the files are in memory
_GRACE_SECONDS = 5.0  # for a child that is stopped, and so does not end itself
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
    """What libsndfile made of a sound.

    Attributes:
        rate: In Hz.
        kind: libsndfile's name of the format.
        mono: float32 `[frames]`, the mean of the channels; full scale is 1.
        missing: How many of the frames asked for are not there.
    """

    rate: int
    kind: str
    mono: npt.NDArray[np.float32]
    missing: int


def decode_sound(
    content: bytes, frames: Callable[[int, int, int], int], cpu_seconds: float
) -> Decoded:
    """Has a child decode a sound. Each thread that calls has one child at most at work.

    A child that fails may have been harmed by a medium before: this one then gets a second try in
    a fresh child.

    Args:
        content: The file, of a format that libsndfile is to be trusted with.
        frames: Says, from the rate, the channels and the frames declared, how many frames to
            decode. What it raises comes out.
        cpu_seconds: What each try may take; `CLOCK_FACTOR` times as much by the clock.

    Raises:
        MediumError: CORRUPT where libsndfile refuses the sound or crashes on it, TIMEOUT,
            TOO_LARGE where it runs out of memory.
        TriadError: Where no child can be started.
    """
    return _by_some(lambda child: child.decode_sound(content, frames, cpu_seconds))


def decode_picture(
    content: bytes, kind: str, pixels: int, keep_pixels: int, cpu_seconds: float
) -> bytes:
    """Has a child make a canonical PNG of a picture, as `decode_sound` does of a sound.

    Args:
        content: The file, with no more in it than decoders need.
        kind: Pillow's name of its format, which is on the list.
        pixels: Width times height, as declared. A larger picture is refused.
        keep_pixels: To which a larger picture is reduced.
        cpu_seconds: See `decode_sound`.

    Raises:
        MediumError: TOO_LARGE, UNSUPPORTED, TRUNCATED, CORRUPT, EMPTY or TIMEOUT.
        TriadError: Where no child can be started.
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
    """Ends the children that are not at work; the next medium starts another."""
    while (child := _take()) is not None:
        child.end()


class _DiedError(Exception):
    """A child that is no more, and what that says of the medium."""

    def __init__(self, verdict: tuple[Flaw, str]) -> None:
        super().__init__(verdict)
        self.verdict = verdict


class _Child:
    """One child, and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        # Beam gives all new sockets a timeout once it has looked at gs://. The child would get one
        # that does not wait, and take what has not come yet for the end of a medium.
        theirs.setblocking(True)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    COMMAND,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # libraries talk about broken media
                    env=_environment(),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is for this process
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
        """See the function of this name.

        Raises:
            _DiedError: The child is no more.
        """
        self._request(kind.encode(), content, ROOM_BYTES + PIXEL_BYTES * pixels, cpu_seconds)
        self._send(protocol.PICTURE.pack(pixels, keep_pixels))
        reply = self._receive(4 * keep_pixels + _LONGEST_REPLY)
        return _checked(reply, protocol.PIXELS)

    def decode_sound(
        self, content: bytes, frames: Callable[[int, int, int], int], cpu_seconds: float
    ) -> Decoded:
        """See the function of this name.

        Raises:
            _DiedError: The child is no more.
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
        """Kills the child; returns the exit code, which may be one from before."""
        self._socket.close()
        self._process.kill()
        return self._process.wait()

    def abandon(self) -> None:
        """Closes the socket of a process that this one was forked from."""
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


_idle: list[_Child] = []  # the last one used comes first: few stay at work where few are needed
_children: weakref.WeakSet[_Child] = weakref.WeakSet()


def _unpacked(reply: tuple[bytes, bytes], kind: bytes, body: struct.Struct) -> tuple[Any, ...]:
    content = _checked(reply, kind)
    if len(content) != body.size:
        raise _DiedError(_CRASH)
    return body.unpack(content)


def _checked(reply: tuple[bytes, bytes], kind: bytes) -> bytes:
    """The body of a reply of that kind. Nothing that a child says is taken on trust."""
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
    except IndexError:  # also where another thread was faster
        return None


def _by(child: _Child, work: Callable[[_Child], _Result]) -> _Result:
    """Has this child decode a medium; it goes on to others where it is left as it was."""
    try:
        result = work(child)
    except MediumError:
        _idle.append(child)
        raise
    except BaseException:  # an interrupt too leaves it in the middle of a medium
        child.end()
        raise
    _idle.append(child)
    return result


def _environment() -> dict[str, str]:
    """What a child may know: where libraries are, and that it needs no threads."""
    variables = {"OPENBLAS_NUM_THREADS": "1"}
    if (folders := os.environ.get("LD_LIBRARY_PATH")) is not None:
        variables["LD_LIBRARY_PATH"] = folders
    return variables


def _no_start(why: str) -> TriadError:
    return TriadError(
        f"the media decoder does not start: {why}; run it by hand to see more: {' '.join(COMMAND)}"
    )


def _forget() -> None:
    """In a forked process: its parent's children are not its own."""
    _idle.clear()
    for child in list(_children):
        child.abandon()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
