"""Removal of scratch folders when their process ends or is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from triad_ml.transforms.files import scratch

_HOLD = """
import sys, time
from triad_ml.transforms.files import scratch
held = scratch.ScratchFolder()
(held.path / "weights").mkdir()
(held.path / "weights" / "file").write_bytes(b"content")
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The system's folder for temporary files, of this test alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def _holder() -> tuple[subprocess.Popen[str], Path]:
    command = [sys.executable, "-c", _HOLD]
    process = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_scratch_folder_is_this_users_alone_and_ends_with_its_block(place):
    with scratch.ScratchFolder() as folder:
        (folder / "file").write_bytes(b"content")
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_holds_is_not():
    living, held = _holder()
    killed, left = _holder()
    with living, killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "weights" / "file").is_file()
        with scratch.ScratchFolder():
            assert not left.exists()
            assert (held / "weights" / "file").read_bytes() == b"content"
        living.communicate()
        assert not held.exists()


def test_links_under_such_a_name_are_neither_followed_nor_removed(place):
    kept = place / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"content")
    link = place / f"{scratch.PREFIX}link"
    link.symlink_to(kept)
    with scratch.ScratchFolder():
        assert (kept / "file").read_bytes() == b"content"
        assert os.readlink(link) == str(kept)
