"""Rules for the fields of a record, tested with JSON Lines: refused records and broken media."""

import base64
import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from tests import records
from triad_ml.transforms.records.values import (
    UNKNOWN_SPLIT,
    BrokenMedium,
    RawRecord,
    Reason,
    Rejected,
    Uri,
)


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
    ("given", "expected"),
    [
        ("a", "a"),
        (7, "7"),
        (7.0, "7"),
        ("7.0", "7.0"),
        (-3, "-3"),
        (2.0**53, "9007199254740992"),
        (10**30, str(10**30)),
        ("é" * 256, "é" * 256),
    ],
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
        ({"base64": "AAEC!"}, BrokenMedium("bad base64")),
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
        b'{"id": "a", "text": "x", "source": "\\ud800"}',
    ],
)
def test_other_fields_that_are_no_unicode_text_reject_the_record(tmp_path, line):
    found = refused(tmp_path, line)
    assert (found.id, found.reason) == ("a", Reason.UNPARSABLE)
    assert found.detail == "a field other than a medium is not Unicode text"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("g", "g"),
        (7, "7"),
        (7.0, "7"),
        ("7.0", "7"),
        ("7", "7"),
        (-0.0, "0"),
        (2**53, "9007199254740992"),
        (2.0**53, "9007199254740992"),
        (1.5, "1.5"),
        ("1e+16", "10000000000000000"),
        (True, "true"),
        ("True", "true"),
    ],
)
def test_a_group_is_any_single_value(tmp_path, given, expected):
    assert record(tmp_path, {"id": "a", "group": given}).group == expected


def test_labels_of_the_wrong_kind_reject_the_record_by_its_id(tmp_path):
    found = refused(tmp_path, {"id": "a", "text": "x", "labels": "cat"})
    detail = "labels is a string, not a mapping"
    assert (found.id, found.reason, found.detail) == ("a", Reason.UNPARSABLE, detail)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'"group": ["g"]', "group is a list, not a single value"),
        (b'"group": {"a": 1}, "split": "train"', "group is an object, not a single value"),
        (b'"group": "\xff", "split": "train"', "a field other than a medium is not Unicode text"),
        (b'"group": "\\ud800"', "a field other than a medium is not Unicode text"),
        (b'"split": "holdout"', "split is none of train, eval, test"),
    ],
)
def test_a_group_or_split_of_the_wrong_kind_costs_the_record_its_split_alone(tmp_path, line, why):
    found = record(tmp_path, b'{"id": "a", "text": "x", "n": 1, ' + line + b"}")
    assert (found.untrainable, found.split) == (why, UNKNOWN_SPLIT)
    assert (found.text, found.extra) == (b"x", {"n": 1})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("train", "train"),
        ("eval", "eval"),
        ("test", "test"),
        ("Training", "train"),
        ("VAL", "eval"),
        ("valid", "eval"),
        ("validation", "eval"),
        ("dev", "eval"),
        (" testing ", "test"),
        ("holdout", UNKNOWN_SPLIT),
        ("\ud800", UNKNOWN_SPLIT),
        (1, UNKNOWN_SPLIT),
        (["train"], UNKNOWN_SPLIT),
    ],
)
def test_a_split_is_known_by_its_common_words_and_no_other_rejects(tmp_path, given, expected):
    assert record(tmp_path, {"id": "a", "split": given}).split == expected


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


def test_a_field_with_the_prefix_wins_and_the_other_passes_through(tmp_path):
    found = record(tmp_path, {"id": "a", "category": "x", "labels.category": "y"}, "category")
    assert (found.labels, found.extra) == ({"category": "y"}, {"category": "x"})


def test_a_label_named_as_a_reserved_field_needs_the_prefix(tmp_path):
    found = record(tmp_path, {"id": "a", "group": "g", "labels.group": "x"}, "group")
    assert (found.group, found.labels) == ("g", {"group": "x"})


ANY_TEXT = strategies.text(strategies.characters(exclude_categories=()), max_size=5)
JSON_VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | ANY_TEXT,
    lambda inner: (
        strategies.lists(inner, max_size=3) | strategies.dictionaries(ANY_TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = strategies.sampled_from(
    ["id", "image", "audio", "text", "group", "split", "labels", "category", "labels.x", "other"]
)


@hypothesis.settings(deadline=None, max_examples=400)
@hypothesis.given(row=strategies.dictionaries(FIELDS | ANY_TEXT, JSON_VALUES, max_size=6))
def test_whatever_passes_can_be_written_again(tmp_path_factory, row):
    found = outcome(tmp_path_factory.mktemp("fuzz"), row, "category")
    assert found.id.encode()
    if isinstance(found, RawRecord):
        kept = [found.group, found.split, found.labels, found.extra]
        assert json.dumps(kept, ensure_ascii=False).encode()
        for medium in (found.image, found.audio, found.text):
            assert not isinstance(medium, Uri) or medium.value.encode()
            assert medium not in ("", b"")
