"""Avro and JSON schemas of messages: short reasons for rejections, low cost of hostile messages."""

import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import fastavro
import pytest

from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.messages import avro, json_schema
from triad_ml.pipelines.streaming.messages import parser as messages_parser
from triad_ml.pipelines.streaming.messages.parser import HEADERS, Message, Parser
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected, Uri

LOG = "kafka://127.0.0.1:9092/clips"
PLACE = Position(f"{LOG}/0", 5, event_time=1_700_000_000_000)
CLIP = {
    "type": "record",
    "name": "Clip",
    "namespace": "hall",
    "fields": [
        {"name": "id", "type": ["null", "string"]},
        {"name": "image", "type": ["null", "bytes", "string"]},
        {"name": "audio", "type": ["null", "string"]},
        {"name": "text", "type": ["null", "string"]},
        {"name": "category", "type": {"type": "enum", "name": "Kind", "symbols": ["cat", "dog"]}},
        {"name": "taken", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "loud", "type": "boolean"},
        {"name": "level", "type": "double"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "from", "type": {"type": "map", "values": "Kind"}},
        {"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 2}},
    ],
}
SCHEMA = json.dumps(CLIP)
ROW = {
    "id": "a",
    "image": b"\xff\xd8picture",
    "audio": "gs://bucket/a.wav",
    "text": "a red bird",
    "category": "dog",
    "taken": -2,
    "loud": True,
    "level": 0.5,
    "tags": ["x", "y"],
    "from": {"left": "cat"},
    "mark": b"ab",
}


def encoded(row: Any, schema: Any = None) -> bytes:
    stored = io.BytesIO()
    fastavro.schemaless_writer(stored, fastavro.parse_schema(schema or CLIP), row)
    return stored.getvalue()


def message(value: bytes, *headers: tuple[str, bytes | None]) -> Message:
    return Message(LOG, "clips", 0, 5, value, headers, 1_700_000_000_000)


def parsed(value: bytes, schema: Any = None, **settings: Any) -> RawRecord | Rejected:
    text = SCHEMA if schema is None else json.dumps(schema)
    return Parser("avro", ("category",), schema=text, **settings).parse(message(value))


def detail(outcome: RawRecord | Rejected) -> str:
    assert isinstance(outcome, Rejected)
    assert (outcome.position, outcome.reason) == (PLACE, Reason.UNPARSABLE)
    return outcome.detail


def test_avro_gives_the_record_with_media_and_what_passes_through():
    extra = {name: ROW[name] for name in ("taken", "loud", "level", "tags", "from", "mark")}
    assert parsed(encoded(ROW)) == RawRecord(
        "a",
        PLACE,
        b"\xff\xd8picture",
        Uri("gs://bucket/a.wav"),
        b"a red bird",
        labels={"category": "dog"},
        extra=extra,
    )


def test_an_avro_message_gets_id_and_headers_as_any_other_does():
    value = encoded({**ROW, "id": None})
    named = Parser("avro", schema=SCHEMA).parse(message(value, ("id", b"h"), ("trace", b"t")))
    assert isinstance(named, RawRecord)
    assert (named.id, named.extra[HEADERS]) == ("h", {"id": "h", "trace": "t"})
    unnamed = parsed(value)
    assert unnamed.id == "clips-0-5"


def test_a_string_that_is_not_utf8_breaks_its_medium_or_the_record():
    value = encoded(ROW)
    record = parsed(value.replace(b"a red bird", b"a red\xffbird"))
    assert isinstance(record, RawRecord)
    assert record.text == b"a red\xffbird"
    refused = parsed(value.replace(b"\x02x", b"\x02\xff"))
    assert detail(refused) == "a field other than a medium is not Unicode text"


def test_the_header_of_a_registry_is_checked_and_taken_off():
    value = encoded(ROW)
    assert parsed(b"\0\0\0\1\2" + value, schema_id=258) == parsed(value)
    for wrong, said in (
        (b"\0\0\0\1\3" + value, "the message is of schema 259, not 258"),
        (b"\1\0\0\1\2" + value, "the message does not begin with the number of a schema"),
        (b"\0\0\0", "the message does not begin with the number of a schema"),
    ):
        assert detail(parsed(wrong, schema_id=258)) == said
    schema = json.dumps({"required": ["text"]})
    framed = b'\0\0\0\0\7{"text": "x"}'
    assert Parser(schema=schema, schema_id=7).parse(message(framed)).id == "clips-0-5"


NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "next", "type": ["null", "Node"]}],
}
NULLS = {
    "type": "record",
    "name": "Nulls",
    "fields": [{"name": "all", "type": {"type": "array", "items": "null"}}],
}
BYTES = {"type": "record", "name": "Bytes", "fields": [{"name": "image", "type": "bytes"}]}
LONG = {"type": "record", "name": "Long", "fields": [{"name": "n", "type": "long"}]}
MAYBE = {"type": "record", "name": "Maybe", "fields": [{"name": "b", "type": "boolean"}]}
HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2**63 - 1
LEAST = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # -2**63
HOSTILE = {
    "a length beyond the end": (BYTES, HUGE + b"x", "a length that leads out of it"),
    "a negative length": (BYTES, b"\x01x", "a length that leads out of it"),
    "the least length": (BYTES, LEAST, "a length that leads out of it"),
    "a list that fills the memory": (NULLS, HUGE, "more than 100000 values"),
    "a block of negative count": (NULLS, LEAST + b"\x02", "more than 100000 values"),
    "many small blocks": (NULLS, b"\xa0\x8d\x06" * 9, "more than 100000 values"),
    "a chain": (NODE, b"\x02" * 2**20, "nested deeper than 64 levels"),
    "a long number": (LONG, b"\x80" * 9 + b"\x02", "a number of more than 64 bits"),
    "a number without end": (LONG, b"\x80" * 11, "a number of more than 64 bits"),
    "nothing": (LONG, b"", "it stops before its schema does"),
    "a third branch": (NODE, b"\x04", "a choice that its schema does not have"),
    "branch -1": (NODE, b"\x01", "a choice that its schema does not have"),
    "a maybe": (MAYBE, b"\x02", "neither true nor false"),
    "more than a datum": (MAYBE, b"\x01\x01", "bytes are left over"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_avro_is_one_rejected_record_and_takes_no_memory(case):
    schema, value, said = HOSTILE[case]
    parsed(b"", schema)  # compiles the schema
    tracemalloc.start()
    outcome = parsed(value, schema)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert detail(outcome) == f"not Avro of the schema: {said}"
    assert peak < 2**20


def test_what_is_just_within_the_bounds_is_read():
    chain: Any = None
    for _ in range(avro.DEEPEST // 2):  # a record and its union are two levels
        chain = {"next": chain}
    deepest = parsed(encoded(chain, NODE), NODE)
    assert isinstance(deepest, RawRecord)
    assert detail(parsed(encoded({"next": chain}, NODE), NODE)).endswith("deeper than 64 levels")
    most = avro.MOST_VALUES - 2  # the record and its list are values, too
    full = parsed(encoded({"all": [None] * most}, NULLS), NULLS)
    assert isinstance(full, RawRecord)
    assert len(full.extra["all"]) == most
    assert "values" in detail(parsed(encoded({"all": [None] * (most + 1)}, NULLS), NULLS))


def test_a_datum_cut_short_anywhere_is_rejected():
    value = encoded(ROW)
    for length in range(len(value)):
        assert detail(parsed(value[:length])).startswith("not Avro of the schema: ")


def test_mutated_datums_are_records_or_rejected_and_take_little_memory():
    rng = random.Random(20261126)
    rejected = 0
    tracemalloc.start()
    for schema, row in ((CLIP, ROW), (NODE, {"next": {"next": {"next": None}}})) * 2:
        good = encoded(row, schema)
        for _ in range(500):
            value = bytearray(good)
            for _ in range(rng.randint(1, 4)):
                place = rng.randrange(len(value))
                change = rng.randrange(3)
                if change == 0:
                    value[place] = rng.randrange(256)
                elif change == 1:
                    value[place:place] = rng.choice((HUGE, LEAST, rng.randbytes(3)))
                else:
                    del value[place : place + rng.randint(0, 3)]
                value = value or bytearray(b"\xff")
            outcome = parsed(bytes(value), schema)
            assert outcome.position == PLACE
            rejected += isinstance(outcome, Rejected)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 1000 < rejected < 2000  # both happen
    assert peak < 8 * 2**20


NEEDS = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "text"],
    "properties": {
        "text": {"$ref": "#/$defs/line"},
        "shots": {
            "type": "array",
            "items": {"type": "object", "properties": {"at": {"minimum": 0}}},
        },
        "one": {"type": ["string", "null"]},
        "none": False,
        "who": {"additionalProperties": {"type": "string"}},
    },
    "$defs": {"line": {"type": "string", "maxLength": 20}},
}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a"}, "at $ it breaks required: text"),
        ({"id": "a", "text": 7}, "at $.text it breaks type: string"),
        ({"id": "a", "text": "secret" * 4}, "at $.text it breaks maxLength"),
        (
            {"id": "a", "text": "x", "shots": [{"at": 1}, {"at": -1}]},
            "at $.shots[1].at it breaks minimum",
        ),
        ({"id": "a", "text": "x", "one": 1}, "at $.one it breaks type: string or null"),
        ({"id": "a", "text": "x", "none": 1}, "at $ it breaks false"),
        ({"id": "a", "text": "x", "who": {"a secret": 1}}, "at $.who.* it breaks type: string"),
    ],
)
def test_an_object_that_does_not_conform_is_rejected_with_the_place(row, said):
    parser = Parser(schema=json.dumps(NEEDS))
    assert detail(parser.parse(message(json.dumps(row).encode()))) == f"not of the schema: {said}"


def test_an_object_that_conforms_is_the_record_that_it_is_without_a_schema():
    value = message(json.dumps({"id": "a", "text": "x", "shots": [], "more": 1}).encode())
    assert Parser(schema=json.dumps(NEEDS)).parse(value) == Parser().parse(value)


def test_a_schema_that_leads_in_circles_rejects_and_does_not_crash():
    parser = Parser(schema=json.dumps({"properties": {"text": {"$ref": "#/properties/text"}}}))
    outcome = parser.parse(message(b'{"text": "x"}'))
    assert detail(outcome) == "not of the schema: the schema leads in circles"


def _conforms(rule: Any, value: Any) -> bool:
    """Whether a message with this value comes through a schema with this rule."""
    parser = Parser(schema=json.dumps({"properties": {"value": rule}}))
    return isinstance(parser.parse(message(json.dumps({"value": value}).encode())), RawRecord)


def test_a_whole_number_beyond_float64_is_compared_with_a_schema_exactly():
    rules = {"multipleOf": 0.75}, {"multipleOf": 0.5}
    assert [_conforms(rule, 10**400) for rule in rules] == [False, True]
    draft3 = {"$schema": "http://json-schema.org/draft-03/schema#"}
    parser = Parser(schema=json.dumps({**draft3, "properties": {"n": {"divisibleBy": 0.75}}}))
    outcome = parser.parse(message(json.dumps({"n": 10**400}).encode()))
    assert detail(outcome) == "not of the schema: at $.n it breaks divisibleBy"


def test_unique_items_are_compared_by_what_they_are_and_in_time_that_grows_with_their_number():
    assert _conforms({"uniqueItems": True}, [1, True, "1", [1], None, "true", 1.5])
    assert not _conforms({"uniqueItems": True}, [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}])
    assert _conforms({"uniqueItems": False}, [1, 1])
    many = [{"a": number} for number in range(50_000)]  # each with each would take an hour
    assert _conforms({"uniqueItems": True}, many)
    assert not _conforms({"uniqueItems": True}, [*many, {"a": 0}])


def test_a_message_that_a_schema_would_take_for_ever_to_compare_is_rejected(monkeypatch):
    monkeypatch.setattr(json_schema, "MOST_STEPS", 5_000)
    schema = {
        "properties": {"tree": {"$ref": "#/$defs/tree"}},
        "$defs": {"tree": {"items": {"anyOf": [{"$ref": "#/$defs/tree"}] * 2}, "type": "array"}},
    }
    parser = Parser(schema=json.dumps(schema))
    deep, flat = (json.dumps({"tree": tree}).encode() for tree in (_nested(30), [[]]))
    outcome = parser.parse(message(deep))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == Reason.TOO_LARGE
    assert outcome.detail == "comparing it with the schema takes over 5000 steps"
    assert isinstance(parser.parse(message(flat)), RawRecord)


def _nested(levels: int) -> Any:
    return [_nested(levels - 1)] if levels else 1


def config(path: Path, format: Any, **more: Any) -> StreamConfig:
    settings = {"message_format": format, "message_schema": str(path), **more}
    return StreamConfig("model", f"{LOG}", "sink", **settings)


def test_the_settings_make_the_parser(tmp_path):
    path = tmp_path / "clip.avsc"
    path.write_text(SCHEMA)
    settings = config(path, "avro", message_bytes=99, message_schema_id=7)
    assert messages_parser.parser(settings, ("what",)) == Parser("avro", ("what",), 99, SCHEMA, 7)
    assert messages_parser.parser(StreamConfig("model", LOG, "sink"), ()) == Parser()


@pytest.mark.parametrize(
    ("format", "schema", "said"),
    [
        ("avro", "{", "not JSON: Expecting property name enclosed in double quotes at character 1"),
        ("avro", '"string"', "a schema of something else than a record"),
        ("avro", "7", "no Avro schema (argument of type 'int' is not iterable)"),
        ("avro", '{"type": "enum", "name": "E"}', "no Avro schema ('symbols')"),
        (
            "avro",
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "text"}]}',
            "no Avro schema (text)",
        ),
        (
            "avro",
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": []}]}',
            "no Avro schema (a union of nothing)",
        ),
        ("json", "[]", "neither an object nor true or false"),
        (
            "json",
            '{"properties": {"a": {"type": "text"}}}',
            "no JSON Schema: at $.properties.a.type 'text' is not valid under any of the given "
            "schemas",
        ),
        ("json", '{"$schema": "x"}', "its $schema is no draft of JSON Schema that is known here"),
        (
            "json",
            '{"items": {"$ref": "http://127.0.0.1:1/a.json"}}',
            "$ref 'http://127.0.0.1:1/a.json' names nothing in the file",
        ),
    ],
)
def test_what_is_no_schema_is_refused_in_one_line(tmp_path, format, schema, said):
    path = tmp_path / "schema.json"
    path.write_text(schema)
    with pytest.raises(OptionsError) as caught:
        messages_parser.parser(config(path, format), ())
    assert str(caught.value) == f"--message-schema: {path}: {said}; mend it, or name another"


def test_a_schema_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionsError) as caught:
        messages_parser.parser(config(tmp_path / "no", "json"), ())
    assert str(caught.value) == (
        f"--message-schema: {tmp_path}/no: no such file; name one that is there"
    )
