"""Parquet reader: column types, and values that Python cannot hold."""

import base64
import datetime
import gc
import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import records
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.columnar import pages, thrift
from triad_ml.transforms.errors import OptionsError, TriadError
from triad_ml.transforms.records.values import BrokenMedium, RawRecord, Reason, Rejected, Uri

BAD = pa.Array.from_buffers(  # strings of which the second is not UTF-8
    pa.string(),
    3,
    [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"x\xffz")],
)


def table(tmp_path: Path, *labels: str, **columns: Any) -> list[RawRecord | Rejected]:
    return records.read(records.write_table(tmp_path / "a.parquet", columns), *labels)


def one(tmp_path: Path, *labels: str, **columns: Any) -> RawRecord:
    (only,) = table(tmp_path, *labels, **({"id": ["a"]} | columns))
    assert isinstance(only, RawRecord), only
    return only


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a"], "a"),
        ([7], "7"),
        ([b"a"], "a"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array(["a"], pa.large_string()), "a"),
    ],
)
def test_ids_may_be_strings_whole_numbers_or_utf8_bytes(tmp_path, ids, expected):
    assert one(tmp_path, id=ids).id == expected


@pytest.mark.parametrize(
    "ids", [[None], [1.5], [b"\xff"], [[1]], [datetime.date(2026, 1, 1)], [""], [True]]
)
def test_other_ids_are_rejected_by_their_position(tmp_path, ids):
    (found,) = table(tmp_path, id=ids, text=["x"])
    assert isinstance(found, Rejected)
    assert (found.reason, found.id) == (Reason.INVALID_ID, f"{tmp_path}/a.parquet#0")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([b"\x00\xff"], b"\x00\xff"),
        (pa.array([b"\x00\xff"], pa.large_binary()), b"\x00\xff"),
        (pa.array([b"\x00\xff"], pa.binary(2)), b"\x00\xff"),
        ([b""], None),
        (pa.array([None], pa.binary()), None),
        (pa.nulls(1), None),
        (["1.png"], Uri("1.png")),
        ([{"bytes": b"\xff", "path": "1.png"}], b"\xff"),
        ([{"bytes": None, "path": "1.png"}], Uri("1.png")),
        ([7], BrokenMedium("a number where a medium should be")),
        ([[b"\xff"]], BrokenMedium("a list where a medium should be")),
    ],
)
def test_pictures_and_sounds_are_bytes_or_uris(tmp_path, column, expected):
    found = one(tmp_path, image=column, audio=column)
    assert (found.image, found.audio) == (expected, expected)


def test_a_text_is_a_string_or_bytes(tmp_path):
    assert one(tmp_path, text=["é"]).text == "é".encode()
    assert one(tmp_path, text=[b"\xff"]).text == b"\xff"


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([{"category": "x", "n": 2}]),
        pa.array([[("category", "x")]], pa.map_(pa.string(), pa.string())),
    ],
)
def test_labels_may_be_a_struct_or_a_map(tmp_path, labels):
    assert one(tmp_path, labels=labels).labels["category"] == "x"


def test_labels_may_be_columns(tmp_path):
    columns = {"category": [b"x"], "labels.tags": [["a", "b"]], "n": [1]}
    found = one(tmp_path, "category", **columns)
    assert (found.labels, found.extra) == ({"category": "x", "tags": ["a", "b"]}, {"n": 1})


def test_other_columns_pass_through_as_python_values(tmp_path):
    at = datetime.datetime(2026, 11, 24, 12, 0, 0, 5)
    found = one(tmp_path, at=[at], nested=[{"x": [1, None]}], raw=[b"\xff"], flag=[True])
    assert found.extra == {"at": at, "nested": {"x": [1, None]}, "raw": b"\xff", "flag": True}


def test_times_finer_than_python_has_them_pass_through_whole(tmp_path):
    found = one(
        tmp_path,
        at=pa.array([1_000_000_001], pa.timestamp("ns")),
        took=pa.array([1_000_000_001], pa.duration("ns")),
    )
    assert found.extra == {"at": "1970-01-01T00:00:01.000000001", "took": "PT1.000000001S"}


def test_strings_that_are_not_utf8_refuse_only_what_they_are_in(tmp_path):
    ids = ["a", "b", "c"]
    in_text, in_image = table(tmp_path, id=ids, text=BAD), table(tmp_path, id=ids, image=BAD)
    assert [r.text for r in in_text if isinstance(r, RawRecord)] == [b"x", b"\xff", b"z"]
    assert [r.image for r in in_image if isinstance(r, RawRecord)] == [
        Uri("x"),
        BrokenMedium("a URI that is not UTF-8"),
        Uri("z"),
    ]
    for elsewhere in ({"n": BAD}, {"n": pa.StructArray.from_arrays([BAD], ["m"])}):
        found = table(tmp_path, id=ids, **elsewhere)
        assert [type(outcome) for outcome in found] == [RawRecord, Rejected, RawRecord]
        assert [outcome.id for outcome in found] == ids


def test_a_bad_id_of_many_is_rejected_alone(tmp_path):
    found = table(tmp_path, id=BAD, text=["1", "2", "3"])
    assert [type(outcome) for outcome in found] == [RawRecord, Rejected, RawRecord]


def test_the_digest_of_a_rejected_row_depends_on_its_values_alone(tmp_path):
    found = table(tmp_path, id=["", "", ""], text=["x", "x", "y"])
    first, second, third = [r.payload_digest for r in found if isinstance(r, Rejected)]
    assert first == second != third


def test_rows_are_read_in_batches_of_bounded_bytes(tmp_path):
    images = [bytes(2**20)] * 40
    path = records.write_table(
        tmp_path / "a.parquet",
        {"id": list(range(40)), "image": images},
        use_dictionary=False,
        write_batch_size=4,
    )
    before = pa.total_allocated_bytes()
    (unit,) = units.plan(units.list_inputs([str(path)]))
    held = [pa.total_allocated_bytes() - before for _ in sources_read.read(unit, ())]
    assert len(held) == 40
    assert max(held) < 36 * 2**20


@pytest.mark.parametrize("damage", ["header", "page"])
def test_a_damaged_file_fails_the_run(tmp_path, damage):
    path = records.write_table(
        tmp_path / "a.parquet", {"id": ["a" * 1000]}, compression="zstd", use_dictionary=False
    )
    (unit,) = units.plan(units.list_inputs([str(path)]))
    stored = bytearray(path.read_bytes())
    if damage == "header":
        stored[-4:] = b"XXXX"
    else:
        stored[4:40] = bytes(36)
    path.write_bytes(stored)
    with pytest.raises(OptionsError, match=r"a\.parquet: is damaged or no Parquet file"):
        list(sources_read.read(unit, ()))


def test_a_table_without_ids_fails_the_run(tmp_path):
    with pytest.raises(OptionsError, match="none of its 2 columns is named id, found: key, text"):
        table(tmp_path, key=["a"], text=["x"])


def test_two_columns_of_one_name_fail_the_run(tmp_path):
    path = tmp_path / "a.parquet"
    doubled = pa.Table.from_arrays([pa.array(["a"])] * 3, ["id", "text", "text"])
    pa.parquet.write_table(doubled, path)
    with pytest.raises(OptionsError, match="columns 2 and 3 have the same name"):
        records.read(path)


def lists_of_nulls(count: int) -> pa.ListArray:
    """Two rows, of which the first has so many values in a run of a few bytes."""
    edges = pa.array([0, count, count], pa.int32())
    return pa.ListArray.from_arrays(edges, pa.nulls(count, pa.int8()))


def compressed(tmp_path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = tmp_path / "a.parquet"
    return records.write_table(path, columns, compression="zstd", **options)


def test_pages_that_unpack_to_too_much_refuse_the_rows_of_their_group_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "PAGES_BYTES", 50_000_000)
    big = pa.array([bytes(12_000_000)])
    schema = pa.schema([("id", pa.string()), *((f"c{n}", pa.binary()) for n in range(5))])
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for name, column in (("a", big), ("b", pa.array([b"x"])), ("c", big)):
            writer.write_table(pa.table([pa.array([name]), *[column] * 5], schema=schema))
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    first, second, third = records.read(path)
    assert pa.total_allocated_bytes() - before < 2**20
    assert isinstance(second, RawRecord)
    for refused in (first, third):
        assert isinstance(refused, Rejected)
        assert refused.reason == Reason.TOO_LARGE
        assert "the largest pages of its row group take 600000" in refused.detail


def test_a_text_to_which_many_rows_refer_is_unpacked_a_few_at_a_time(tmp_path):
    index = pa.array(np.zeros(2000, np.int32))
    note = pa.DictionaryArray.from_arrays(index, ["x" * 900_000])
    path = compressed(tmp_path, {"id": list(map(str, range(2000))), "note": note})
    assert path.stat().st_size < 20_000
    before = pa.total_allocated_bytes()
    (unit,) = units.plan(units.list_inputs([str(path)]))
    held = [pa.total_allocated_bytes() - before for _ in sources_read.read(unit, ())]
    assert len(held) == 2000
    assert max(held) < 64 * 2**20


def test_a_row_of_too_many_values_is_refused_alone(tmp_path):
    path = compressed(tmp_path, {"id": ["a", "b"], "v": lists_of_nulls(2_000_000)})
    assert path.stat().st_size < 2000
    first, second = records.read(path)
    assert isinstance(first, Rejected)
    assert first.detail == "the row has 2000000 values, over 1000000"
    assert isinstance(second, RawRecord)


def test_lists_that_unpack_to_too_much_refuse_the_rows_of_their_group(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LIST_BYTES", 10_000_000)
    found = records.read(compressed(tmp_path, {"id": ["a", "b"], "v": lists_of_nulls(2_000_000)}))
    assert [type(one) for one in found] == [Rejected, Rejected]
    assert "the lists of its row group take 16000008 bytes, over 10000000" in found[0].detail


def test_a_row_of_texts_that_unpack_to_too_much_is_refused(tmp_path):
    count = 500_000
    refers = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["x" * 100_000])
    values = pa.ListArray.from_arrays(pa.array([0, count, count], pa.int32()), refers)
    first, second = table(tmp_path, id=["a", "b"], v=values)
    assert isinstance(first, Rejected)
    assert first.detail.startswith("the row takes 50000000")
    assert isinstance(second, RawRecord)


def test_a_table_of_too_many_columns_is_refused(tmp_path):
    with pytest.raises(OptionsError, match="has 1001 columns, over 1000"):
        table(tmp_path, id=["a"], **{f"c{n}": [n] for n in range(1000)})


def test_columns_nested_too_deep_are_refused_before_arrow_follows_them(tmp_path):
    root, column = b"\x48\x01r\x15\x02\0", b"\x35\x02\x18\x01a\x15\x02\0"
    levels = 100_000
    count = bytes([0xFC, 0x80 | (levels + 1) & 127, 0x80 | (levels + 1) >> 7 & 127, levels >> 14])
    footer = b"\x15\x02\x19" + count + root + column * levels + b"\x16\0\x19\x0c\0"
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(OptionsError, match="is no Parquet file: it has 100001 columns"):
        records.read(path)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b"\x99\xfc\x88\x27" + bytes(5000), "a header has over 1000 structs and lists"),
        (b"\x99\xf9\x88\x27" + b"\x05" * 5000, "a header has over 1000 structs and lists"),
        (b"\x15\0" * 40_000, "a header has more fields than the format knows"),
        (b"\x05\xff\xff\x7f\0" * 2, "a header has more fields than the format knows"),
    ],
    ids=["structs", "lists", "fields", "far fields"],
)
def test_a_footer_of_a_byte_for_each_of_very_many_things_is_refused(
    tmp_path, monkeypatch, fields, why
):
    monkeypatch.setattr(thrift, "MOST_CONTAINERS", 1000)
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + fields + b"\0" + (len(fields) + 1).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(OptionsError, match=f"is no Parquet file: {why}"):
        records.read(path)


def test_flipped_bytes_end_in_records_or_an_error_that_names_the_file(tmp_path):
    rng = random.Random(0)
    examples = records.examples(30)
    good = records.write(tmp_path / "a.parquet", examples, row_group_size=20).read_bytes()
    path = tmp_path / "b.parquet"
    for _ in range(150):
        stored = bytearray(good)
        for _ in range(rng.choice((1, 2, 4))):
            stored[rng.randrange(len(stored))] = rng.randrange(256)
        path.write_bytes(stored)
        try:
            assert len(records.read(path, unit_records=7)) == len(examples)
        except TriadError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017


def test_a_time_zone_whose_name_is_not_utf8_is_damage_that_names_the_file(tmp_path):
    path = tmp_path / "a.parquet"
    column = pa.array([0], pa.timestamp("us", "Europe/Berlin"))
    pq.write_table(pa.table({"id": ["a"], "taken": column}), path)
    schema = pq.read_metadata(path).metadata[b"ARROW:schema"]
    named = base64.b64decode(schema).replace(b"Europe/Berlin", b"Europe/\xff\xfe\xfd\xfc\xfb\xfa")
    path.write_bytes(path.read_bytes().replace(schema, base64.b64encode(named)))
    with pytest.raises(OptionsError, match=f"{path}: is damaged or no Parquet file: .*; write it"):
        list(sources_read.read(units.Unit(0, str(path), 0, 1), ()))


@pytest.mark.parametrize("read", [None, 1], ids=["to-the-end", "not-to-the-end"])
def test_a_file_is_closed_when_its_unit_is_read_without_the_garbage_collector(tmp_path, read):
    path = records.write_table(tmp_path / "a.parquet", {"id": [f"r{n}" for n in range(9)]})
    (unit,) = units.plan(units.list_inputs([str(path)]))
    gc.disable()
    try:
        found = sources_read.read(unit, ())
        assert len(list(itertools.islice(found, read))) == (read or 9)
        assert len(opened(path)) == (0 if read is None else 1)
        del found
        assert opened(path) == []
    finally:
        gc.enable()


def opened(path: Path) -> list[str]:
    """The descriptors of this process through which the file is open."""
    return [file.path for file in psutil.Process().open_files() if file.path == str(path)]
