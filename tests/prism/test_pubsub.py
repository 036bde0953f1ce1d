"""Pub/Sub messages through the graph of the Dataflow job, on Prism with a TestStream."""

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runners import prism
from triad_ml.pipelines.streaming import endpoints
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import dataflow
from triad_ml.pipelines.streaming.pubsub.messages import ToPubSub
from triad_ml.pipelines.tables import formats, schema

START = 1_700_000_040
SOURCE = "pubsub://triad-project/clips"
_PLACE = ("--project=triad-project", "--region=x", "--temp_location=gs://b/t")
BEAM = (*_PLACE, "--sdk_container_image=i")


def message(number: int, second: int, value: bytes, **changes: Any) -> TimestampedValue:
    sent = datetime.datetime.fromtimestamp(START + second, datetime.UTC)
    given = {"attributes": {}, "message_id": str(number), "publish_time": sent, **changes}
    return TimestampedValue(PubsubMessage(value, **given), START + second)


def record(**fields: Any) -> bytes:
    return json.dumps({"text": "a red bird", **fields}).encode()


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


@pytest.fixture
def given() -> test_stream.TestStream:
    """Five messages: a late one, one that is no record, one that comes twice, and an odd one."""
    stream = test_stream.TestStream().advance_watermark_to(START)
    twice = message(7, 20, record(id="c"))
    stream.add_elements([message(9, 30, record(id="b"), ordering_key="cam"), twice])
    stream.add_elements([message(8, 10, record(), attributes={"sensor": "4"}), twice])
    stream.advance_watermark_to(START + 61)
    stream.add_elements([message(5, 5, record(id="late"))])
    stream.add_elements([message(6, 65, b"no record", attributes={"a": "b"})])
    return stream.advance_watermark_to_infinity()


def config(model: bundle.Artefact, sink: str, rejected: str | None, **more: Any) -> StreamConfig:
    cloud = {"runner": "dataflow", "beam_args": BEAM}
    made = StreamConfig("gs://b/model", SOURCE, sink, rejected, **cloud, **more)
    object.__setattr__(made, "model", str(model.folder))  # here, workers see this machine's disk
    return made


def test_scores_and_dead_letters_are_messages_with_their_key_as_attributes(model, given, endpoint):
    settings = schema.score_schema(model, "jsonl")
    digest = settings.provenance.model
    topics = ("pubsub://triad-project/scores", "pubsub://triad-project/rejected")
    with beam.Pipeline(options=prism.beam_options(endpoint)) as root:
        scores = dataflow.define_pipeline(root | given, config(model, *topics), model, settings)
        published = scores | ToPubSub(settings)
        assert_that(published.scored, scores_are(digest), label="Scores")
        assert_that(published.rejected, refused_are(digest), label="Refused")


def scores_are(digest: str) -> Any:
    def check(found: list[PubsubMessage]) -> None:
        keys = {"c": 2, "b": 1, "clips-0-8": 1, "late": 1}
        by_id: dict[str, list[PubsubMessage]] = {}
        for one in found:
            by_id.setdefault(one.attributes["record_id"], []).append(one)
        assert {name: len(ones) for name, ones in by_id.items()} == keys
        assert by_id["c"][0] == by_id["c"][1]  # at least once, under one key
        ordered = {"record_id": "b", "model_digest": digest, "ordering_key": "cam"}
        assert by_id["b"][0].attributes == ordered
        row = json.loads(by_id["clips-0-8"][0].data)
        assert row["triad.position"] == f"{SOURCE}/0#8"
        assert json.loads(row["message_headers"]) == {"sensor": "4"}
        assert row["triad.event_time"].startswith("2023-11-14T22:14:10")

    return check


def refused_are(digest: str) -> Any:
    def check(found: list[PubsubMessage]) -> None:
        (one,) = found
        place = f"{SOURCE}/0#6"
        assert one.attributes == {"record_id": place, "model_digest": digest}
        row = json.loads(one.data)
        assert (row["id"], row["reason"], row["stage"]) == (place, "unparsable", "read")
        assert row["payload_digest"] == hashlib.sha256(b"no record").hexdigest()

    return check


def test_a_folder_as_sink_gets_a_file_a_window_and_further_ones_for_what_is_late(
    model, given, endpoint, tmp_path
):
    settings = schema.score_schema(model, "parquet")
    cloud = config(model, "gs://b/scores", None)
    object.__setattr__(cloud, "sink", str(tmp_path / "out"))
    with beam.Pipeline(options=prism.beam_options(endpoint)) as root:
        scores = dataflow.define_pipeline(root | given, cloud, model, settings)
        endpoints.of(cloud.sink).write(scores, cloud, settings)
    found = {}
    for kind in ("scores", "rejected"):
        for path in sorted((tmp_path / "out" / kind).glob("*/*")):
            ids = tuple(formats.read(str(path))["id"].to_pylist())
            found[(kind, path.parent.name, ids)] = 1
    first, second = "window=20231114T221400Z", "window=20231114T221500Z"
    assert set(found) == {
        ("scores", first, ("c", "clips-0-8", "b")),
        ("scores", first, ("late",)),
        ("rejected", second, (f"{SOURCE}/0#6",)),
    }
