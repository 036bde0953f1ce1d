"""Digests of files and of code."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from triad_ml.transforms import hashing
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.files.private_copies import private_copy


def test_a_file_digest_is_sha_256_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(b"content" * 50_000)
    expected = hashlib.sha256(b"content" * 50_000).hexdigest()
    assert hashing.file_digest(tmp_path / "file") == expected
    assert hashing.file_digest(str(tmp_path / "file")) == expected


def test_a_tree_is_seen_however_deep_it_is_and_links_are_not_followed(tmp_path):
    depth = 1500  # deeper than Python may call itself
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path)
    folder = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("a", dir_fd=folder)
        inner = os.open("a", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    bottom = "/".join(["a"] * depth) + "/file"
    assert hashing.tree_digests(tmp_path / "tree") == {bottom: hashlib.sha256().hexdigest()}
    assert len(hashing.tree(tmp_path / "tree")) == depth + 2
    with (
        pytest.raises(GateError, match="a: lies in over 64 folders of what is checked; take"),
        private_copy(tmp_path / "tree" / "a"),
    ):
        pass
    assert hashing.tree(tmp_path / "missing") == []
    subprocess.run(["rm", "-r", str(tmp_path / "tree")], check=True)  # pytest would fail to


COUNTED = ("transforms/hashing.py", "transforms/a.py", "model/b.py", "model/deep/er/d.py")


@pytest.fixture
def copied_code(tmp_path):
    """Two packages of a few files that stand where the code would."""
    for name in (*COUNTED, "pipelines/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


@pytest.mark.parametrize("name", COUNTED)
def test_the_code_digest_changes_with_each_file_of_transforms_and_model(copied_code, name):
    before = hashing.code_digest(copied_code)
    assert hashing.code_digest(copied_code) == before
    (copied_code / "transforms" / "new").mkdir()  # an empty folder says nothing
    assert hashing.code_digest(copied_code) == before
    with (copied_code / name).open("a") as file:
        file.write("# changed\n")
    changed_once = hashing.code_digest(copied_code)
    (copied_code / name).rename(copied_code / f"{name[:-3]}_renamed.py")
    assert len({before, changed_once, hashing.code_digest(copied_code)}) == 3


@pytest.mark.parametrize("name", ["pipelines/c.py", "transforms/notes.md", "model/a.pyc"])
def test_the_code_digest_does_not_change_with_other_files(copied_code, name):
    before = hashing.code_digest(copied_code)
    (copied_code / name).write_text("changed")
    assert hashing.code_digest(copied_code) == before


def test_the_code_digest_is_of_the_code_that_runs():
    assert hashing.code_digest() == hashing.code_digest(Path(hashing.__file__).parents[1])
    assert len(hashing.code_digest()) == 64
