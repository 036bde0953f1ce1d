"""Conversion of Pub/Sub messages to `Message`, and of scored and rejected rows to messages."""

import dataclasses
import json
import random
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from tests.scores import SETTINGS, rejected, scored
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.scoring.score import Scores
from triad_ml.pipelines.streaming.messages.parser import HEADERS, Message, Parser
from triad_ml.pipelines.streaming.pubsub import messages as pubsub
from triad_ml.pipelines.streaming.rows import rejected_table, scored_table
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables.keys import Key
from triad_ml.transforms.records.values import Rejected

LOG = "pubsub://triad-project/clips"
TIME = 1_700_000_000_123


def read(given: PubsubMessage, id_attribute: str | None = None, time: int = TIME) -> Message:
    """What the graph makes of one message."""
    found: list[Message] = []
    _found.append(found)
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        messages = root | beam.Create([TimestampedValue(given, time / 1000)], reshuffle=False)
        _ = messages | pubsub.FromPubSub(LOG, id_attribute) | beam.Map(_note)
    (one,) = _found.pop()
    return one


_found: list[list[Message]] = []


def _note(message: Message) -> None:
    _found[-1].append(message)


def test_a_message_keeps_its_number_attributes_time_and_ordering_key():
    given = PubsubMessage(b"{}", {"b": "2", "a": "1"}, "1234567890123456789", None, "cam")
    assert read(given) == Message(
        log=LOG,
        topic="clips",
        partition=0,
        offset=1234567890123456789,
        value=b"{}",
        headers=(("a", b"1"), ("b", b"2"), ("ordering_key", b"cam")),
        time=TIME,
    )


@pytest.mark.parametrize("number", [None, "", "x12", "9" * 40])
def test_a_message_whose_number_is_none_has_one_that_is_always_the_same(number):
    one, other = PubsubMessage(b"a", {}, number), PubsubMessage(b"b", {}, number)
    assert read(one).offset == read(one).offset
    assert 0 <= read(one).offset < 2**63
    assert (read(one).offset == read(other).offset) is False


def test_the_id_attribute_names_a_record_that_has_no_other_name():
    given = PubsubMessage(b'{"text": "t"}', {"uid": "u7"}, "1")
    assert Parser().parse(read(given, "uid")).id == "u7"
    assert Parser().parse(read(given)).id == "clips-0-1"
    both = PubsubMessage(b'{"text": "t"}', {"uid": "u7", "id": "mine"}, "1")
    assert Parser().parse(read(both, "uid")).id == "mine"


@pytest.mark.parametrize("time", [-99_999_999_999_999, 253_402_300_800_000])
def test_a_time_of_no_year_is_no_event_time(time):
    message = read(PubsubMessage(b'{"text": "t"}', {}, "1"), time=time)
    assert message.time == time
    assert message.position.event_time is None


def test_whatever_is_in_a_message_it_is_a_record_or_rejected():
    rng = random.Random(20261129)
    letters = ["a", "\0", "\x85", "\ud7ff", "\U0010ffff", '"', "\\", "\n"]

    def text(most: int) -> str:
        return "".join(rng.choices(letters, k=rng.randint(0, most)))

    for number in range(200):
        attributes = {text(9): text(60) for _ in range(3)} | {"id": text(3)}
        value = rng.choice([b"", b'{"text": "t"}', rng.randbytes(rng.randint(0, 40))])
        headers = tuple((name, one.encode()) for name, one in attributes.items())
        time = rng.choice([TIME, -rng.getrandbits(63), rng.getrandbits(63)])
        message = Message(LOG, "clips", 0, number, value, headers, time)
        outcome = Parser().parse(message)
        assert outcome.position == message.position
        table = rejected_table([outcome], SETTINGS) if isinstance(outcome, Rejected) else None
        if table is None:
            row = scored(outcome.id, number, extra=outcome.extra)
            table = scored_table([dataclasses.replace(row, position=outcome.position)], SETTINGS)
        assert json.loads(formats.encode(table, "jsonl"))["id"] == outcome.id


def test_a_row_that_no_topic_takes_is_a_rejected_record():
    key, small = Key("a", "m" * 64), scored("a", 1, extra={HEADERS: {"ordering_key": "cam"}})
    large = scored("b", 2, extra={"note": "x" * pubsub.LARGEST})
    refused = dataclasses.replace(rejected("c", 3), detail="x" * pubsub.LARGEST)
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        rows = root | beam.Create([(key, small), (Key("b", "m" * 64), large)], reshuffle=False)
        none = root | "Refused" >> beam.Create([(Key("c", "m" * 64), refused)], reshuffle=False)
        published = Scores(rows, none) | pubsub.ToPubSub(SETTINGS)
        sent = published.scored | "Sent" >> beam.Map(summary)
        dead = published.rejected | "Dead" >> beam.Map(summary)
        assert_that(sent, equal_to([("a", None, "cam")]), label="AssertSent")
        wanted = [("b", "publish", None), ("c", "canonicalize", None)]
        assert_that(dead, equal_to(wanted), label="AssertDead")


def summary(message: PubsubMessage) -> tuple[Any, ...]:
    message._to_proto_str(for_publish=True)  # as the sink does, which refuses what is too long
    row, attributes = json.loads(message.data), message.attributes
    assert row["id"] == attributes["record_id"]
    assert attributes["model_digest"] == "m" * 64
    return row["id"], row.get("stage"), attributes.get("ordering_key")
