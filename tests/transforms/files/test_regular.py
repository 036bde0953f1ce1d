"""Reading of regular files: pipes, sockets and devices count as missing, and do not block."""

import os
import socket

import pytest

from triad_ml.transforms.files import regular


def test_a_file_is_read_also_by_a_link(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert regular.read(tmp_path / "a") == regular.read(tmp_path / "b") == b"content"


def test_what_is_no_file_is_not_there_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
        for name in ("pipe", "link", "endless", "gone", "loop", "socket", "nothing", ".", "pipe/x"):
            with pytest.raises(FileNotFoundError) as caught:
                regular.read(tmp_path / name)
            assert caught.value.filename == str(tmp_path / name)
