"""Odd files in a watched folder: their content decides their kind, and each is read or reported."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import capabilities, media, swaps
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.streaming.folder import kinds
from triad_ml.pipelines.streaming.folder.source import Folder
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

SECRET = "root:CANARY:19000"
EVERY = 200
LINE = '{"id": "a", "text": "b"}\n'


def put(path: Path, content: bytes | str = LINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def watched(path: Path, media_files: bool = False, **more: object) -> Folder:
    return Folder(str(path), media_files, settle=0, **more)  # type: ignore[arg-type]


def given(folder: Folder) -> list[Part]:
    """All that a folder gives out."""
    parts: list[Part] = []
    while found := folder.poll():
        folder.done(found)
        parts += found
    assert folder.is_drained()
    return parts


def outcomes(folder: Folder, parts: list[Part]) -> list[RawRecord | Rejected]:
    return [outcome for item in folder.items(parts, ()) for outcome in item.read()]


def told(caplog: pytest.LogCaptureFixture, path: Path) -> dict[str, str]:
    """What the log says, by name; each name once."""
    lines = [message.removeprefix(f"{path}/") for message in caplog.messages]
    names = [line.partition(": ")[0] for line in lines]
    assert len(set(names)) == len(names)
    return dict(zip(names, (line.partition(": ")[2] for line in lines), strict=True))


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nobody may read through a link."""
    folder = tmp_path_factory.mktemp("outside")
    for suffix in (*sources_read.SUFFIXES, ".txt", ".jpg"):
        put(folder / f"shadow{suffix}", f"{SECRET}\nid,text\n{LINE}")
    return folder


def test_what_media_are_their_content_says_and_the_rest_is_rejected_or_told(tmp_path, caplog):
    for name in ("a.jpg", "b.jfif", "c.JPE", "d", "e.2024", "wrong.wav"):
        put(tmp_path / name, media.jpeg())
    for name in ("f.wav", "g.oga", "h", "i.opus"):
        put(tmp_path / name, media.wav())
    put(tmp_path / "p.ppm", b"P6 1 1 255\n\0\0\0")
    put(tmp_path / "tagged", b"ID3\4\0\0\0\0\0\0")
    put(tmp_path / "bm.txt", "BM or P6 or OggS may begin a text")
    put(tmp_path / "x.heic", b"\0\0\0\x18ftypheic")
    put(tmp_path / "y.m4a", b"\0\0\0\x18ftypM4A ")
    put(tmp_path / "empty.PNG", b"")
    for name in ("notes.md", "no-suffix", "records.jsonl", "nothing"):
        put(tmp_path / name, b"" if name == "nothing" else "# notes")
    folder = watched(tmp_path, media_files=True)
    found = {part.source: dict(part.media) for part in given(folder)}
    pictures = {name: {"image": name} for name in ("d", "e.2024")}
    pictures |= {"a": {"image": "a.jpg"}, "b": {"image": "b.jfif"}, "c": {"image": "c.JPE"}}
    pictures |= {"p": {"image": "p.ppm"}, "x": {"image": "x.heic"}, "wrong": {"image": "wrong.wav"}}
    sounds = {"f": {"audio": "f.wav"}, "g": {"audio": "g.oga"}, "i": {"audio": "i.opus"}}
    sounds |= {"h": {"audio": "h"}, "tagged": {"audio": "tagged"}, "y": {"audio": "y.m4a"}}
    other = {"bm": {"text": "bm.txt"}, "empty": {"image": "empty.PNG"}}
    assert found == pictures | sounds | other
    why = "not read: is neither a picture nor a sound, nor a text named .txt"
    names = ("no-suffix", "notes.md", "nothing", "records.jsonl")
    assert told(caplog, tmp_path) == dict.fromkeys(names, why)
    assert folder.load().passed_over == 4
    assert folder.load().behind == 0


def test_among_records_files_media_are_no_matter_and_other_names_are_told(tmp_path, caplog):
    for name in ("a.jsonl", "b.NDJSON", "c.Csv"):
        put(tmp_path / name)
    for name in ("media/x.jpg", "media/y.heic", "media/t.txt"):
        put(tmp_path / name, "of no matter")
    put(tmp_path / "media/0a1b2c", media.jpeg())
    for name in ("notes.md", "d.json", "e", ".hidden.csv", "_meta.csv", "f.csv.part", "g.csv~"):
        put(tmp_path / name)
    folder = watched(tmp_path)
    assert [part.source for part in given(folder)] == ["a.jsonl", "b.NDJSON", "c.Csv"]
    said = told(caplog, tmp_path)
    assert said.keys() == {"notes.md", "d.json", "e"}
    assert said["e"] == (
        "not read: is no records file, whose names end in .jsonl, .jsonl.gz, .ndjson, .ndjson.gz, "
        ".csv, .csv.gz, .parquet, .tfrecord, .tfrecord.gz; rename it"
    )


def test_what_is_told_is_told_once_and_again_when_it_was_gone_or_changed(tmp_path, caplog):
    put(tmp_path / "notes.md")
    folder = watched(tmp_path)
    for _ in range(3):
        folder.poll()
    assert len(caplog.messages) == 1
    (tmp_path / "notes.md").unlink()
    folder.poll()
    (tmp_path / "notes.md").symlink_to("notes.md")
    folder.poll()
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith("notes.md: not read: is a link in a circle")


def test_many_that_are_not_read_come_a_few_lines_a_look(tmp_path, caplog):
    most = kinds.TOLD_A_LOOK
    for number in range(most + 3):
        put(tmp_path / f"{number:03}.md")
    folder = watched(tmp_path)
    folder.poll()
    assert len(caplog.messages) == most + 1
    assert caplog.messages[-1] == f"{tmp_path}: 3 more like these; later looks tell them"
    caplog.clear()
    for _ in range(3):
        folder.poll()
    assert list(told(caplog, tmp_path)) == [f"{most + number:03}.md" for number in range(3)]
    assert folder.load().passed_over == most + 3


@pytest.mark.parametrize("suffix", sources_read.SUFFIXES)
def test_links_are_followed_inside_the_folder_and_never_out_of_it(
    suffix, tmp_path, outside, caplog
):
    put(tmp_path / f"sub/a{suffix}", of_format(suffix))
    (tmp_path / f"b{suffix}").symlink_to(f"sub/a{suffix}")
    (tmp_path / f"chain{suffix}").symlink_to(f"b{suffix}")
    (tmp_path / f"out{suffix}").symlink_to(outside / f"shadow{suffix}")
    (tmp_path / f"via{suffix}").symlink_to(f"out{suffix}")
    (tmp_path / "sub/folder").symlink_to(outside)
    (tmp_path / f"circle{suffix}").symlink_to(f"circle{suffix}")
    (tmp_path / f"nothing{suffix}").symlink_to("none")
    folder = watched(tmp_path)
    parts = given(folder)
    assert [part.source for part in parts] == [
        f"b{suffix}",
        f"chain{suffix}",
        f"sub/a{suffix}",
    ]
    assert SECRET not in repr(outcomes(folder, parts))
    out = "not read: is a link that leads out of the folder"
    assert told(caplog, tmp_path) == {
        f"out{suffix}": out,
        f"via{suffix}": out,
        "sub/folder": out,
        f"circle{suffix}": "not read: is a link in a circle",
        f"nothing{suffix}": "not read: is a link to nothing",
    }


def of_format(suffix: str) -> str:
    """Content that each reader either reads or refuses."""
    return "id,text\na,b\n" if suffix == ".csv" else LINE


@pytest.mark.parametrize("suffix", sources_read.SUFFIXES)
def test_a_file_that_became_a_link_after_it_was_given_out_is_not_read_outside(
    suffix, tmp_path, outside
):
    path = put(tmp_path / f"sub/a{suffix}", (outside / f"shadow{suffix}").read_bytes())
    folder = watched(tmp_path)
    parts = given(folder)
    for swapped, target in ((path, outside / f"shadow{suffix}"), (path.parent, outside)):
        swapped.rename(tmp_path / ".aside")
        swapped.symlink_to(target)
        (outside / f"a{suffix}").write_text(SECRET)
        found = outcomes(folder, parts)
        assert [type(one) for one in found] == [Rejected] * len(parts)
        assert all("leads out of the folders that may be read" in one.detail for one in found)
        assert folder.unchanged(parts) == ()
        swapped.unlink()
        (tmp_path / ".aside").rename(swapped)
    assert folder.unchanged(parts) == tuple(parts)


@pytest.mark.parametrize("swapped", ["sub", "sub/a.jsonl"])
def test_a_folder_that_is_swapped_all_the_time_gives_nothing_from_outside(
    swapped, tmp_path, outside
):
    put(tmp_path / "sub/a.jsonl", '{"id": "inside"}\n')
    put(outside / "a.jsonl", '{"id": "SECRET"}\n')
    folder = watched(tmp_path)
    parts = given(folder)
    target = outside / swapped.removeprefix("sub").strip("/")
    seen = set()
    with swaps.swapped_for_a_link(tmp_path / swapped, target):
        for _ in range(EVERY):
            seen.update(outcome.id for outcome in outcomes(folder, parts))
            listed = folder._disk.listing()
            assert {file.name for file in listed.files} <= {"sub/a.jsonl"}
            seen.update(part.source for part in watched(tmp_path).poll())
    assert seen == {"inside", f"{tmp_path}/sub/a.jsonl#0", "sub/a.jsonl"}


def test_links_to_media_may_lead_to_a_media_root(tmp_path, outside, caplog):
    (tmp_path / "in").mkdir()
    root = tmp_path / "pool"
    put(root / "x.jpg", media.jpeg())
    (tmp_path / "in/a.jpg").symlink_to(root / "x.jpg")
    (tmp_path / "in/b.jpg").symlink_to(outside / "shadow.jpg")
    folder = watched(tmp_path / "in", media_files=True, media_roots=(str(root), "gs://bucket/x"))
    assert [part.source for part in given(folder)] == ["a"]
    assert list(told(caplog, tmp_path / "in")) == ["b.jpg"]
    put(root / "r.csv", "id\nx\n")
    (tmp_path / "in/r.csv").symlink_to(root / "r.csv")  # for media, not for records
    assert given(watched(tmp_path / "in", media_roots=(str(root),))) == []


def test_what_is_no_file_is_told_and_hangs_nothing(tmp_path, caplog):
    os.mkfifo(tmp_path / "pipe.csv")
    os.mknod(tmp_path / "socket.csv", stat.S_IFSOCK | 0o600)
    (tmp_path / "deep").joinpath(*"d" * 70).mkdir(parents=True)
    (tmp_path / "folder.csv").mkdir()
    put(tmp_path / "a.csv")
    assert [part.source for part in given(watched(tmp_path))] == ["a.csv"]
    assert told(caplog, tmp_path) == {
        "pipe.csv": "not read: is neither a file nor a folder",
        "socket.csv": "not read: is neither a file nor a folder",
        "/".join(["deep", *"d" * 64]): "not read: lies below more than 64 folders",
    }


@pytest.mark.parametrize("media_files", [False, True])
def test_what_may_not_be_read_is_told_and_read_once_it_may(tmp_path, caplog, media_files):
    name = "a.txt" if media_files else "a.csv"
    put(tmp_path / name).chmod(0)
    put(tmp_path / "shut" / name)
    put(tmp_path / "listed" / name)
    (tmp_path / "shut").chmod(0)
    (tmp_path / "listed").chmod(0o400)
    put(tmp_path / "open" / name)
    folder = watched(tmp_path, media_files)
    with capabilities.permissions_hold():
        first = given(folder)
        again = given(folder)
    assert [part.source for part in first] == ["open/a" if media_files else "open/a.csv"]
    assert again == []
    why = "not read: this user may not read it; give it the right to"
    assert told(caplog, tmp_path) == dict.fromkeys((name, "listed", "shut"), why)
    assert folder.load().passed_over == 3
    for path in (tmp_path / name, tmp_path / "shut", tmp_path / "listed"):
        path.chmod(0o700)
    with capabilities.permissions_hold():
        assert len(given(folder)) == 3
    assert folder.load().passed_over == 0


def test_a_file_that_is_closed_after_it_was_given_out_is_rejected(tmp_path):
    path = put(tmp_path / "sub/a.jsonl")
    folder = watched(tmp_path)
    parts = given(folder)
    for closed in (path, path.parent):
        mode = closed.stat().st_mode
        closed.chmod(0)
        with capabilities.permissions_hold():
            assert folder.unchanged(parts) == tuple(parts)
            (outcome,) = outcomes(folder, parts)
        closed.chmod(mode)
        assert isinstance(outcome, Rejected)
        assert outcome.detail == (
            "unreadable from here on: cannot be read: Permission denied; "
            "check the path and the permissions"
        )


@pytest.fixture
def far_times() -> Iterator[Path]:
    """A folder of a file system that keeps the times of any year: ext4 ends in 2446."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.parametrize("media_files", [False, True])
def test_a_file_of_a_time_in_no_calendar_is_read_without_one(far_times, caplog, media_files):
    suffix = "txt" if media_files else "jsonl"
    for number, year in enumerate((-(2**40), -1, 0, 2**33, 2**38, 2**62)):
        os.utime(put(far_times / f"{number}.{suffix}"), (year, year))
    folder = watched(far_times, media_files)
    times = [part.event_time for part in given(folder)]
    assert times == [None, None, 0, 2**33 * 1000, None, None]
    why = "its time is none of the years 1970 to 9999: it is read, and its rows have no time"
    names = (f"{number}.{suffix}" for number in (0, 1, 4, 5))
    assert told(caplog, far_times) == dict.fromkeys(names, why)
    assert folder.load().passed_over == 0


def test_names_that_are_not_utf8_are_read_and_told_in_ascii(tmp_path, caplog):
    folder = os.fsencode(tmp_path) + b"/in\xff"
    os.mkdir(folder)
    for name in (b"caf\xe9.jsonl", b"a\nb.csv", b"\xfe.md"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(LINE.encode() + b"{\n")
    listed = watched(tmp_path)
    parts = given(listed)
    assert [part.source for part in parts] == ["in\udcff/a\nb.csv", "in\udcff/caf\udce9.jsonl"]
    place = f"file://{tmp_path}/in%FF/caf%E9.jsonl"
    record, broken = outcomes(listed, parts[1:])
    assert isinstance(record, RawRecord)
    assert isinstance(broken, Rejected)
    assert record.position == Position(place, 0, event_time=parts[1].event_time)
    assert broken.id == str(broken.position) == f"{place}#25"
    assert broken.reason == Reason.UNPARSABLE
    assert caplog.messages[0].startswith(f"file://{tmp_path}/in%FF/%FE.md: not read: ")


@pytest.mark.parametrize("suffix", sources_read.SUFFIXES)
def test_an_empty_file_is_rejected_where_its_format_has_a_header(tmp_path, suffix):
    put(tmp_path / f"a{suffix}", b"")
    folder = watched(tmp_path)
    found = outcomes(folder, given(folder))
    if suffix in (".jsonl", ".ndjson", ".tfrecord"):
        assert found == []
    else:
        (outcome,) = found
        assert isinstance(outcome, Rejected)
        assert outcome.id == f"{tmp_path}/a{suffix}#0"
        kind = suffix.replace(".ndjson", ".jsonl")
        assert outcome.detail == (
            f"unreadable from here on: is empty, and {kind} files never are; copy or write it "
            "again, or leave it out"
        )
