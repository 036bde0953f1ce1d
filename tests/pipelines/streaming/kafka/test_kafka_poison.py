"""Poison messages: each is scored or rejected, and the stream continues with the next one."""

import collections
import json
import random
from pathlib import Path

import pytest

from tests import kafka, kafka_protocol
from tests.kafka_protocol import Raw
from tests.pipelines.streaming.kafka.test_kafka_messages import Topics
from triad_ml.model.serving import bundle
from triad_ml.pipelines.streaming import metrics
from triad_ml.pipelines.streaming.jobs import local
from triad_ml.pipelines.streaming.kafka.sink import KafkaSink
from triad_ml.pipelines.tables import schema
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.records.values import Position, Reason, Rejected

SEED = 20261129
FUZZED = 300
BEFORE_ALL_YEARS = -99_999_999_999_999
GOOD = b'{"id": "good", "text": "a red bird"}'


def test_a_time_of_no_year_costs_the_time_and_not_the_record(trained, broker, caplog, tmp_path):
    topics = Topics(broker, message_timestamp_after_max_ms=str(2**62))
    times = [BEFORE_ALL_YEARS, 2**61, -(2**62), -1, 1_700_000_000_000]
    kafka_protocol.send(broker.servers, topics.source, [Raw(GOOD, time=one) for one in times])
    assert topics.run(trained) == local.Counts(5, 5, 0)
    rows = topics.rows(topics.scores)
    assert [row["triad.event_time"] for row in rows] == [*[None] * 4, "2023-11-14T22:13:20+00:00"]
    place = f"{broker.uri(topics.source)}/0#0"
    assert f"{place}: its time is of no year from 1 to 9999, as that of 3 messages" in caplog.text
    files = {"sink": str(tmp_path / "files"), "rejected": None, "group": "files"}
    assert topics.run(trained, **files) == local.Counts(5, 5, 0)
    windows = {path.parent.name for path in (tmp_path / "files" / "scores").rglob("*.parquet")}
    assert windows == {"window=none", "window=20231114T221300Z"}


def test_a_row_whose_time_the_topic_refuses_has_the_brokers(trained, broker):
    topics = Topics(broker, message_timestamp_after_max_ms=str(2**62))
    in_year_9000 = 221_845_392_000_000
    messages = [Raw(GOOD), Raw(GOOD, time=in_year_9000), Raw(b"no json", time=in_year_9000)]
    kafka_protocol.send(broker.servers, topics.source, messages)
    assert topics.run(trained) == local.Counts(3, 2, 1)
    rows = topics.rows(topics.scores)
    assert [row["triad.event_time"] for row in rows] == [
        "2023-11-14T22:13:20+00:00",
        "9000-01-01T00:00:00+00:00",
    ]
    assert topics.committed() == [3]


def test_a_header_whose_name_is_not_text_is_rejected_with_its_place(trained, broker):
    topics = Topics(broker)
    good, bad = Raw(GOOD), Raw(GOOD, headers=((b"a", b"1"), (b"\xff\xfe", b"x"), (b"b", b"2")))
    kafka_protocol.send(broker.servers, topics.source, [*[good, bad] * 20, good])
    assert topics.run(trained) == local.Counts(41, 21, 20)
    rows = topics.rows(topics.rejected)
    assert [(row["source"], row["reason"], row["detail"]) for row in rows] == [
        (
            f"{broker.uri(topics.source)}/0#{place}",
            "unparsable",
            "the name of a header is not UTF-8",
        )
        for place in range(1, 41, 2)
    ]
    assert topics.committed() == [41]


def outcomes() -> collections.Counter[str]:
    """Records by what became of them, as the metrics of this process have them."""
    name, found = "triad_stream_records_total", collections.Counter[str]()
    for outcome in ("scored", "rejected"):
        found[outcome] = int(metrics.REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0)
    return found


def test_rows_that_a_topic_does_not_take_are_rejected_alone(trained, broker, caplog):
    topics = Topics(broker)
    topics.scores = broker.topic(max_message_bytes="4000")
    values = [
        json.dumps({"id": f"r{n}", "text": "a", "more": "y" * (9000 if n in (2, 5) else n)})
        for n in range(8)
    ]
    broker.send(topics.source, [value.encode() for value in values])
    before = outcomes()
    assert topics.run(trained) == local.Counts(8, 6, 2)
    assert outcomes() - before == {"scored": 6, "rejected": 2}
    assert "rejected as too_large: 2 of 8; " in caplog.text
    kept = {row["id"] for row in topics.rows(topics.scores)}
    assert kept == {f"r{n}" for n in (0, 1, 3, 4, 6, 7)}
    rows = topics.rows(topics.rejected)
    assert [(row["id"], row["stage"], row["reason"]) for row in rows] == [
        ("r2", "publish", "too_large"),
        ("r5", "publish", "too_large"),
    ]
    assert topics.committed() == [8]
    assert topics.run(trained) == local.Counts()


def test_of_one_key_the_last_row_stays_the_last(trained, broker):
    topics = Topics(broker)
    topics.scores = broker.topic(max_message_bytes="5000")
    texts = ["y" * 9000, "one", "two", "three"]
    values = [json.dumps({"id": "same", "text": "a", "more": text}).encode() for text in texts]
    broker.send(topics.source, values)
    assert topics.run(trained) == local.Counts(4, 3, 1)
    assert topics.rows(topics.scores)[-1]["more"] == "three"


def sink_of(trained: Path, broker: kafka.Broker, topics: Topics) -> KafkaSink:
    settings = schema.score_schema(bundle.load(trained), "jsonl")
    return KafkaSink(broker.servers, topics.scores, broker.servers, topics.rejected, settings)


def refused(offset: int, detail: str) -> Rejected:
    place = Position("kafka://h:1/t/0", offset)
    return Rejected(str(place), place, "read", Reason.UNPARSABLE, detail)


def test_a_rejected_row_that_a_topic_does_not_take_loses_its_detail_only(trained, broker):
    topics = Topics(broker)
    topics.rejected = broker.topic(max_message_bytes="2000")
    rows = [refused(1, "z" * 1_500_000), refused(2, "why"), refused(3, "x" * 3000)]
    sink_of(trained, broker, topics).write(1, "", [], rows)
    details = [row["detail"] for row in topics.rows(topics.rejected)]
    assert sorted(details) == ["why", "x" * 100, "z" * 100]


def test_a_rejected_row_that_no_topic_takes_ends_the_stream_before_it_commits(trained, broker):
    topics = Topics(broker)
    topics.rejected = broker.topic(max_message_bytes="300")
    broker.send(topics.source, [GOOD, b"no json", GOOD])
    with pytest.raises(
        StorageError, match=r"does not take the rejected row of .*/0#1, of \d+ bytes; raise"
    ):
        topics.run(trained)
    assert topics.committed()[0] < 0


def fuzzed(rng: random.Random) -> Raw:
    """A message of random bytes, or a good one of which a part is."""

    def noise(most: int) -> bytes:
        return rng.randbytes(rng.randint(0, most))

    value: bytes | None = GOOD
    kind = rng.randrange(6)
    if kind == 0:
        value = noise(200)
    elif kind == 1:
        value = None
    elif kind == 2:
        value = bytearray(GOOD)
        value[rng.randrange(len(GOOD))] = rng.randrange(256)
        value = bytes(value)
    elif kind == 3:
        fields = {"text": "a", noise(9).decode("latin-1"): noise(99).decode("latin-1")}
        value = json.dumps(fields).encode()
    elif kind == 4:
        value = json.dumps({"text": "a", "more": "y" * rng.choice([1, 50_000, 300_000])}).encode()
    names = [b"id", b"", b"a\0b", b"same", b"same", noise(5), noise(5)]
    headers = tuple(
        (rng.choice(names), rng.choice([None, b"", b"text", noise(600)]))
        for _ in range(rng.randrange(4))
    )
    times = [0, -1, 1_700_000_000_000, rng.getrandbits(63), -rng.getrandbits(63), 2**63 - 1]
    return Raw(value, rng.choice([None, b"", noise(50)]), headers, rng.choice(times))


def test_whatever_is_in_a_message_it_is_scored_or_rejected_and_the_stream_goes_on(trained, broker):
    rng = random.Random(SEED)
    messages = [fuzzed(rng) for _ in range(FUZZED)]
    limit = str(100_000)
    topics = Topics(broker, message_timestamp_after_max_ms=str(2**63 - 1))
    topics.scores = broker.topic(max_message_bytes=limit)
    topics.rejected = broker.topic(max_message_bytes=limit)
    kafka_protocol.send(broker.servers, topics.source, messages)
    counts = topics.run(trained, batch_records=100)
    assert counts.read == counts.scored + counts.rejected == FUZZED
    assert min(counts.scored, counts.rejected) > FUZZED / 10
    assert topics.committed() == [FUZZED]
    assert topics.run(trained) == local.Counts()
    scored = {row["triad.position"] for row in topics.rows(topics.scores)}
    rejected = {row["source"] for row in topics.rows(topics.rejected)}
    everywhere = {f"{broker.uri(topics.source)}/0#{place}" for place in range(FUZZED)}
    assert (scored | rejected, scored & rejected) == (everywhere, set())
