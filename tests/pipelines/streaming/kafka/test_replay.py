"""Replay of rejected messages by their positions; no row holds a payload."""

import dataclasses
import hashlib
import json
from pathlib import Path

from tests import kafka_protocol
from tests.kafka_protocol import Raw
from tests.pipelines.streaming.kafka.test_kafka_messages import Topics
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.streaming.kafka.replay import GAP, Row, named, runs
from triad_ml.pipelines.streaming.messages.parser import Message

LONG = json.dumps({"id": "long", "text": "a red bird " * 9}).encode()
SHORT = b'{"id": "short", "text": "a cat"}'


def test_messages_that_were_rejected_are_read_again_where_their_rows_say(trained: Path, broker):
    source, scores, rejected = broker.topic(), broker.topic(), broker.topic()
    broker.send(source, [SHORT, LONG, b"no json", SHORT, LONG])
    config = StreamConfig(
        str(trained),
        broker.uri(source),
        broker.uri(scores),
        broker.uri(rejected),
        message_bytes=len(SHORT),
        until_empty=True,
    )
    assert local.run(config, stopping.Stop()) == local.Counts(5, 2, 3)
    broker.send(rejected, [b"no row", b'{"source": "kafka://elsewhere:1/t/0#0"}', b'{"source": 7}'])

    again = StreamConfig(
        str(trained),
        broker.uri(source),
        broker.uri(scores),
        broker.uri(rejected),
        group="triad-replay",
        replay_from=broker.uri(rejected),
        until_empty=True,
    )
    assert local.run(again, stopping.Stop()) == local.Counts(3, 2, 1)
    found = [json.loads(message.value()) for message in broker.read(scores)]
    places = [(row["id"], row["triad.position"]) for row in found]
    log = f"{broker.uri(source)}/0"
    assert places == [
        ("short", f"{log}#0"),
        ("short", f"{log}#3"),
        ("long", f"{log}#1"),
        ("long", f"{log}#4"),
    ]
    told = [json.loads(m.value()) for m in broker.read(rejected)[6:]]
    assert [(row["source"], row["reason"]) for row in told] == [(f"{log}#2", "unparsable")]
    # A second start replays what was rejected since, and nothing twice.
    assert local.run(again, stopping.Stop()) == local.Counts(1, 0, 1)


def test_rows_of_a_topic_that_was_made_again_score_no_other_message(trained, broker, caplog):
    topics = Topics(broker)
    broker.send(topics.source, [b"no json", b"no json", b'{"id": "empty"}', b"no json"])
    assert topics.run(trained) == local.Counts(4, 0, 4)
    broker.again(topics.source)
    at = 1_700_000_000_000  # when the first of them was sent
    after = [Raw(SHORT, time=at), Raw(b"no json", time=at + 9), Raw(SHORT, time=at + 9)]
    kafka_protocol.send(broker.servers, topics.source, [*after, Raw(b"no json", time=at + 3)])
    rows = {"group": "triad-replay", "replay_from": broker.uri(topics.rejected)}
    assert topics.run(trained, **rows) == local.Counts(1, 0, 1)
    assert "and where 3 were are others, as in a topic that was made again" in caplog.text


def row(source: object, **fields: object) -> Message:
    return Message("log", "t", 0, 0, json.dumps({"source": source, **fields}).encode())


def test_a_row_knows_its_message_by_time_and_by_the_digest_of_what_was_no_record():
    digest = hashlib.sha256(b"no json").hexdigest()
    sent = {"triad.event_time": "2023-11-14T22:13:20.007000+00:00"}
    told = {"stage": "read", "payload_digest": digest, **sent}
    message = Message("log", "t", 0, 0, b"no json", time=1_700_000_000_007)
    other, later = dataclasses.replace(message, value=b"{}"), dataclasses.replace(message, time=8)
    assert [Row.of(told).is_of(one) for one in (message, other, later)] == [True, False, False]
    of_media = Row.of({**told, "stage": "score"})
    assert [of_media.is_of(one) for one in (message, other, later)] == [True, True, False]
    of_a_log_without_times = Row.of({"triad.event_time": None})
    assert all(of_a_log_without_times.is_of(one) for one in (message, other, later))


def test_rows_name_messages_of_one_topic_and_others_are_counted():
    log = "kafka://h:1/t"
    rows = [row(f"{log}/0#3"), row(f"{log}/1#5"), row(f"{log}/0#3"), row(f"{log}2/0#1")]
    rows += [row(f"{log}/0#-1"), row(f"{log}/x#1"), row(None), Message("l", "t", 0, 0, None)]
    rows += [row(f"{log}/7#1"), row(f"{log}/0#{2**63}"), row(f"{log}/0#{'9' * 5000}")]
    rows += [Message("l", "t", 0, 0, b"[" * 100_000), Message("l", "t", 0, 0, b"\xff")]
    rows += [row(f"{log}/0#3", **{"triad.event_time": time}) for time in (7, "today", "2026-01-01")]
    bare = {Row(None, None)}
    assert named(rows, log, (0, 1)) == ({f"{log}/0": {3: bare}, f"{log}/1": {5: bare}}, 13)


def test_messages_that_stand_close_together_are_read_in_one_go():
    wanted = {"b": {7}, "a": {5, 6, 6 + GAP, 100}}
    assert runs(wanted) == [Part("a", 5, 7 + GAP), Part("a", 100, 101), Part("b", 7, 8)]
