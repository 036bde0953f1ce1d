"""Watched folder as a source: selection, timing and repetition of the files that it delivers."""

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from triad_ml.pipelines.streaming.folder import items
from triad_ml.pipelines.streaming.folder import source as folder_
from triad_ml.pipelines.streaming.folder.items import MediaItem
from triad_ml.pipelines.streaming.folder.source import Folder
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected, Uri

NOW = 1_700_000_000.0


def put(path: Path, content: str = "{}\n", age: float = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (NOW - age, NOW - age))
    return path


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def names(parts: tuple[Part, ...]) -> list[str]:
    return [part.source for part in parts]


def test_records_files_are_given_out_once_in_order_and_others_never(tmp_path):
    for name in ("b.jsonl", "a.csv", "deep/c.tfrecord.gz", "x.md", ".h.jsonl", "_h/d.jsonl"):
        put(tmp_path / name)
    put(tmp_path / "e.jsonl.tmp")
    folder = Folder(str(tmp_path), clock=Clock())
    parts = folder.poll()
    assert names(parts) == ["a.csv", "b.jsonl", "deep/c.tfrecord.gz"]
    assert folder.poll() == parts  # not done yet
    folder.done(parts)
    assert folder.poll() == ()
    assert folder.is_drained()
    assert Folder(str(tmp_path), given=parts, clock=Clock()).poll() == ()


def test_a_file_waits_until_it_has_not_changed_for_a_while(tmp_path):
    clock = Clock()
    put(tmp_path / "young.jsonl", age=1)
    put(tmp_path / "future.jsonl", age=-500)
    folder = Folder(str(tmp_path), settle=2, clock=clock)
    assert folder.poll() == ()
    assert not folder.is_drained()
    clock.now += 1
    assert names(folder.poll()) == ["young.jsonl"]
    put(tmp_path / "future.jsonl", "{}\n{}\n", age=-500)
    clock.now += 1
    assert "future.jsonl" not in names(folder.poll())  # it changed meanwhile
    clock.now += 2
    assert "future.jsonl" in names(folder.poll())


def test_a_file_that_changes_is_given_out_again_and_its_old_version_is_no_more(tmp_path):
    path = put(tmp_path / "a.jsonl")
    folder = Folder(str(tmp_path), clock=Clock())
    (first,) = folder.poll()
    folder.done([first])
    put(path, "{}\n{}\n", age=50)
    (second,) = folder.poll()
    assert (second.source, second.stop) == ("a.jsonl", 6)
    assert folder.unchanged([first, second]) == (second,)
    path.unlink()
    assert folder.unchanged([second]) == ()


def test_parts_of_a_large_file_are_batches_of_their_own(tmp_path):
    put(tmp_path / "a.jsonl", "{}\n" * 10)
    put(tmp_path / "b.jsonl")
    put(tmp_path / "c.jsonl")
    folder = Folder(str(tmp_path), unit_records=5, clock=Clock())
    seen = []
    while parts := folder.poll():
        folder.done(parts)
        seen.append([(part.source, part.start, part.stop) for part in parts])
    assert seen == [
        [("a.jsonl", 0, 15)],
        [("a.jsonl", 15, 30)],
        [("b.jsonl", 0, 3), ("c.jsonl", 0, 3)],
    ]


def put_gz(path: Path, content: str) -> Path:
    path.write_bytes(gzip.compress(content.encode(), mtime=0))
    os.utime(path, (NOW - 100, NOW - 100))
    return path


ROWS = "id,text\n" + "".join(f"r{n},text {n}\n" for n in range(12)) + '"r12'


def ids(folder: Folder, parts: Sequence[Part]) -> list[str]:
    """What the parts give: ids, and `rejected` where a record is."""
    outcomes = [outcome for item in folder.items(parts, ()) for outcome in item.read()]
    return [one.id if isinstance(one, RawRecord) else "rejected" for one in outcomes]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_file_that_is_read_from_its_beginning_is_cut_by_records(tmp_path, name):
    if name.endswith(".gz"):
        put_gz(tmp_path / name, ROWS)
    else:
        put(tmp_path / name, ROWS)
    folder = Folder(str(tmp_path), unit_records=5, clock=Clock())
    batches, seen = [], []
    while parts := folder.poll():
        batches.append(parts)
        seen.append(ids(folder, parts))
        folder.done(parts)
    everything = [*(f"r{n}" for n in range(12)), "rejected"]
    assert seen == [everything[:5], everything[5:10], everything[10:]]
    ranges = [(part.start, part.stop, part.counted) for (part,) in batches]
    assert ranges == [(0, 5, True), (5, 10, True), (10, 13, True)]
    # In any order, again and again, and after a restart: a part is what it was.
    again = Folder(str(tmp_path), unit_records=5, given=batches[0], clock=Clock())
    for number in (2, 0, 0, 1, 2):
        assert ids(again, batches[number]) == seen[number]
    assert again.poll() == batches[1]


def test_a_file_that_is_read_from_its_beginning_is_cut_by_bytes(tmp_path, monkeypatch):
    put(tmp_path / "a.csv", "id,text\n" + "".join(f"r{n},{'x' * 600}\n" for n in range(5)))
    whole = Folder(str(tmp_path), clock=Clock()).poll()
    cut = items.cut(str(tmp_path), whole[0], unit_records=100, unit_bytes=1000)
    assert [(part.start, part.stop) for part in cut.parts] == [(0, 2), (2, 4), (4, 5)]
    assert whole == (Part("a.csv", 0, whole[0].stop, whole[0].version, whole[0].event_time),)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_batch_of_many_small_files_closes_by_records(tmp_path, kind):
    for number in range(5):
        path = tmp_path / f"{number}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.table({"id": ["a", "b"]}), path)
            os.utime(path, (NOW - 100, NOW - 100))
        else:
            put(path, "id\na\nb\n" if kind == "csv" else '{"id": "a"}\n{"id": "b"}\n')
    folder = Folder(str(tmp_path), unit_records=4, clock=Clock())
    seen = []
    while parts := folder.poll():
        folder.done(parts)
        seen.append(len(parts))
    assert seen == [2, 2, 1]


def test_a_file_that_changes_while_it_is_counted_waits(tmp_path, monkeypatch):
    path = put(tmp_path / "a.csv", "id\na\n")
    folder = Folder(str(tmp_path), clock=Clock())
    listed = folder._disk.listing()
    put(path, "id\na\nb\n")
    monkeypatch.setattr(folder._disk, "listing", lambda: listed)
    assert folder.poll() == ()
    assert not folder.is_drained()
    monkeypatch.undo()
    assert ids(folder, folder.poll()) == ["a", "b"]


def test_other_batch_sizes_after_a_restart_skip_nothing(tmp_path):
    put(tmp_path / "a.jsonl", "{}\n" * 10)
    first = Folder(str(tmp_path), unit_records=4, clock=Clock()).poll()
    again = Folder(str(tmp_path), unit_records=6, given=first, clock=Clock()).poll()
    assert (first[0].start, again[0].start) == (0, 0)
    assert again[0].stop > first[0].stop


def test_parts_of_files_that_are_there_are_remembered_and_the_last_ones_of_others(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(folder_, "REMEMBERED", 2)
    for name in "abcdef":
        put(tmp_path / f"{name}.jsonl")
    folder = Folder(str(tmp_path), clock=Clock())
    given = folder.poll()
    folder.done(given)
    for name in "bcd":
        (tmp_path / f"{name}.jsonl").unlink()
    put(tmp_path / "e.jsonl", "{}\n{}\n", age=50)  # another version: the old one is gone
    kept = folder.needed(given)
    assert names(kept) == ["a.jsonl", "d.jsonl", "e.jsonl", "f.jsonl"]
    assert names(folder.poll()) == ["e.jsonl"]
    for name in "bd":  # they come back as they were
        put(tmp_path / f"{name}.jsonl")
    assert names(folder.poll()) == ["b.jsonl", "e.jsonl"]
    assert names(Folder(str(tmp_path), given=kept, clock=Clock()).poll()) == ["b.jsonl", "e.jsonl"]


def test_media_files_of_one_name_are_one_part_and_a_second_picture_its_own(tmp_path):
    for name in ("one.jpg", "one.wav", "one.PNG", "deep/two.txt", "two.jsonl"):
        put(tmp_path / name)
    folder = Folder(str(tmp_path), media_files=True, clock=Clock())
    parts = folder.poll()
    assert [(part.source, part.media) for part in parts] == [
        ("deep/two", {"text": "deep/two.txt"}),
        ("one", {"image": "one.PNG", "audio": "one.wav"}),
        ("one.jpg", {"image": "one.jpg"}),
    ]
    assert folder.unchanged(parts) == parts
    time = int(NOW - 100) * 1000
    assert [list(item.read()) for item in folder.items(parts, ())][1] == [
        RawRecord(
            "one",
            Position(f"{tmp_path}/one", 0, event_time=time),
            Uri("one.PNG"),
            Uri("one.wav"),
        )
    ]


def test_a_name_that_cannot_be_an_id_is_rejected(tmp_path):
    part = Part("a\nb", 0, 1, "v", 5, {"image": "a\nb.jpg"})
    (outcome,) = MediaItem(str(tmp_path), part).read()
    assert isinstance(outcome, Rejected)
    assert outcome.reason == Reason.INVALID_ID
    assert outcome.position == Position(f"file://{tmp_path}/a%0Ab", 0, event_time=5)


def test_a_source_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(OptionsError, match="--source: .*: is no folder; make it, or name another"):
        Folder(str(tmp_path / "none"))
    put(tmp_path / "a.jsonl")
    for name in ("a.jsonl", "*.jsonl"):
        with pytest.raises(
            OptionsError, match=f"a folder is watched; name it: --source {tmp_path}$"
        ):
            Folder(str(tmp_path / name))


def test_a_folder_that_is_told_what_it_gave_gives_all_else_again(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        put(tmp_path / name)
    folder = Folder(str(tmp_path), clock=Clock())
    first, second = folder.poll()
    folder.done((first, second))
    assert folder.poll() == ()
    folder.remember([first])
    assert folder.poll() == (second,)


def test_an_empty_file_of_a_format_that_has_none_is_one_rejected_record(tmp_path):
    for name in ("a.parquet", "b.csv", "c.jsonl.gz", "d.jsonl"):
        put(tmp_path / name, "")
    put(tmp_path / "e.jsonl", '{"id": "r1"}\n')
    folder = Folder(str(tmp_path), clock=Clock())
    parts = folder.poll()
    outcomes = [one for item in folder.items(parts, ()) for one in item.read()]
    assert [one.detail for one in outcomes if isinstance(one, Rejected)] == [
        f"unreadable from here on: is empty, and {kind} files never are; copy or write it again, "
        "or leave it out"
        for kind in (".parquet", ".csv", ".jsonl.gz")
    ]
    assert outcomes[-1].id == "r1"


def test_a_table_without_rows_gives_no_record(tmp_path):
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "a.parquet")
    os.utime(tmp_path / "a.parquet", (NOW - 100, NOW - 100))
    folder = Folder(str(tmp_path), clock=Clock())
    assert ids(folder, folder.poll()) == []
