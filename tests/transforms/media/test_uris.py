"""Opening of media by URI: allowed and refused URIs."""

import collections
import contextlib
import errno
import io
import os
import resource
import socket
import urllib.parse
from pathlib import Path

import pytest

from tests import capabilities, swaps
from triad_ml.transforms.media import uris
from triad_ml.transforms.media.uris import Roots
from triad_ml.transforms.records.values import Flaw, MediumError


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
        assert uris.fetch(uri, roots, 100) == b"a"


def test_absolute_paths_and_file_uris_under_a_root_are_read(folders: Path, roots: Roots) -> None:
    path = folders / "base/media/a.jpg"
    for uri in (str(path), f"/.{path}", f"{path.parent}/../media/a.jpg", path.as_uri()):
        assert uris.fetch(uri, roots, 100) == b"a"
    for scheme in ("file://", "file:", "FILE://", "File:", "file://localhost", "file://LocalHost"):
        assert uris.fetch(f"{scheme}{path}", roots, 100) == b"a"


NAMES = (b"a b.jpg", b"100%.jpg", b"a%20b.jpg", "ü+✓.jpg".encode(), b"\xff\n.jpg", b"a?b#c.jpg")


@pytest.mark.parametrize("name", NAMES)
def test_every_spelling_of_a_file_uri_finds_its_file(name: bytes, folders: Path) -> None:
    path = os.fsencode(folders / "base") + b"/" + name
    with open(path, "wb") as file:
        file.write(name)
    encoded = urllib.parse.quote(path)
    every_byte = "".join(f"%{byte:02x}" if byte != ord("/") else "/" for byte in path)
    uris_ = [f"file://{encoded}", f"file:{encoded}", f"FILE://localhost{encoded}"]
    uris_ += [f"file://{every_byte}", f"file:{every_byte.upper()}", uris.spelled(os.fsdecode(path))]
    if name.isascii() and name != b"a%20b.jpg":  # as Java writes it, and who does not encode
        uris_ += [f"file:{path.decode()}", f"file://{path.decode()}"]
    roots_ = Roots(str(folders / "base"))
    for uri in uris_:
        assert uris.fetch(uri, roots_, 100) == name
    assert uris.local_path(uris.spelled(os.fsdecode(path))) == os.fsdecode(path)


def test_a_literal_name_behind_a_file_uri_comes_after_the_decoded_one(folders: Path) -> None:
    roots_ = Roots(str(folders / "base"))
    literal, decoded = folders / "base/a%20b.jpg", folders / "base/a b.jpg"
    literal.write_bytes(b"literal")
    assert uris.fetch(f"file://{literal}", roots_, 100) == b"literal"
    decoded.write_bytes(b"decoded")
    assert uris.fetch(f"file://{literal}", roots_, 100) == b"decoded"
    for plain in ("a%20b.jpg", str(literal)):
        assert uris.fetch(plain, roots_, 100) == b"literal"


@pytest.mark.parametrize("name", ["a%2Fb.jpg", "media%2fa.jpg", "a.jpg%00", "%00"])
def test_an_encoded_slash_or_nul_is_no_name(name: str, folders: Path, roots: Roots) -> None:
    assert _flaw(f"file://{folders}/base/{name}", roots) is Flaw.FORBIDDEN


def test_the_base_may_be_a_file_uri_or_relative(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uris.fetch("media/a.jpg", Roots(f"file://{folders}/base/"), 100) == b"a"
    (folders / "with space").symlink_to("base")
    root = (folders / "with space").as_uri()
    assert uris.fetch("media/a.jpg", Roots(root), 100) == b"a"
    assert uris.fetch("media/a.jpg", Roots("none", (root,)), 100) == b"a"
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
        "file:/etc/passwd",
        "file:////etc/passwd",
        "file:///%65tc/passwd",
        "file:///etc/%2e%2e/etc/passwd",
        "file://",
        "file://localhost",
        "file://%2fetc/passwd",
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


def test_relative_names_are_looked_for_beside_the_records_then_in_each_root(folders: Path) -> None:
    first, second = folders / "shared", folders / "private"
    roots = Roots(str(folders / "base"), (str(first), str(second)))
    for folder in (second, first, folders / "base"):
        (folder / "sub").mkdir()
        (folder / "sub/x.jpg").write_bytes(folder.name.encode())
        assert uris.fetch("sub/x.jpg", roots, 100) == folder.name.encode()
    assert uris.fetch("b.jpg", roots, 100) == b"b"
    assert uris.fetch("c.jpg", roots, 100) == b"c"
    assert _flaw("nowhere.jpg", roots) is Flaw.NOT_FOUND
    assert _flaw("/b.jpg", roots) is Flaw.FORBIDDEN  # an absolute path is where it says


def test_a_name_that_leads_out_of_one_root_may_be_found_in_the_next(folders: Path) -> None:
    roots = Roots(str(folders / "base"), (str(folders / "shared"),))
    (folders / "shared/outside.jpg").write_bytes(b"inside")
    assert uris.fetch("outside.jpg", roots, 100) == b"inside"
    (folders / "base/outside-2.jpg").symlink_to("../private/c.jpg")
    assert _flaw("outside-2.jpg", roots) is Flaw.FORBIDDEN
    assert _flaw("../outside-3.jpg", roots) is Flaw.FORBIDDEN


def test_links_between_roots_are_followed(folders: Path) -> None:
    roots = Roots(str(folders / "base"), (str(folders / "shared"),))
    (folders / "base/to-shared").symlink_to(folders / "shared")
    (folders / "shared/back.jpg").symlink_to("../base/inside.jpg")
    assert uris.fetch("to-shared/b.jpg", roots, 100) == b"b"
    assert uris.fetch("to-shared/back.jpg", roots, 100) == b"a"


def test_a_topic_is_no_folder_and_names_of_its_messages_are_looked_for_in_the_roots(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "kafka:/broker/topic").mkdir(parents=True)
    (folders / "kafka:/broker/topic/d.jpg").write_bytes(b"d")
    monkeypatch.chdir(folders)
    roots = Roots("kafka://broker/topic", (str(folders / "shared"),))
    assert uris.fetch("b.jpg", roots, 100) == b"b"
    assert _flaw("d.jpg", roots) is Flaw.NOT_FOUND


def test_the_refusal_names_the_remedy(roots: Roots) -> None:
    with pytest.raises(MediumError) as caught:
        uris.fetch("/etc/passwd", roots, 100)
    assert str(caught.value) == (
        "forbidden: outside the records file's folder and each --media-root; "
        "name its folder with --media-root"
    )


def test_a_root_behind_a_link_is_the_folder_that_it_leads_to(folders: Path) -> None:
    (folders / "link").symlink_to("base")
    assert uris.fetch("media/a.jpg", Roots(str(folders / "link")), 100) == b"a"
    assert uris.fetch(str(folders / "base/media/a.jpg"), Roots(str(folders / "link")), 100) == b"a"


def test_no_plain_name_is_percent_decoded(roots: Roots) -> None:
    assert uris.fetch("per%2e%2e cent.jpg", roots, 100) == b"literal"
    assert _flaw("media/%2e%2e/media/a.jpg", roots) is Flaw.NOT_FOUND


@pytest.mark.parametrize(
    "uri",
    ["no.jpg", "media/no/no.jpg", "media/a.jpg/b", "n" * 300, "n" * 2**20, "a/" * 8000],
    ids=lambda uri: f"{uri[:13]}-{len(uri)}",
)
def test_what_is_not_there_is_not_found_whatever_its_length(uri: str, roots: Roots) -> None:
    assert _flaw(uri, roots) is Flaw.NOT_FOUND


@pytest.mark.parametrize("uri", ["../base/" * 2000, "media/../" * 1800, "inside.jpg/" * 1400])
def test_many_parts_take_no_more_than_their_number(uri: str, roots: Roots) -> None:
    assert _flaw(uri, roots) in (Flaw.FORBIDDEN, Flaw.NOT_FOUND)


def test_folders_deeper_than_one_path_can_name_are_read(folders: Path, roots: Roots) -> None:
    name, depth = "d" * 20, 250
    folder = os.open(folders / "base", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("a.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    assert uris.fetch(f"{name}/" * depth + "a.jpg", roots, 100) == b""


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
        for name in ("pipe/a.jpg", "socket/a.jpg", "inside.jpg/a.jpg"):
            assert _flaw(name, roots) is Flaw.NOT_FOUND


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


def _objects(uri: str, roots: Roots) -> list[str]:
    """The objects that a URI may name, in the order in which they are asked for."""
    found = []
    for place in uris.places(uri, roots):
        with contextlib.suppress(MediumError):
            found.append(uris.object_uri(place, roots))
    return found


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("a.jpg", ["gs://bucket/folder/a.jpg", "gs://other/media/a.jpg"]),
        ("x//./a b.jpg", ["gs://bucket/folder/x//a b.jpg", "gs://other/media/x//a b.jpg"]),
        ("../folder/a.jpg", ["gs://bucket/folder/a.jpg"]),
        ("../media/a.jpg", ["gs://other/media/a.jpg"]),
        ("gs://bucket/folder/a%2f.jpg", ["gs://bucket/folder/a%2f.jpg"]),
        ("GS://bucket/folder/a.jpg", ["gs://bucket/folder/a.jpg"]),
        ("gs://other/media/a.jpg", ["gs://other/media/a.jpg"]),
        ("../../other/media/a.jpg", []),
        ("../a.jpg", []),
        ("gs://bucket/folder/../a.jpg", []),
        ("gs://bucket/folder-2/a.jpg", []),
        ("gs://bucket-2/folder/a.jpg", []),
        ("gs://other/a.jpg", []),
        ("gs://bucket/../bucket/folder/a.jpg", []),
        ("gs://", []),
        ("gs://bucket", []),
    ],
)
def test_remote_names_stay_below_the_allowed_prefixes(uri: str, expected: list[str]) -> None:
    assert _objects(uri, Roots("gs://bucket/folder", ("gs://other/media/",))) == expected


@pytest.mark.parametrize("uri", ["/etc/passwd", "file:///etc/passwd", "../../other/media/a.jpg"])
def test_what_leads_out_of_all_prefixes_is_asked_of_nobody(uri: str) -> None:
    assert _flaw(uri, Roots("gs://bucket/folder", ("gs://other/media/",))) is Flaw.FORBIDDEN


def test_no_name_leads_out_of_a_whole_bucket() -> None:
    roots = Roots("gs://bucket")
    assert _objects("x/../a.jpg", roots) == ["gs://bucket/a.jpg"]
    for uri in ("../other/a.jpg", "x/../../other/a.jpg", "gs://bucket/../other/a.jpg"):
        assert _objects(uri, roots) == []


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


@pytest.mark.parametrize("swapped", ["media", "media/a.jpg"])
def test_what_is_swapped_for_a_link_during_the_run_is_never_read_outside(
    swapped: str, folders: Path, roots: Roots
) -> None:
    (folders / "private/a.jpg").write_bytes(b"forbidden")
    target = folders / "private" / swapped.removeprefix("media").strip("/")
    outcomes = collections.Counter[object]()
    with swaps.swapped_for_a_link(folders / "base" / swapped, target):
        for _ in range(20_000):
            try:
                outcomes[uris.fetch("media/a.jpg", roots, 100)] += 1
            except MediumError as error:
                outcomes[error.flaw] += 1
    assert outcomes.keys() == {b"a", Flaw.FORBIDDEN}


def test_a_watched_folder_that_is_swapped_for_a_link_is_no_base(folders: Path) -> None:
    (folders / "private/a.jpg").write_bytes(b"forbidden")
    roots = Roots(str(folders / "base/media"), watched=str(folders / "base"))
    assert uris.fetch("a.jpg", roots, 100) == b"a"
    outcomes = collections.Counter[object]()
    with swaps.swapped_for_a_link(folders / "base/media", folders / "private"):
        for _ in range(5_000):
            try:
                outcomes[uris.fetch("a.jpg", roots, 100)] += 1
            except MediumError as error:
                outcomes[error.flaw] += 1
    assert outcomes.keys() == {b"a", Flaw.FORBIDDEN}


def test_what_this_user_may_not_read_is_forbidden(folders: Path, roots: Roots) -> None:
    (folders / "base/media/a.jpg").chmod(0)
    (folders / "base/closed").mkdir()
    (folders / "base/closed/d.jpg").write_bytes(b"d")
    (folders / "base/entered").mkdir(mode=0o700)
    (folders / "base/entered/e.jpg").write_bytes(b"e")
    (folders / "base/closed").chmod(0)
    (folders / "base/entered").chmod(0o100)  # not to be listed, but to be entered
    with capabilities.permissions_hold():
        for name in ("media/a.jpg", "inside.jpg", "closed/d.jpg", "closed/../closed/d.jpg"):
            assert _flaw(name, roots) is Flaw.FORBIDDEN
        assert uris.fetch("entered/e.jpg", roots, 100) == b"e"
    assert uris.fetch("media/a.jpg", roots, 100) == b"a"


def test_a_failing_disk_is_no_flaw_of_the_record(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def failing(path: str, *flags: int, dir_fd: int | None = None) -> int:
        if path == "a.jpg":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return opened(path, *flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(OSError, match="Input/output error"):
        uris.fetch("media/a.jpg", roots, 100)
