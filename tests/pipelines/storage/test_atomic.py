"""Atomic file operations: whole files or none, one winner of a race, errors with remedies."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import StorageError

ROOT = Path(__file__).resolve().parents[3]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_put_makes_folders_writes_and_replaces_without_traces(tmp_path):
    path = str(tmp_path / "a" / "b" / "file")
    atomic.put(path, b"one")
    atomic.put(path, b"two")
    assert tree(tmp_path) == {"a/b/file": b"two"}
    assert atomic.read_bytes(path) == b"two"
    assert atomic.exists(path)


def test_nothing_waits_for_a_pipe_where_a_file_belongs(tmp_path):
    remedy = "a pipe or device is where a file belongs; see who put it there"
    place = tmp_path / "CURRENT"
    os.mkfifo(place)
    assert atomic.read_if_there(str(place)) is None
    os.mkfifo(tmp_path / atomic.LOCK)
    with pytest.raises(StorageError, match=remedy), atomic.locked(str(tmp_path)):
        pass
    stale = tmp_path / f"part.tmp-{'a' * 32}"
    os.mkfifo(stale)
    atomic.remove_stale(str(tmp_path))
    assert stale.exists()


def test_a_lock_makes_no_file_where_a_link_leads(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / atomic.LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="a link is where a file"), atomic.locked(str(folder)):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_written_file_has_the_usual_permissions(tmp_path):
    atomic.put(str(tmp_path / "ours"), b"")
    (tmp_path / "usual").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_write_new_leaves_a_file_that_is_there(tmp_path):
    path = str(tmp_path / "file")
    assert atomic.write_new(path, b"one")
    assert not atomic.write_new(path, b"two")
    assert tree(tmp_path) == {"file": b"one"}


@pytest.mark.parametrize("operation", [atomic.put, atomic.write_new, atomic.replace])
@pytest.mark.parametrize("thing", ["pipe", "link", "loop"])
def test_what_is_no_file_gives_way_to_one(tmp_path, operation, thing):
    path = tmp_path / "file"
    if thing == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("file" if thing == "loop" else "nothing")
    assert atomic.list_folders(str(tmp_path)) == []
    assert atomic.read_if_there(str(path)) is None
    arguments = (None,) if operation is atomic.replace else ()
    assert operation(str(path), b"one", *arguments) is not False
    assert not path.is_symlink()
    assert path.read_bytes() == b"one"


def test_a_folder_in_the_place_of_a_file_is_said_and_stays(tmp_path):
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "other").touch()
    path = str(tmp_path / "file")
    assert atomic.read_if_there(path) is None
    for operation, arguments in (
        (atomic.put, ()),
        (atomic.write_new, ()),
        (atomic.replace, (None,)),
    ):
        with pytest.raises(StorageError, match=f"^{path}: is a directory; a folder is where"):
            operation(path, b"", *arguments)
    assert tree(tmp_path) == {".lock": b"", "file/other": b""}


def test_replace_writes_only_over_the_expected_content(tmp_path):
    path = str(tmp_path / "file")
    assert not atomic.replace(path, b"one", expected=b"zero")
    assert not atomic.exists(path)
    assert atomic.replace(path, b"one", expected=None)
    assert not atomic.replace(path, b"two", expected=None)
    assert not atomic.replace(path, b"two", expected=b"zero")
    assert atomic.read_bytes(path) == b"one"
    assert atomic.replace(path, b"two", expected=b"one")
    assert tree(tmp_path) == {".lock": b"", "file": b"two"}


@pytest.mark.parametrize("operation", ["write_new", "replace"])
def test_of_many_writers_at_once_one_wins(tmp_path, operation):
    barrier = threading.Barrier(8)
    won = []

    def attempt(index: int) -> None:
        barrier.wait()
        content = f"{index}".encode()
        if operation == "write_new":
            success = atomic.write_new(str(tmp_path / "file"), content)
        else:
            success = atomic.replace(str(tmp_path / "file"), content, expected=None)
        if success:
            won.append(content)

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [(tmp_path / "file").read_bytes()]


def test_listings_are_sorted_and_show_neither_locks_nor_temporary_files(tmp_path):
    for name in ("b", "a", ".lock", f"a.tmp-{'0' * 32}", "folder/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert atomic.list_files(str(tmp_path)) == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert atomic.list_folders(f"{tmp_path}/") == [f"{tmp_path}/folder"]
    assert atomic.list_files(str(tmp_path / "absent")) == []


def test_what_is_not_there_is_deleted_without_complaint(tmp_path):
    atomic.put(str(tmp_path / "folder" / "file"), b"x")
    atomic.put(str(tmp_path / "file"), b"x")
    for _ in range(2):
        atomic.delete(str(tmp_path / "file"))
        atomic.delete_tree(str(tmp_path / "folder"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_none_or_an_error_of_one_line(tmp_path):
    path = str(tmp_path / "absent")
    assert atomic.read_if_there(path) is None
    with pytest.raises(StorageError, match=rf"^{path}: no such file; [^\n]+$"):
        atomic.read_bytes(path)


KILLED = """
import os, sys
from triad_ml.pipelines.storage import atomic
os.replace = lambda source, target: os._exit(9)
atomic.put(sys.argv[1], b"new")
"""


def test_a_killed_writer_leaves_the_old_file_and_its_temporary_file_is_removed_later(tmp_path):
    path = str(tmp_path / "file")
    atomic.put(path, b"old")
    assert subprocess.run([sys.executable, "-c", KILLED, path], cwd=ROOT).returncode == 9
    temporary = [name for name in os.listdir(tmp_path) if ".tmp-" in name]
    assert len(temporary) == 1
    assert atomic.read_bytes(path) == b"old"
    atomic.remove_stale(str(tmp_path))
    assert tree(tmp_path) == {"file": b"old"}


def test_the_temporary_file_of_a_living_writer_stays(tmp_path, monkeypatch):
    replace = os.replace

    def replace_after_cleaning(source: str, target: str) -> None:
        atomic.remove_stale(str(tmp_path))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_after_cleaning)
    atomic.put(str(tmp_path / "file"), b"new")
    assert tree(tmp_path) == {"file": b"new"}


@pytest.mark.parametrize(
    "operation",
    [
        lambda path: atomic.put(path, b"x"),
        lambda path: atomic.write_new(path, b"x"),
        lambda path: atomic.replace(path, b"x", expected=None),
    ],
)
def test_writing_below_a_regular_file_is_an_error_of_one_line(tmp_path, operation):
    (tmp_path / "file").write_bytes(b"x")
    path = str(tmp_path / "file" / "folder" / "part")
    with pytest.raises(StorageError, match=rf"^{path}[^\n]*: [a-z][^\n]+ is a file; [^\n]+$"):
        operation(path)
    assert tree(tmp_path) == {"file": b"x"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_an_error_of_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match=r"permission denied; give this user [^\n]+$"):
        atomic.put(str(tmp_path / "file"), b"x")
    tmp_path.chmod(0o700)


FULL = """
import resource, sys
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    atomic.put(sys.argv[1], b"x" * 100_000)
except StorageError as error:
    sys.exit(f"{error.exit_code} {error}")
"""


def test_a_full_disk_is_an_error_of_one_line_and_leaves_the_old_file(tmp_path):
    path = str(tmp_path / "file")
    atomic.put(path, b"old")
    child = subprocess.run([sys.executable, "-c", FULL, path], cwd=ROOT, capture_output=True)
    assert child.stderr.decode() == (
        f"20 {path}: file too large; raise the limit on file sizes (ulimit -f), "
        "then run the same command again\n"
    )
    assert tree(tmp_path) == {"file": b"old"}


def test_a_cloud_path_without_a_bucket_is_an_error_of_one_line():
    with pytest.raises(StorageError, match=r"^gs:///x: the bucket is missing; [^\n]+$"):
        atomic.read_bytes("gs:///x")
