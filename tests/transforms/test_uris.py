"""Which URIs may be opened."""

import io
import os
import resource
import socket
from pathlib import Path

import pytest

from transforms import uris
from transforms.records import Flaw, MediumError
from transforms.uris import Roots


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder `base` with media in it, and beside it `shared` and `private`."""
    for name in ("base/media", "shared", "private"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "base/media/a.jpg").write_bytes(b"a")
    (tmp_path / "base/per%2e%2e cent.jpg").write_bytes(b"literal")
    (tmp_path / "shared/b.jpg").write_bytes(b"b")
    (tmp_path / "private/c.jpg").write_bytes(b"c")
    (tmp_path / "base/inside.jpg").symlink_to("media/a.jpg")
    (tmp_path / "base/outside.jpg").symlink_to("../private/c.jpg")
    (tmp_path / "base/folder").symlink_to("../private")
    return tmp_path


@pytest.fixture
def roots(folders: Path) -> Roots:
    return Roots(str(folders / "base"))


def _flaw(uri: str, roots: Roots, max_bytes: int = 100) -> Flaw:
    with pytest.raises(MediumError) as caught:
        uris.fetch(uri, roots, max_bytes)
    assert str(roots.base) not in str(caught.value)
    return caught.value.flaw


@pytest.mark.parametrize(
    "uri",
    [
        "media/a.jpg",
        "./media//a.jpg",
        "media/../media/a.jpg",
        "inside.jpg",
        "folder/../media/a.jpg",
    ],
)
def test_names_under_the_base_are_read(uri: str, roots: Roots, folders: Path) -> None:
    if uri.startswith("folder"):  # a link is followed before `..` is
        assert _flaw(uri, roots) is Flaw.FORBIDDEN
    else:
        assert uris.resolve(uri, roots) == os.path.realpath(folders / "base/media/a.jpg")
        assert uris.fetch(uri, roots, 100) == b"a"


def test_absolute_paths_and_file_uris_under_a_root_are_read(folders: Path, roots: Roots) -> None:
    path = folders / "base/media/a.jpg"
    for uri in (str(path), f"file://{path}", f"file://localhost{path}", f"FILE://{path}"):
        assert uris.fetch(uri, roots, 100) == b"a"


def test_the_base_may_be_a_file_uri_or_relative(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uris.fetch("media/a.jpg", Roots(f"file://{folders}/base/"), 100) == b"a"
    monkeypatch.chdir(folders / "base")
    assert uris.fetch("media/a.jpg", Roots(""), 100) == b"a"
    monkeypatch.chdir(folders)
    assert uris.fetch("media/a.jpg", Roots("base"), 100) == b"a"


@pytest.mark.parametrize(
    "uri",
    [
        "../private/c.jpg",
        "media/../../private/c.jpg",
        "..",
        ".",
        "outside.jpg",
        "folder/c.jpg",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://host/etc/passwd",
        "file://../etc/passwd",
        "http://localhost/a.jpg",
        "https://localhost/a.jpg",
        "s3://bucket/a.jpg",
        "ftp://host/a.jpg",
        "gs://bucket/a.jpg",
        "",
        "media/a.jpg\x00.png",
        "media/\na.jpg",
        "media/\udc80.jpg",
    ],
)
def test_what_leads_elsewhere_is_forbidden(uri: str, roots: Roots) -> None:
    assert _flaw(uri, roots) is Flaw.FORBIDDEN


def test_a_folder_whose_name_begins_like_a_root_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base-private").mkdir()
    (tmp_path / "base-private/c.jpg").write_bytes(b"c")
    assert _flaw("../base-private/c.jpg", Roots(f"{tmp_path}/base")) is Flaw.FORBIDDEN


def test_further_folders_may_be_allowed(folders: Path) -> None:
    roots = Roots(str(folders / "base"), (str(folders / "shared"),))
    assert uris.fetch("../shared/b.jpg", roots, 100) == b"b"
    assert uris.fetch(str(folders / "shared/b.jpg"), roots, 100) == b"b"
    assert _flaw("../private/c.jpg", roots) is Flaw.FORBIDDEN


def test_a_root_behind_a_link_is_the_folder_that_it_leads_to(folders: Path) -> None:
    (folders / "link").symlink_to("base")
    assert uris.fetch("media/a.jpg", Roots(str(folders / "link")), 100) == b"a"
    assert uris.fetch(str(folders / "base/media/a.jpg"), Roots(str(folders / "link")), 100) == b"a"


def test_nothing_is_percent_decoded(roots: Roots) -> None:
    assert uris.fetch("per%2e%2e cent.jpg", roots, 100) == b"literal"
    assert _flaw("media/%2e%2e/media/a.jpg", roots) is Flaw.NOT_FOUND


@pytest.mark.parametrize("uri", ["no.jpg", "media/no/no.jpg", "media/a.jpg/b", "n" * 300])
def test_what_is_not_there_is_not_found(uri: str, roots: Roots) -> None:
    assert _flaw(uri, roots) is Flaw.NOT_FOUND


def test_folders_pipes_sockets_and_loops_are_forbidden_and_do_not_block(
    folders: Path, roots: Roots
) -> None:
    os.mkfifo(folders / "base/pipe")
    (folders / "base/loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        directory = os.open(folders / "base", os.O_RDONLY)
        try:  # a short path: sockets take 108 bytes
            server.bind(f"/proc/self/fd/{directory}/socket")
        finally:
            os.close(directory)
        for name in ("media", "pipe", "loop", "socket"):
            assert _flaw(name, roots) is Flaw.FORBIDDEN


def test_what_is_over_the_cap_is_too_large(folders: Path, roots: Roots) -> None:
    (folders / "base/ten").write_bytes(b"0123456789")
    assert uris.fetch("ten", roots, 10) == b"0123456789"
    assert _flaw("ten", roots, max_bytes=9) is Flaw.TOO_LARGE


def test_an_empty_file_gives_no_bytes(folders: Path, roots: Roots) -> None:
    (folders / "base/empty").touch()
    assert uris.fetch("empty", roots, 10) == b""


def test_running_out_of_file_handles_is_no_flaw_of_the_record(roots: Roots) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            uris.fetch("media/a.jpg", roots, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("a.jpg", "gs://bucket/folder/a.jpg"),
        ("x//./a b.jpg", "gs://bucket/folder/x//a b.jpg"),
        ("../folder/a.jpg", "gs://bucket/folder/a.jpg"),
        ("gs://bucket/folder/a%2f.jpg", "gs://bucket/folder/a%2f.jpg"),
        ("GS://bucket/folder/a.jpg", "gs://bucket/folder/a.jpg"),
        ("gs://other/media/a.jpg", "gs://other/media/a.jpg"),
        ("../../other/media/a.jpg", None),
        ("../a.jpg", None),
        ("gs://bucket/folder/../a.jpg", None),
        ("gs://bucket/folder-2/a.jpg", None),
        ("gs://bucket-2/folder/a.jpg", None),
        ("gs://other/a.jpg", None),
        ("gs://bucket/../bucket/folder/a.jpg", None),
        ("/etc/passwd", None),
        ("file:///etc/passwd", None),
        ("gs://", None),
        ("gs://bucket", None),
    ],
)
def test_remote_names_stay_under_the_allowed_prefixes(uri: str, expected: str | None) -> None:
    roots = Roots("gs://bucket/folder", ("gs://other/media/",))
    if expected is None:
        with pytest.raises(MediumError) as caught:
            uris.resolve(uri, roots)
        assert caught.value.flaw is Flaw.FORBIDDEN
    else:
        assert uris.resolve(uri, roots) == expected


def test_no_name_leads_out_of_a_whole_bucket() -> None:
    roots = Roots("gs://bucket")
    assert uris.resolve("x/../a.jpg", roots) == "gs://bucket/a.jpg"
    for uri in ("../other/a.jpg", "x/../../other/a.jpg", "gs://bucket/../other/a.jpg"):
        with pytest.raises(MediumError) as caught:
            uris.resolve(uri, roots)
        assert caught.value.flaw is Flaw.FORBIDDEN


def test_a_local_folder_may_be_allowed_beside_a_remote_base(folders: Path) -> None:
    roots = Roots("gs://bucket/folder", (str(folders / "shared"),))
    assert uris.fetch(str(folders / "shared/b.jpg"), roots, 100) == b"b"


class _Trickle(io.RawIOBase):
    """A stream that gives three bytes a read, as a network does."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def read(self, size: int = -1) -> bytes:
        taken = min(3, size)
        block, self._rest = self._rest[:taken], self._rest[taken:]
        return block


def test_short_reads_are_put_together() -> None:
    assert uris._read(_Trickle(b"0123456789"), 100) == b"0123456789"
    assert uris._read(_Trickle(b"0123456789"), 5) == b"01234"


def test_beams_file_systems_read_bytes_as_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "a.jpg.gz").write_bytes(b"not inflated")
    assert uris._fetch_remote(str(tmp_path / "a.jpg.gz"), 100) == b"not inflated"
    for name, cap, flaw in (("no", 100, Flaw.NOT_FOUND), ("a.jpg.gz", 5, Flaw.TOO_LARGE)):
        with pytest.raises(MediumError) as caught:
            uris._fetch_remote(str(tmp_path / name), cap)
        assert caught.value.flaw is flaw
