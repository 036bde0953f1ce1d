"""Listing of input files, and their division into units of work."""

import gzip
import os
import random
import re
import socket
from pathlib import Path

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies

from tests import records
from triad_ml.pipelines.sources import files, units
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources.columnar import footer
from triad_ml.pipelines.sources.units import Unit
from triad_ml.transforms.errors import OptionsError, StorageError, TriadError
from triad_ml.transforms.records.values import RawRecord


def jsonl(path: Path, count: int = 3) -> Path:
    return records.write_lines(path, [{"id": f"r{index}"} for index in range(count)])


def lines_of(*ids: str, end: bytes = b"\n") -> bytes:
    return b"".join(b'{"id":"%s"}' % one.encode() + end for one in ids)


def ids_and_offsets(unit: Unit) -> list[tuple[str, int]]:
    found = []
    for record in sources_read.read(unit, ()):
        assert isinstance(record, RawRecord)
        assert record.position.unit == unit.index
        found.append((record.id, record.position.offset))
    return found


def test_inputs_are_sorted_and_each_file_is_listed_once(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c.csv"):
        jsonl(tmp_path / name)
    patterns = [f"{tmp_path}/*.jsonl", f"{tmp_path}/b.jsonl", f"{tmp_path}/./c.csv"]
    listed = units.list_inputs(patterns)
    assert [file.uri for file in listed] == [
        f"{tmp_path}/{n}" for n in ("a.jsonl", "b.jsonl", "c.csv")
    ]
    assert {file.size for file in listed} == {len(b'{"id": "r0"}\n') * 3}


@pytest.mark.parametrize("suffix", [".ndjson", ".NDJSON", ".ndjson.gz"])
def test_ndjson_is_another_name_of_json_lines(tmp_path, suffix):
    content = lines_of("a", "b", "c")
    compressed = suffix.endswith(".gz")
    (tmp_path / f"x{suffix}").write_bytes(gzip.compress(content) if compressed else content)
    planned = units.plan(units.list_inputs([f"{tmp_path}/*"]), unit_records=2)
    assert len(planned) == (1 if compressed else 2)
    read = [record.id for unit in planned for record in sources_read.read(unit, ())]
    assert read == ["a", "b", "c"]


def test_a_double_star_reaches_folders_below(tmp_path):
    jsonl(tmp_path / "x" / "y" / "a.jsonl")
    assert [f.uri for f in units.list_inputs([f"{tmp_path}/**.jsonl"])] == [
        f"{tmp_path}/x/y/a.jsonl"
    ]


@pytest.mark.parametrize("name", ["[a].jsonl", "été.jsonl", "two words.JSONL"])
def test_a_file_that_exists_is_taken_by_its_name(tmp_path, name):
    path = jsonl(tmp_path / name)
    assert [file.uri for file in units.list_inputs([str(path)])] == [str(path)]


def test_every_spelling_of_a_path_is_one_input(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "records" / "a.jsonl")
    (tmp_path / "records" / "same.jsonl").symlink_to("a.jsonl")
    (tmp_path / "linked").symlink_to("records")
    monkeypatch.chdir(tmp_path)
    (expected,) = units.list_inputs([str(path)])
    assert (expected.uri, files.folder(expected.uri)) == (str(path), str(path.parent))
    spellings = (
        "records/a.jsonl",
        "./records/../records//a.jsonl",
        "records/*.jsonl",
        "records/same.jsonl",
        "linked/a.jsonl",
        f"{tmp_path}/linked/s*.jsonl",
    )
    for spelling in spellings:
        assert units.list_inputs([spelling]) == (expected,), spelling
    assert units.list_inputs(spellings) == (expected,)


def test_a_link_to_another_folder_is_a_file_of_its_own_folder(tmp_path):
    path = jsonl(tmp_path / "archive" / "a.jsonl")
    (tmp_path / "today.jsonl").symlink_to(path)
    (linked,) = units.list_inputs([f"{tmp_path}/today.jsonl"])
    assert (linked.uri, files.folder(linked.uri)) == (f"{tmp_path}/today.jsonl", str(tmp_path))
    both = units.list_inputs([f"{tmp_path}/today.jsonl", str(path)])
    assert [file.uri for file in both] == [str(path)]


def test_a_name_that_is_not_utf8_is_a_file_uri_and_is_read(tmp_path):
    name = os.fsdecode(b"caf\xe9 %.jsonl")
    path = jsonl(tmp_path / name, count=2)
    (listed,) = units.list_inputs([f"{tmp_path}/*"])
    assert listed.uri == f"file://{tmp_path}/caf%E9%20%25.jsonl"
    assert files.folder(listed.uri) == str(tmp_path)
    assert units.list_inputs([str(path)]) == (listed,)
    assert not units.changed([listed])
    found = [one for unit in units.plan([listed]) for one in sources_read.read(unit, ())]
    assert [(one.id, str(one.position)) for one in found] == [
        ("r0", f"{listed.uri}#0"),
        ("r1", f"{listed.uri}#13"),
    ]


def test_a_pipe_a_socket_and_a_device_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "b.jsonl"))
    (tmp_path / "c.jsonl").symlink_to("/dev/null")
    for name, kind in (("a", "a pipe"), ("b", "a socket"), ("c", "a device")):
        path = f"{tmp_path}/{name}.jsonl"
        with pytest.raises(OptionsError, match=f"{path}: is {kind}, no file"):
            units.list_inputs([path])


@pytest.mark.parametrize("target", ["nowhere.jsonl", "a.jsonl"])
def test_a_link_that_leads_nowhere_is_an_error_that_names_it(tmp_path, target):
    (tmp_path / "a.jsonl").symlink_to(target)
    with pytest.raises(TriadError, match=r"a\.jsonl"):
        units.list_inputs([f"{tmp_path}/a.jsonl"])


@pytest.mark.parametrize(
    ("uri", "folder"),
    [("a/b.jsonl", "a"), ("/a/b/c.csv", "/a/b"), ("gs://bucket/x/y.parquet", "gs://bucket/x")],
)
def test_media_are_relative_to_the_folder_of_the_records(uri, folder):
    assert files.folder(uri) == folder


def test_a_pattern_without_a_file_is_refused(tmp_path):
    with pytest.raises(OptionsError, match=re.escape(f"{tmp_path}/*.jsonl: no file matches")):
        units.list_inputs([f"{tmp_path}/*.jsonl"])


def test_a_pattern_without_a_file_is_answered_with_one_that_has_some(tmp_path, monkeypatch):
    for name in ("2026-11-23.jsonl", "2026-11-24.jsonl", "c.csv"):
        records.store(tmp_path / "of today" / name, b"")
    with pytest.raises(OptionsError, match=re.escape(f", such as '{tmp_path}/of today/*.jsonl'")):
        units.list_inputs([f"{tmp_path}/of today/*.json"])
    monkeypatch.chdir(tmp_path / "of today")
    with pytest.raises(OptionsError, match=re.escape(", such as '*.jsonl'")):
        units.list_inputs(["*.json"])


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.xml").write_text("<a/>")
    with pytest.raises(
        OptionsError, match=r"a\.xml: the format is not known.*\.jsonl, .*\.parquet"
    ):
        units.list_inputs([f"{tmp_path}/*"])


def test_an_unknown_scheme_is_refused():
    with pytest.raises(OptionsError, match="http:// is not read"):
        units.list_inputs(["http://example.org/a.jsonl"])


def test_the_version_stays_while_the_file_does(tmp_path):
    path = str(jsonl(tmp_path / "a.jsonl"))
    assert units.list_inputs([path]) == units.list_inputs([path])


def test_the_version_changes_with_the_content_even_where_size_and_time_do_not(tmp_path):
    path = records.write_lines(tmp_path / "a.jsonl", [{"id": "a"}])
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    (before,) = units.list_inputs([str(path)])
    records.write_lines(path, [{"id": "b"}])
    os.utime(path, ns=times)
    (after,) = units.list_inputs([str(path)])
    assert before.size == after.size
    assert before.version != after.version


def test_the_version_changes_with_the_time_of_change(tmp_path):
    path = jsonl(tmp_path / "a.jsonl")
    (before,) = units.list_inputs([str(path)])
    os.utime(path, ns=(1, 1))
    assert units.list_inputs([str(path)])[0].version != before.version


def test_jsonl_is_cut_by_bytes_and_the_rest_stays_whole(tmp_path):
    examples = records.examples(40)
    names = ("a.jsonl", "b.jsonl.gz", "c.csv", "d.csv.gz")
    inputs = units.list_inputs([str(records.write(tmp_path / name, examples)) for name in names])
    planned = units.plan(inputs, unit_bytes=inputs[0].size // 2 + 1)
    cut = inputs[0].size // 2
    assert [(Path(unit.uri).name, unit.start, unit.stop) for unit in planned] == [
        ("a.jsonl", 0, cut),
        ("a.jsonl", cut, inputs[0].size),
        *((name, 0, file.size) for name, file in zip(names[1:], inputs[1:], strict=True)),
    ]
    assert [unit.index for unit in planned] == list(range(5))
    assert planned == units.plan(inputs, unit_bytes=inputs[0].size // 2 + 1)


def test_jsonl_is_cut_by_its_estimated_number_of_records(tmp_path):
    path = records.write_lines(tmp_path / "a.jsonl", [{"id": f"r{n:05d}"} for n in range(10_000)])
    planned = units.plan(units.list_inputs([str(path)]), unit_records=1000)
    assert [len(list(sources_read.read(unit, ()))) for unit in planned] == [1000] * 10


def test_parquet_is_cut_at_row_groups(tmp_path):
    path = records.write(tmp_path / "a.parquet", records.examples(10), row_group_size=2)
    inputs = units.list_inputs([str(path)])
    by_records = units.plan(inputs, unit_records=5)
    assert [(unit.start, unit.stop) for unit in by_records] == [(0, 4), (4, 8), (8, 10)]
    with path.open("rb") as file:
        largest = max(group.bytes for group in footer.read(file).groups)
    by_bytes = units.plan(inputs, unit_bytes=largest)
    assert [(unit.start, unit.stop) for unit in by_bytes] == [(2 * n, 2 * n + 2) for n in range(5)]
    assert [(unit.start, unit.stop) for unit in units.plan(inputs)] == [(0, 10)]


def test_a_file_that_only_claims_to_be_parquet_is_refused(tmp_path):
    inputs = units.list_inputs([str(jsonl(tmp_path / "a.parquet"))])
    with pytest.raises(OptionsError, match=r"a\.parquet: is no Parquet file"):
        units.plan(inputs)


@pytest.mark.parametrize("name", ["a.jsonl", "a.tfrecord"])
def test_an_empty_file_has_no_unit(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert units.plan(units.list_inputs([f"{tmp_path}/*"])) == ()


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl.gz", "a.csv.gz", "a.tfrecord.gz"])
def test_an_empty_file_of_a_format_that_has_none_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(OptionsError, match=f"{name}: is empty.*copy or write it again"):
        units.list_inputs([f"{tmp_path}/*"])


def test_a_table_without_rows_has_no_unit(tmp_path):
    path = records.write_table(tmp_path / "a.parquet", {"id": pa.array([], pa.string())})
    assert units.plan(units.list_inputs([str(path)])) == ()


def test_a_row_group_of_many_rows_is_cut_by_rows(tmp_path):
    ids = {"id": pa.array([f"r{n}" for n in range(10)])}
    path = records.write_table(tmp_path / "a.parquet", ids)
    planned = units.plan(units.list_inputs([str(path)]), unit_records=4)
    assert [(unit.start, unit.stop) for unit in planned] == [(0, 3), (3, 6), (6, 10)]
    expected = [[(f"r{n}", n) for n in range(unit.start, unit.stop)] for unit in planned]
    assert [ids_and_offsets(unit) for unit in planned] == expected
    assert [ids_and_offsets(unit) for unit in reversed(planned)] == expected[::-1]


def test_a_row_group_of_many_bytes_beside_its_media_is_cut_by_rows(tmp_path):
    ids = [f"r{n}" for n in range(10)]
    large = [random.Random(n).randbytes(3000) for n in range(10)]
    for name, count in (("note", 4), ("image", 1)):
        path = records.write_table(tmp_path / f"{name}.parquet", {"id": ids, name: large})
        planned = units.plan(units.list_inputs([str(path)]), unit_bytes=10_000)
        assert len(planned) == count
        read = [one for unit in planned for one in sources_read.read(unit, ())]
        assert [one.id for one in read] == ids


def test_runs_of_one_value_are_cut_by_rows(tmp_path):
    path = records.write_table(tmp_path / "a.parquet", {"id": pa.array(["a"] * 300_000)})
    assert path.stat().st_size < 2000
    planned = units.plan(units.list_inputs([str(path)]))
    assert max(unit.stop - unit.start for unit in planned) <= units.UNIT_RECORDS
    assert sum(unit.stop - unit.start for unit in planned) == 300_000


def test_more_rows_than_bytes_can_mean_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(footer, "ROWS_FREE", 1000)
    monkeypatch.setattr(footer, "ROWS_RATIO", 10)
    path = records.write_table(tmp_path / "a.parquet", {"id": pa.nulls(300_000, pa.int8())})
    with pytest.raises(OptionsError, match="claims 300000 rows in"):
        units.plan(units.list_inputs([str(path)]))


@pytest.mark.parametrize("limit", ["unit_bytes", "unit_records"])
def test_limits_must_be_positive(limit):
    with pytest.raises(OptionsError, match=f"{limit} must be positive, got 0"):
        units.plan((), **{limit: 0})


def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path):
    path = jsonl(tmp_path / "a.jsonl")
    inputs = units.list_inputs([str(path)])
    path.unlink()
    with pytest.raises(StorageError, match=r"a\.jsonl: cannot be read: No such file"):
        units.plan(inputs)


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(
    widths=strategies.lists(strategies.integers(0, 40), max_size=12),
    ends=strategies.lists(
        strategies.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \r\n"]), min_size=12
    ),
    last_has_end=strategies.booleans(),
    unit_bytes=strategies.integers(1, 200),
)
def test_each_line_is_read_once_whatever_the_cuts(
    tmp_path_factory, widths, ends, last_has_end, unit_bytes
):
    ids = [f"{index}-" + "x" * width for index, width in enumerate(widths)]
    content, expected = b"", []
    for index, one in enumerate(ids):
        expected.append((one, len(content)))
        content += lines_of(one, end=ends[index])
    if not last_has_end:
        content = content.rstrip(b"\r\n ")
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    path.write_bytes(content)
    planned = units.plan(units.list_inputs([str(path)]), unit_bytes=unit_bytes)
    assert [found for unit in planned for found in ids_and_offsets(unit)] == expected
    assert sum(unit.stop - unit.start for unit in planned) == len(content)
