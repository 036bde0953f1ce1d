"""Conversion of rows of other programs: the same rules as for JSON Lines rows."""

import json
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pytest

from triad_ml.pipelines.sources import jsonl, rows, units
from triad_ml.transforms.records.values import BrokenMedium, RawRecord, Reason, Rejected, Uri

PLACE = rows.position(7)
ROW = {
    "id": 3,
    "image": "a.png",
    "audio": {"base64": "AAE="},
    "text": "a fan",
    "labels": {"category": "fan"},
    "note": {"by": "me", "seen": [1, 2.5]},
}


class Named(NamedTuple):
    id: str
    text: str


def read(row: object) -> RawRecord | Rejected:
    return rows.read(row, PLACE, ("category",))


def test_a_dict_gives_the_record_that_its_json_line_gives(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(ROW))
    (line,) = jsonl.read(units.Unit(0, str(path), 0, 1), ("category",))
    record = read(ROW)
    assert isinstance(line, RawRecord)
    assert record == RawRecord(
        *(line.id, PLACE, line.image, line.audio, line.text),
        labels=line.labels,
        extra=line.extra,
    )
    assert isinstance(record, RawRecord)
    assert record.kinds == line.kinds


def test_a_row_stays_as_it_is():
    row = json.loads(json.dumps(ROW))
    read(row)
    assert row == ROW


def test_beam_rows_and_named_tuples_are_rows_and_so_is_what_lies_in_them():
    nested = beam.Row(id="x", image=beam.Row(path="a.png"), labels=beam.Row(category="fan"))
    assert read(nested) == RawRecord("x", PLACE, Uri("a.png"), labels={"category": "fan"})
    assert read(Named("x", "a fan")) == RawRecord("x", PLACE, text=b"a fan")


def test_values_of_other_libraries_are_what_they_hold():
    row = {"id": np.int64(3), "image": Path("a.png"), "audio": bytearray(b"RIFF"), "text": None}
    record = read({**row, "seen": np.array([1, 2]), "at": memoryview(b"x")})
    assert record == RawRecord(
        "3", PLACE, Uri("a.png"), b"RIFF", extra={"seen": [1, 2], "at": b"x"}
    )


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (5, Reason.UNPARSABLE, "int where a row should be"),
        ("text", Reason.UNPARSABLE, "str where a row should be"),
        ({"id": "a", 3: 4}, Reason.UNPARSABLE, "a field's name is not a string"),
        ({"text": "a"}, Reason.INVALID_ID, "the id is missing"),
        ({"id": "a", "b": "\ud800"}, Reason.UNPARSABLE, "a field other than a medium is not"),
    ],
)
def test_what_is_no_record_is_rejected_with_its_place(row, reason, detail):
    outcome = read(row)
    assert isinstance(outcome, Rejected)
    assert (outcome.stage, outcome.reason, outcome.position) == ("read", reason, PLACE)
    assert outcome.detail.startswith(detail)
    assert read(row) == outcome


def test_a_medium_of_another_type_breaks_that_medium_alone():
    record = read({"id": "a", "image": 5, "text": "x"})
    assert isinstance(record, RawRecord)
    assert record.image == BrokenMedium("a number where a medium should be")
    assert record.text == b"x"


def test_what_is_a_record_or_rejected_already_stays_so():
    record = RawRecord("a", rows.position())
    refused = Rejected("a", rows.position(), "read", Reason.EMPTY)
    assert read(record) is record
    assert read(refused) is refused
