"""Metrics of a stream, bounds of its queue, and the three conditions that close a batch."""

import json
import logging
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from triad_ml.model.serving import bundle
from triad_ml.pipelines.streaming import metrics
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.interfaces import Load
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.streaming.kafka.source import KafkaSource
from triad_ml.pipelines.streaming.messages.parser import Parser
from triad_ml.transforms.errors import StorageError

DEADLINE = 120.0


def read(path: Path) -> dict[str, float]:
    """Samples by name, with the labels' values."""
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_a_stream_writes_what_it_did_and_what_waits_and_says_what_it_lost(
    trained, tmp_path, caplog
):
    source, path = tmp_path / "in", tmp_path / "triad.prom"
    source.mkdir()
    lost = [{"image": f"{n}.png"} if n else {} for n in range(3)]
    lines = [json.dumps({"id": f"r{n}", "text": "a red bird", **lost[n]}) for n in range(3)]
    (source / "a.jsonl").write_text("\n".join([*lines, "no json"]) + "\n")
    metrics.write(str(path))
    before = read(path)
    began = time.time()
    config = StreamConfig(
        str(trained),
        str(source),
        str(tmp_path / "out"),
        poll_seconds=0,
        until_empty=True,
        metrics=str(path),
    )
    with caplog.at_level(logging.INFO):
        local.run(config, stopping.Stop())
    after = read(path)

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grew("triad_stream_records_total/scored") == 3
    assert grew("triad_stream_records_total/rejected") == 1
    assert grew("triad_stream_media_total/image/not_found") == 2
    assert grew("triad_stream_media_total/image/used") == 0
    assert grew("triad_stream_media_total/text/used") == 3
    assert grew("triad_stream_latency_seconds_count") == 4
    assert grew("triad_stream_batch_records_sum") == 4
    assert grew("triad_stream_batch_bytes_sum") == (source / "a.jsonl").stat().st_size
    assert grew("triad_stream_batch_seconds_count") == 1
    assert grew("triad_stream_latency_seconds_sum") > 0
    assert after["triad_stream_behind"] == 0
    assert after["triad_stream_queue_messages"] == 0
    assert after["triad_stream_alive_timestamp_seconds"] >= began
    (model,) = [name for name in after if name.startswith("triad_stream_model_info")]
    assert model == f"triad_stream_model_info/{bundle.load(trained).model_digest}/{trained}"
    does = (
        "deliver the files (relative paths are tried against the records file's folder, then each"
    )
    most = "2 of 2 media are not used (100.0%; most often: not_found, 2), over the limit of 50.0%"
    said = [
        record.message
        for record in caplog.records
        if record.name == "triad_ml.pipelines.streaming.jobs.local"
    ]
    assert f"of the last 1 batches: image: {most}; {does} --media-root)" in said
    assert said[-5:] == [
        "ended: 4 read, 3 scored, 1 rejected",
        "rejected as unparsable: 1 of 4; mend what writes the records: the detail says what is "
        "wrong",
        f"image: 2 of 2 not used (100.0%): not_found 2; {does} --media-root)",
        "audio: no record has one",
        "text: all 3 used",
    ]


def test_metrics_that_cannot_be_written_are_one_line(tmp_path):
    with pytest.raises(StorageError, match=r"/none/triad\.prom"):
        metrics.write(f"{tmp_path}/none/triad.prom")


def source_of(broker, topic: str, records: int, seconds: float, size: int) -> KafkaSource:
    return KafkaSource(broker.servers, topic, "g", Parser(), records, seconds, batch_bytes=size)


def sizes(source: KafkaSource, batches: int) -> list[int]:
    """Messages in each of the next batches."""
    found: list[int] = []
    until = time.monotonic() + DEADLINE
    while len(found) < batches:
        assert time.monotonic() < until
        parts = source.poll()
        if parts:
            found.append(sum(part.stop - part.start for part in parts))
    return found


def test_a_batch_of_messages_closes_by_count_by_bytes_and_by_time(broker):
    topic = broker.topic()
    broker.send(topic, [b"x" * 1000] * 6)
    source = source_of(broker, topic, 4, 60, 10**6)
    try:
        assert sizes(source, 1) == [4]
    finally:
        source.close()
    source = source_of(broker, topic, 100, 60, 2500)
    try:
        assert sizes(source, 2) == [3, 3]
        assert source.load() == Load(0, 6, 6000, *source.load()[3:])
        assert source.is_drained()
    finally:
        source.close()
    source = source_of(broker, topic, 100, 0, 10**6)
    try:
        found = sizes(source, 1)
        while sum(found) < 6:
            found += sizes(source, 1)
        assert sum(found) == 6  # with none to come, and the batch not full
    finally:
        source.close()


def test_what_is_fetched_ahead_of_a_slow_sink_is_bounded_by_bytes(broker):
    topic = broker.topic()
    message, count, limit, fetch = 2**17, 256, 2**20, 2**20
    broker.send(topic, [b"x" * message] * count)
    source = source_of(broker, topic, 1, 0, limit)
    seen: list[Load] = []
    pause = threading.Event()
    until = time.monotonic() + DEADLINE
    try:
        while len({load.queued_bytes for load in seen if load.queued_bytes}) < 2:
            assert time.monotonic() < until
            parts = source.poll()
            seen.append(source.load())
            source.done(parts)
            assert not source.is_drained()
            pause.wait(0.1)  # the slow sink
    finally:
        source.close()
    assert max(load.queued_bytes for load in seen) <= limit + fetch + message
    assert max(load.behind for load in seen) > count / 2
    assert max(load.held_bytes for load in seen) == message
