"""Parser of messages: each becomes a record, or a rejected record with the message's position."""

import base64
import dataclasses
import hashlib
import json

import pytest
from tensorflow.core.example import example_pb2

from triad_ml.pipelines.streaming.messages.parser import HEADERS, Message, Parser
from triad_ml.pipelines.streaming.rows import window_name
from triad_ml.transforms.records.values import (
    BrokenMedium,
    Position,
    RawRecord,
    Reason,
    Rejected,
    Uri,
)

LOG = "kafka://127.0.0.1:9092/clips"
PLACE = Position(f"{LOG}/3", 17, event_time=1_700_000_000_123)


def message(value: bytes | None, *headers: tuple[str, bytes | None]) -> Message:
    return Message(LOG, "clips", 3, 17, value, headers, 1_700_000_000_123)


def as_json(**row: object) -> bytes:
    return json.dumps(row).encode()


def refused(value: bytes | None, reason: Reason, detail: str, record_id: str = "") -> Rejected:
    digest = hashlib.sha256(value or b"").hexdigest()
    return Rejected(record_id or f"{LOG}/3#17", PLACE, "read", reason, detail, digest)


def test_json_gives_the_record_with_media_inline_and_by_uri():
    value = as_json(
        id="a",
        image={"base64": base64.b64encode(b"picture").decode()},
        audio="gs://bucket/a.wav",
        text="Guten Tag",
        group="g",
        category="cat",
        camera=7,
    )
    assert Parser(labels=("category",)).parse(message(value)) == RawRecord(
        "a",
        PLACE,
        b"picture",
        Uri("gs://bucket/a.wav"),
        b"Guten Tag",
        "g",
        labels={"category": "cat"},
        extra={"camera": 7},
    )


def test_an_example_gives_the_record_with_media_inline_and_by_uri():
    example = example_pb2.Example()
    feature = example.features.feature
    feature["id"].bytes_list.value.append(b"a")
    feature["image"].bytes_list.value.append(b"\xff\xd8picture")
    feature["audio_uri"].bytes_list.value.append(b"/sounds/a.wav")
    feature["camera"].int64_list.value.append(7)
    assert Parser("example").parse(message(example.SerializeToString())) == RawRecord(
        "a", PLACE, b"\xff\xd8picture", Uri("/sounds/a.wav"), extra={"camera": 7}
    )


@pytest.mark.parametrize("given", [None, ""])
def test_without_an_id_it_is_that_of_the_header(given):
    record = Parser().parse(message(as_json(id=given, text="x"), ("id", b"from header")))
    assert record.id == "from header"


def test_without_any_id_it_is_topic_partition_and_offset():
    assert Parser().parse(message(as_json(text="x"))).id == "clips-3-17"
    example = example_pb2.Example().SerializeToString()
    assert Parser("example").parse(message(example)).id == "clips-3-17"


def test_headers_pass_through_as_texts_bytes_and_lists():
    headers = (("trace", b"t-1"), ("raw", b"\xff"), ("hop", b"1"), ("hop", b"2"), ("no", None))
    record = Parser().parse(message(as_json(id="a", text="x", camera=7), *headers))
    kept = {"trace": "t-1", "raw": b"\xff", "hop": ["1", "2"], "no": None}
    assert record.extra == {"camera": 7, HEADERS: kept}


def test_a_field_in_the_headers_place_is_rejected_and_kept_where_there_are_none():
    value = as_json(id="a", text="x", **{HEADERS: 1})
    detail = f"the field {HEADERS} is in the way of the message's own headers"
    assert Parser().parse(message(value, ("a", b"b"))) == refused(value, Reason.UNPARSABLE, detail)
    assert Parser().parse(message(value)).extra == {HEADERS: 1}


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, Reason.EMPTY, "the message has no value"),
        (b"", Reason.UNPARSABLE, "not JSON: Expecting value at character 0"),
        (b'{"id": "a"', Reason.UNPARSABLE, "not JSON: Expecting ',' delimiter at character 10"),
        (b"[1]", Reason.UNPARSABLE, "the line is not an object"),
        (b'{"id": "a", "id": "b"}', Reason.UNPARSABLE, "a key stands twice in one object"),
        (b'{"id": 1.5}', Reason.INVALID_ID, "the id is a number, not a string or a whole number"),
        (b"x" * 101, Reason.UNPARSABLE, "the message is longer than 100 bytes"),
    ],
)
def test_a_message_that_is_no_record_is_rejected_with_its_position(value, reason, detail):
    assert Parser(largest=100).parse(message(value)) == refused(value, reason, detail)


def test_what_is_no_example_is_rejected_with_its_position():
    value = b"\x0a\xff"
    parsed = Parser("example").parse(message(value))
    assert parsed == refused(value, Reason.UNPARSABLE, "not a tf.Example")


@pytest.mark.parametrize(
    ("time", "event_time"),
    [
        (-62_135_596_800_000, -62_135_596_800_000),  # year 1 begins
        (-62_135_596_800_001, None),
        (253_402_300_799_999, 253_402_300_799_999),  # year 9999 ends
        (253_402_300_800_000, None),
        (None, None),
    ],
)
def test_a_time_of_no_year_of_the_calendar_is_no_event_time(time, event_time):
    found = dataclasses.replace(message(b""), time=time)
    assert found.position == Position(f"{LOG}/3", 17, event_time=event_time)
    assert found.has_odd_time == (time != event_time)
    assert len(window_name(event_time, 60)) in (4, 16)
    assert len(window_name(event_time, 10**12)) in (4, 16)  # of no year is its beginning, too


def test_a_broken_medium_costs_the_medium_and_a_known_id_is_kept():
    record = Parser().parse(message(as_json(id="a", image={"base64": "*"}, text="x")))
    assert record == RawRecord("a", PLACE, BrokenMedium("bad base64"), None, b"x")
    value = as_json(id="a", text="x", labels=["g"])
    detail = "labels is a list, not a mapping"
    assert Parser().parse(message(value)) == refused(value, Reason.UNPARSABLE, detail, "a")
