"""Media that hang, crash or bloat their decoder: only the medium is lost, no process is left."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import psutil
import pytest

from tests import media
from tests.reliability import faulty_decoder
from triad_ml.transforms.errors import TriadError
from triad_ml.transforms.media import audio, image
from triad_ml.transforms.media.decoder import process as decoder_process
from triad_ml.transforms.media.decoder import program as decoder_program
from triad_ml.transforms.media.decoder import protocol
from triad_ml.transforms.records.values import MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, Limits

SPEC = AudioSpec(sample_rate=16_000, seconds=0.5)
LIMITS = Limits(decode_seconds=0.3)
ROOT = Path(__file__).resolve().parents[2]
SOUND = media.sound(media.wave(), 16_000, "AU")
PICTURE = media.encoded(media.picture(), "BMP")
OTHERS = [media.sound(media.wave(seed=3), 16_000, kind) for kind in ("OGG", "FLAC", "MP3", "AIFF")]
COMMAND = decoder_process.COMMAND
FAULTY = (sys.executable, "-I", faulty_decoder.__file__, decoder_program.__file__)


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Children that have the faults of `faulty_decoder`; none is there before or after a test."""
    decoder_process.close()
    monkeypatch.setattr(decoder_process, "COMMAND", FAULTY)
    yield
    decoder_process.close()
    assert decoders() == []


def decoders() -> list[int]:
    """The ids of the children of this process that decode media, those that ended not counted."""
    found = []
    for process in psutil.Process().children():  # not of clusters, which other tests share
        if process.status() != psutil.STATUS_ZOMBIE and "decoder/program" in " ".join(
            process.cmdline()
        ):
            found.append(process.pid)
    return found


def canonical(content: bytes) -> bytes:
    if content.startswith(b"BM"):
        return image.canonical(content, LIMITS)
    return audio.canonical(content, SPEC, LIMITS)


def test_a_default_timeout_of_sockets_costs_no_sound(monkeypatch):
    """Beam sets one with its first look at gs://; children that start later must wait as before."""
    monkeypatch.setattr(decoder_process, "COMMAND", COMMAND)
    before = socket.getdefaulttimeout()
    expected = canonical(OTHERS[0])
    decoder_process.close()
    socket.setdefaulttimeout(60)
    try:
        for _ in range(10):  # a child that does not wait dies of most sounds, not of each
            assert canonical(OTHERS[0]) == expected
            decoder_process.close()
    finally:
        socket.setdefaulttimeout(before)


def error_of(content: bytes) -> str:
    with pytest.raises(MediumError) as caught:
        canonical(content)
    return str(caught.value)


ERRORS = {
    "crash": "corrupt: the decoder crashed on it",
    "spin": "timeout: the decoder used up its CPU time",
    "sleep": "timeout: the decoder did not end in time",
    "swell": "too_large: the decoder ran out of memory",
    "babble": "corrupt: the decoder crashed on it",
}


@pytest.mark.parametrize(
    ("medium", "fault"),
    [(SOUND, fault) for fault in ERRORS]
    + [(PICTURE, fault) for fault in ERRORS if fault != "swell"],
    ids=lambda value: value if isinstance(value, str) else value[:2].decode(),
)
def test_a_fault_costs_its_medium_alone(medium: bytes, fault: str) -> None:
    expected = [canonical(content) for content in [SOUND, PICTURE, *OTHERS]]
    (before,) = decoders()
    assert error_of(faulty_decoder.marked(medium, fault)) == ERRORS[fault]
    assert decoders() == []  # both that tried are gone
    assert [canonical(content) for content in [SOUND, PICTURE, *OTHERS]] == expected
    (after,) = decoders()
    assert after != before


def test_a_picture_that_swells_is_too_large_and_leaves_its_child_as_it_was() -> None:
    expected = canonical(PICTURE)
    before = decoders()
    error = error_of(faulty_decoder.marked(PICTURE, "swell"))
    assert error == "too_large: BMP: cannot be decoded"
    assert canonical(PICTURE) == expected
    assert decoders() == before


def test_a_child_that_is_stopped_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "_GRACE_SECONDS", 0.1)
    content = faulty_decoder.marked(SOUND, "stop")
    assert error_of(content) == "timeout: the decoder did not end in time"
    assert decoders() == []


def test_a_sound_does_not_suffer_from_the_one_before() -> None:
    expected = canonical(SOUND)
    canonical(faulty_decoder.marked(SOUND, "later"))
    assert canonical(SOUND) == expected


def test_faults_on_several_threads_leave_the_other_sounds_as_they_are() -> None:
    expected = [canonical(content) for content in OTHERS]
    faults = [faulty_decoder.marked(SOUND, fault) for fault in ("crash", "swell", "babble")]
    with futures.ThreadPoolExecutor(4) as threads:
        bad = [threads.submit(error_of, content) for content in faults * 3]
        good = [threads.submit(canonical, content) for content in OTHERS * 5]
        assert [one.result() for one in good] == expected * 5
        assert len({one.result() for one in bad}) == 2
    assert len(decoders()) <= 4


def test_a_thread_needs_one_child_for_all_its_media() -> None:
    for content in [SOUND, PICTURE, *OTHERS]:
        canonical(content)
        assert error_of(b"fLaC" + bytes(60)) == "corrupt: libsndfile cannot decode it"
    assert len(decoders()) == 1


def test_two_sounds_at_once_have_two_children() -> None:
    both = threading.Barrier(2)

    def frames(rate: int, channels: int, declared: int) -> int:
        both.wait(60)
        return declared

    with futures.ThreadPoolExecutor(2) as threads:
        sounds = [
            threads.submit(decoder_process.decode_sound, SOUND, frames, 20.0) for _ in range(2)
        ]
        assert [len(one.result().mono) for one in sounds] == [4000, 4000]
    assert len(decoders()) == 2


def test_a_child_that_was_killed_from_outside_is_replaced() -> None:
    expected = canonical(SOUND)
    (child,) = decoders()
    os.kill(child, signal.SIGKILL)
    assert canonical(SOUND) == expected


def test_a_child_knows_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    canonical(SOUND)
    (child,) = decoders()
    found = Path(f"/proc/{child}/environ").read_bytes()
    assert b"canary" not in found
    names = {entry.partition(b"=")[0] for entry in found.split(b"\0") if entry}
    assert names <= {b"OPENBLAS_NUM_THREADS", b"LD_LIBRARY_PATH", b"LC_CTYPE"}
    assert {os.readlink(f"/proc/{child}/fd/{fd}") for fd in (1, 2)} == {os.devnull}


@pytest.mark.parametrize(
    "command",
    [("/nowhere/python", "-I", "decoder.py"), (sys.executable, "-I", "-c", "raise SystemExit(7)")],
)
def test_a_child_that_does_not_start_is_no_fault_of_the_sound(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "COMMAND", command)
    with pytest.raises(TriadError, match="the media decoder does not start: ") as caught:
        canonical(SOUND)
    assert " ".join(command) in str(caught.value)


def test_a_forked_process_has_children_of_its_own() -> None:
    expected = canonical(SOUND)
    (ours,) = decoders()
    reader, writer = os.pipe()
    forked = os.fork()
    if not forked:  # no test may go on in here
        code = 1
        try:
            code = 0 if canonical(SOUND) == expected and decoders() != [ours] else 1
            os.write(writer, b"%d" % decoders()[0])
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader) as told:
        theirs = int(told.read())
    assert os.waitpid(forked, 0)[1] == 0
    gone(theirs)
    assert canonical(SOUND) == expected
    assert decoders() == [ours]


_PARENT = """
import sys
from tests.reliability import faulty_decoder, test_decoder_process as tests
from triad_ml.transforms.media.decoder import process
process.COMMAND = (*tests.FAULTY, sys.argv[1])
tests.canonical(tests.SOUND)
print(*tests.decoders(), flush=True)
if sys.argv[2] == "idle":
    sys.stdin.read()
tests.canonical(faulty_decoder.marked(tests.SOUND, sys.argv[2]))
"""


@pytest.mark.parametrize("state", ["idle", "spin", "sleep"])
def test_no_child_outlives_a_process_that_is_killed(state: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(pipe), state],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if state != "idle":
            assert int(pipe.read_text()) == child  # it is at the fault now
        handle = os.pidfd_open(child)
        parent.kill()
    gone(child, handle)


def gone(child: int, handle: int | None = None) -> None:
    """Waits for the end of a process that is no child of ours."""
    try:
        handle = os.pidfd_open(child) if handle is None else handle
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([handle], [], [], 60)
        assert ended, f"process {child} is still there"
    finally:
        os.close(handle)


def test_the_program_starts_under_a_limit_of_address_space(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = ("prlimit", f"--as={2**30}", *COMMAND)
    monkeypatch.setattr(decoder_process, "COMMAND", limited)
    assert canonical(PICTURE).startswith(b"\x89PNG")
    assert len(canonical(SOUND)) == 44 + 2 * 4000


def test_the_program_ends_when_nobody_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        program = subprocess.Popen([*decoder_process.COMMAND], stdin=theirs)
    assert ours.recv(9) == protocol.REPLY.pack(protocol.READY, 0)
    ours.close()
    assert program.wait(60) == 0
