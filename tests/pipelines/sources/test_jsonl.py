"""JSON Lines reader: lines that are no records, byte ranges, and compressed files."""

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from tests import records
from triad_ml.pipelines.sources import fields, jsonl, lines
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import RawRecord, Reason, Rejected


def outcome(tmp_path: Path, line: bytes | dict[str, Any], *labels: str) -> RawRecord | Rejected:
    (only,) = records.read(records.write_lines(tmp_path / "a.jsonl", [line]), *labels)
    return only


def record(tmp_path: Path, line: bytes | dict[str, Any], *labels: str) -> RawRecord:
    found = outcome(tmp_path, line, *labels)
    assert isinstance(found, RawRecord), found
    return found


def refused(tmp_path: Path, line: bytes | dict[str, Any]) -> Rejected:
    found = outcome(tmp_path, line)
    assert isinstance(found, Rejected), found
    return found


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"[1]", "the line is not an object"),
        (b"null", "the line is not an object"),
        (b'"id"', "the line is not an object"),
        (b'{"id": "a"', "not JSON: Expecting ',' delimiter at character 10"),
        (
            b'{"id": "a"} {"id": "b"}',
            "more than one JSON value stands here, the second from character 12 on",
        ),
        (
            b"{'id': 'a'}",
            "not JSON: Expecting property name enclosed in double quotes at character 1",
        ),
        (b'{"id": "a", "x": NaN}', "NaN is no JSON"),
        (b'{"id": "a", "x": -Infinity}', "-Infinity is no JSON"),
        (b'{"id": "a", "x": 1e999}', "a number is beyond float64"),
        (b'{"id": "a", "x": %s}' % (b"9" * 5000), "a whole number has too many digits"),
        (b'{"id": "a", "id": "b"}', "a key stands twice in one object"),
        (b'{"id": "a", "x": {"y": 1, "y": 1}}', "a key stands twice in one object"),
        (b'{"id": "a", "x": %s}' % (b"[" * 64 + b"]" * 64), "nested deeper than 64 levels"),
        (b"[" * 100_000, "nested deeper than 64 levels"),
        (b'{"id": \xff}', "not JSON: Expecting value at character 7"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_line_that_is_no_strict_json_object_is_rejected_whole(tmp_path, line, detail):
    found = refused(tmp_path, line)
    assert (found.stage, found.reason, found.detail) == ("read", Reason.UNPARSABLE, detail)
    assert found.id == f"{tmp_path}/a.jsonl#0"
    assert found.payload_digest == hashlib.sha256(line).hexdigest()


def test_sixty_four_levels_are_read(tmp_path):
    nested = b"[" * 63 + b"]" * 63
    assert record(tmp_path, b'{"id": "a", "x": %s}' % nested).extra == {"x": json.loads(nested)}


def test_a_bad_line_does_not_touch_its_neighbours(tmp_path):
    mixed: list[Any] = [{"id": "a"}, b"\x00\xff{", {"id": "b"}]
    found = records.read(records.write_lines(tmp_path / "a.jsonl", mixed))
    assert [type(one) for one in found] == [RawRecord, Rejected, RawRecord]
    assert [one.position.offset for one in found] == [0, 12, 16]


def test_the_end_of_a_line_does_not_change_its_digest(tmp_path):
    digests = set()
    for end in (b"", b"\n", b"\r\n"):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"{" + end)
        digests |= {one.payload_digest for one in records.read(path) if isinstance(one, Rejected)}
    assert digests == {hashlib.sha256(b"{").hexdigest()}


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path):
    assert record(tmp_path, b'\xef\xbb\xbf{"id": "a"}').id == "a"


def test_a_line_over_the_cap_is_rejected_without_being_held(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "')
        file.seek(300 * 2**20)  # a hole: zeros that take no room
        file.write(b'"}\r\n{"id": "b"}\n')
    tracemalloc.start()
    found = records.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 280 * 2**20
    assert [one.id for one in found] == [f"{path}#0", "b"]
    assert isinstance(found[0], Rejected)
    assert (found[0].reason, found[0].detail) == (
        Reason.TOO_LARGE,
        "the line is longer than 134217728 bytes",
    )
    assert found[1].position.offset == 300 * 2**20 + 4


def test_a_compressed_file_is_read_beyond_16_mib(tmp_path):
    row = json.dumps({"id": 0, "x": "y" * 1000}).encode() + b"\n"
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(row * 20_000, 1))
    assert sum(isinstance(one, RawRecord) for one in records.read(path)) == 20_000


def test_members_of_a_compressed_file_are_read_one_after_the_other(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a"}\n\n{"i') + gzip.compress(b'd": "b"}'))
    assert [(one.id, one.position.offset) for one in records.read(path)] == [("a", 0), ("b", 1)]


@pytest.mark.parametrize("damage", ["cut", "flip", "plain"])
def test_a_damaged_compressed_file_fails_the_run(tmp_path, damage):
    stored = bytearray(gzip.compress(b'{"id": "a"}\n' * 1000))
    if damage == "cut":
        del stored[-12:]
    elif damage == "flip":
        stored[-6] ^= 1
    else:
        stored = bytearray(b'{"id": "a"}\n')
    (tmp_path / "a.jsonl.gz").write_bytes(stored)
    with pytest.raises(OptionsError, match=r"a\.jsonl\.gz: cannot be inflated"):
        records.read(tmp_path / "a.jsonl.gz")


def test_a_compressed_bomb_fails_the_run(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress((b" " * 2**20 + b"\n") * 80, 9))
    with pytest.raises(OptionsError, match=r"inflates to more than 1000 times its size"):
        records.read(path)


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(content=strategies.binary(max_size=200))
def test_every_line_of_arbitrary_bytes_is_a_record_or_rejected(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    path.write_bytes(content)
    given = [line for line in content.split(b"\n") if line.strip()]
    assert len(records.read(path)) == len(given)


@pytest.mark.parametrize(
    "values", [b"[],", b"{},", b"1,", b'"",', b'{"":[]},'], ids=["[]", "{}", "1", "text", "nested"]
)
def test_a_line_of_too_many_values_is_rejected_before_they_are_made(tmp_path, values):
    line = b'{"id":"a","x":[' + values * 1_000_001 + b"0]}\n"
    found = records.read(records.store(tmp_path / "a.jsonl", line + b'{"id":"b"}\n'))
    assert isinstance(found[0], Rejected)
    assert (found[0].reason, found[0].detail) == (
        Reason.TOO_LARGE,
        "it has more than 1000000 values",
    )
    assert found[1].id == "b"


def test_marks_inside_a_text_are_no_values(tmp_path):
    line = json.dumps({"id": "a", "note": ',[{\\"' * 400_000}).encode()
    (found,) = records.read(records.write_lines(tmp_path / "a.jsonl", [line]))
    assert found.id == "a"


def test_a_record_of_too_many_fields_is_rejected_with_its_id(tmp_path):
    wide = {"id": "a", **{f"k{n}": n for n in range(1000)}}
    first, second = records.read(records.write_lines(tmp_path / "a.jsonl", [wide, {"id": "b"}]))
    assert isinstance(first, Rejected)
    assert (first.id, first.reason) == ("a", Reason.TOO_LARGE)
    assert first.detail == "the record has 1001 fields, over 1000"
    assert second.id == "b"


def test_a_line_that_one_wide_character_widens_too_far_is_rejected():
    line = b'{"id":"a","x":"' + b"a" * (lines.LONGEST // 4) + "\U0001f600".encode() + b'"}'
    with pytest.raises(fields.RefusedRecordError, match="bytes as text") as error:
        jsonl.parse(line)
    assert error.value.reason == Reason.TOO_LARGE
    assert not lines.is_long_as_text(line.replace(b"\xf0\x9f\x98\x80", b""))
