"""Records from JSON lines: what is read, what is rejected, and what only breaks a medium."""

import base64
import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from pipelines import sources, units
from tests import records
from transforms.errors import OptionsError
from transforms.records import BrokenMedium, RawRecord, Reason, Rejected, Uri


def outcomes(path: Path, *labels: str) -> list[RawRecord | Rejected]:
    planned = units.plan(units.list_inputs([str(path)]))
    return [outcome for unit in planned for outcome in sources.read(unit, labels)]


def outcome(tmp_path: Path, line: bytes | dict[str, Any], *labels: str) -> RawRecord | Rejected:
    (only,) = outcomes(records.write_lines(tmp_path / "a.jsonl", [line]), *labels)
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
    ("given", "expected"),
    [("a", "a"), (7, "7"), (-3, "-3"), (10**30, str(10**30)), ("é" * 256, "é" * 256)],
)
def test_ids_are_strings_or_whole_numbers(tmp_path, given, expected):
    assert record(tmp_path, {"id": given}).id == expected


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        (None, "the id is missing"),
        ("", "the id is empty"),
        (True, "the id is true or false, not a string or a whole number"),
        (1.5, "the id is a number, not a string or a whole number"),
        (["a"], "the id is a list, not a string or a whole number"),
        ({"a": 1}, "the id is an object, not a string or a whole number"),
        ("a\nb", "the id holds control characters"),
        ("a\x85b", "the id holds control characters"),
        ("é" * 257, "the id is longer than 512 bytes"),
        ("\ud800", "the id is not UTF-8"),
    ],
)
def test_any_other_id_is_rejected(tmp_path, given, detail):
    found = refused(tmp_path, {"id": given, "text": "x"})
    assert (found.reason, found.detail) == (Reason.INVALID_ID, detail)
    assert found.id == str(found.position) == f"{tmp_path}/a.jsonl#0"


def test_a_line_without_an_id_is_rejected(tmp_path):
    assert refused(tmp_path, {"text": "x"}).reason == Reason.INVALID_ID


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"[1]", "the line is not an object"),
        (b"null", "the line is not an object"),
        (b'"id"', "the line is not an object"),
        (b'{"id": "a"', "not JSON: Expecting ',' delimiter at character 10"),
        (b'{"id": "a"} {"id": "b"}', "not JSON: Extra data at character 12"),
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
    lines: list[Any] = [{"id": "a"}, b"\x00\xff{", {"id": "b"}]
    found = outcomes(records.write_lines(tmp_path / "a.jsonl", lines))
    assert [type(one) for one in found] == [RawRecord, Rejected, RawRecord]
    assert [one.position.offset for one in found] == [0, 12, 16]


def test_the_end_of_a_line_does_not_change_its_digest(tmp_path):
    digests = set()
    for end in (b"", b"\n", b"\r\n"):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"{" + end)
        digests |= {one.payload_digest for one in outcomes(path) if isinstance(one, Rejected)}
    assert digests == {hashlib.sha256(b"{").hexdigest()}


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path):
    assert record(tmp_path, b'\xef\xbb\xbf{"id": "a"}').id == "a"


@pytest.mark.parametrize("name", ["image", "audio"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ({"base64": ""}, None),
        ({"uri": None}, None),
        ("media/1.png", Uri("media/1.png")),
        ("gs://bucket/é.png", Uri("gs://bucket/é.png")),
        ({"uri": "1.png"}, Uri("1.png")),
        ({"base64": "AAEC"}, b"\x00\x01\x02"),
        ({"base64": "AA\r\nEC\n"}, b"\x00\x01\x02"),
        ("data:image/png;base64,AAEC", b"\x00\x01\x02"),
        ("DATA:;BASE64,AAEC", b"\x00\x01\x02"),
        ("data:image/png,AAEC", BrokenMedium("a data: URI that is not base64")),
        ({"base64": "AAE"}, BrokenMedium("bad base64")),
        ({"base64": "AA-_"}, BrokenMedium("bad base64")),
        ({"base64": "é"}, BrokenMedium("bad base64")),
        ({"base64": 7}, BrokenMedium("an object whose values are of the wrong type")),
        (7, BrokenMedium("a number where a medium should be")),
        (["1.png"], BrokenMedium("a list where a medium should be")),
        ("\ud800.png", BrokenMedium("a URI that is not UTF-8")),
        (
            {"url": "1.png"},
            BrokenMedium("an object without base64, bytes, uri or path, or with more than that"),
        ),
    ],
)
def test_a_picture_or_sound_is_a_uri_or_bytes_and_breaks_alone(tmp_path, name, given, expected):
    found = record(tmp_path, {"id": "a", "text": "x", name: given})
    assert getattr(found, name) == expected
    assert found.text == b"x"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("data:x;base64,AAEC", b"data:x;base64,AAEC"),
        ("é", "é".encode()),
        ("😀", "😀".encode()),
        ({"uri": "a.txt"}, Uri("a.txt")),
        ({"base64": base64.b64encode(b"\xff").decode()}, b"\xff"),
        (7, BrokenMedium("a number where a medium should be")),
        ("a\ud800b", "a\ud800b".encode(errors="surrogatepass")),
    ],
)
def test_a_text_is_the_string_itself(tmp_path, given, expected):
    assert record(tmp_path, {"id": "a", "text": given}).text == expected


def test_bytes_that_are_not_utf8_in_the_text_stay_as_they_are(tmp_path):
    found = record(tmp_path, b'{"id": "a", "text": "caf\xe9 \xf0\x9f", "image": "1.png"}')
    assert (found.text, found.image) == (b"caf\xe9 \xf0\x9f", Uri("1.png"))


def test_escapes_never_turn_a_broken_text_into_a_good_one(tmp_path):
    found = record(tmp_path, b'{"id": "a", "text": "\\udcc3\\udca9", "image": "\xff.png"}')
    assert isinstance(found.text, bytes)
    with pytest.raises(UnicodeDecodeError):
        found.text.decode()
    assert found.image == BrokenMedium("a URI that is not UTF-8")


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": "a", "text": "x", "source": "\xff"}',
        b'{"id": "a", "text": "x", "s\xff": 1}',
        b'{"id": "a", "text": "x", "labels": {"category": ["\xff"]}}',
        b'{"id": "a", "text": "x", "group": "\xff"}',
        b'{"id": "a", "text": "x", "source": "\\ud800"}',
    ],
)
def test_other_fields_that_are_no_unicode_text_reject_the_record(tmp_path, line):
    found = refused(tmp_path, line)
    assert (found.id, found.reason) == ("a", Reason.UNPARSABLE)
    assert found.detail == "a field other than a medium is not Unicode text"


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), ("", None), ("g", "g"), (7, "7"), (1.5, "1.5"), (True, "true")],
)
def test_a_group_is_any_single_value(tmp_path, given, expected):
    assert record(tmp_path, {"id": "a", "group": given}).group == expected


@pytest.mark.parametrize(
    ("field", "given", "detail"),
    [
        ("group", ["g"], "group is a list, not a single value"),
        ("split", "dev", "split is none of train, eval, test"),
        ("split", 1, "split is none of train, eval, test"),
        ("split", ["train"], "split is none of train, eval, test"),
        ("labels", "cat", "labels is a string, not a mapping"),
    ],
)
def test_a_field_of_the_wrong_kind_rejects_the_record_by_its_id(tmp_path, field, given, detail):
    found = refused(tmp_path, {"id": "a", "text": "x", field: given})
    assert (found.id, found.reason, found.detail) == ("a", Reason.UNPARSABLE, detail)


@pytest.mark.parametrize("split", [None, "", "train", "eval", "test"])
def test_a_split_is_kept(tmp_path, split):
    assert record(tmp_path, {"id": "a", "split": split}).split == (split or None)


def test_a_mapping_of_labels_is_kept_whole_and_other_fields_pass_through(tmp_path):
    row = {"id": "a", "labels": {"category": "x", "other": [1]}, "category": "y", "n": {"m": None}}
    found = record(tmp_path, row, "category")
    assert found.labels == {"category": "x", "other": [1]}
    assert found.extra == {"category": "y", "n": {"m": None}}


def test_without_a_mapping_fields_named_as_labels_are_labels(tmp_path):
    row = {"id": "a", "labels": None, "category": "x", "labels.mood": 3, "tags": None, "n": 1}
    found = record(tmp_path, row, "category", "tags")
    assert found.labels == {"category": "x", "mood": 3}
    assert found.extra == {"n": 1}


def test_a_label_named_as_a_reserved_field_needs_the_prefix(tmp_path):
    found = record(tmp_path, {"id": "a", "group": "g", "labels.group": "x"}, "group")
    assert (found.group, found.labels) == ("g", {"group": "x"})


def test_a_line_over_the_cap_is_rejected_without_being_held(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "')
        file.seek(300 * 2**20)  # a hole: zeros that take no room
        file.write(b'"}\r\n{"id": "b"}\n')
    tracemalloc.start()
    found = outcomes(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 280 * 2**20
    assert [one.id for one in found] == [f"{path}#0", "b"]
    assert isinstance(found[0], Rejected)
    assert (found[0].reason, found[0].detail) == (
        Reason.UNPARSABLE,
        "the line is longer than 134217728 bytes",
    )
    assert found[1].position.offset == 300 * 2**20 + 4


def test_a_compressed_file_is_read_beyond_16_mib(tmp_path):
    row = json.dumps({"id": 0, "x": "y" * 1000}).encode() + b"\n"
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(row * 20_000, 1))
    assert sum(isinstance(one, RawRecord) for one in outcomes(path)) == 20_000


def test_members_of_a_compressed_file_are_read_one_after_the_other(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a"}\n\n{"i') + gzip.compress(b'd": "b"}'))
    assert [(one.id, one.position.offset) for one in outcomes(path)] == [("a", 0), ("b", 1)]


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
        outcomes(tmp_path / "a.jsonl.gz")


def test_a_compressed_bomb_fails_the_run(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress((b" " * 2**20 + b"\n") * 80, 9))
    with pytest.raises(OptionsError, match=r"inflates to more than 1000 times its size"):
        outcomes(path)


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(content=strategies.binary(max_size=200))
def test_every_line_of_arbitrary_bytes_is_a_record_or_rejected(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    path.write_bytes(content)
    lines = [line for line in content.split(b"\n") if line.strip()]
    assert len(outcomes(path)) == len(lines)
