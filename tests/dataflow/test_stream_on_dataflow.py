"""`triad stream --runner dataflow`: the submitted job and the refusals, without a cloud."""

import re
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.runtime.logs import SECRET_NAME
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming.jobs import dataflow as jobs_dataflow

PROJECT = "triad-project"
IMAGE = "example/triad-worker:1"
SOURCE = f"pubsub://{PROJECT}/clips.new"
TOPICS = ("--sink", f"pubsub://{PROJECT}/scores", "--rejected", f"pubsub://{PROJECT}/rejected")
NAME = jobs_dataflow.job_name(SOURCE)


class Nowhere:
    """For commands that submit nothing."""

    endpoint = ""


def argv(cloud: str, dataflow: Any, *more: str, sink: Any = TOPICS, beam: Any = ()) -> list[str]:
    return [
        *("stream", "--model", f"{cloud}/model", "--source", SOURCE, *sink),
        *("--runner", "dataflow", "--no-wait", *more),
        *("--", f"--project={PROJECT}", "--region=europe-west4", f"--temp_location={cloud}/temp"),
        *(f"--dataflow_endpoint={dataflow.endpoint}", "--no_auth"),
        *(f"--sdk_container_image={IMAGE}", *beam),
    ]


def staged(job: Any) -> beam_runner_api_pb2.Pipeline:
    url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    return beam_runner_api_pb2.Pipeline.FromString(atomic.read_bytes(url))


def payloads(pipeline: beam_runner_api_pb2.Pipeline, urn: str, kind: Any) -> list[Any]:
    """What the pipeline's steps of one kind say, in the order of their names."""
    steps = sorted(pipeline.components.transforms.values(), key=lambda step: step.unique_name)
    return [kind.FromString(step.spec.payload) for step in steps if step.spec.urn == urn]


def read_and_written(job: Any) -> tuple[Any, list[str]]:
    pipeline = staged(job)
    (read,) = payloads(
        pipeline, "beam:transform:pubsub_read:v1", beam_runner_api_pb2.PubSubReadPayload
    )
    written = payloads(
        pipeline, "beam:transform:pubsub_write:v1", beam_runner_api_pb2.PubSubWritePayload
    )
    return read, sorted(one.topic for one in written)


def test_the_job_streams_from_the_subscription_to_both_topics(cloud, dataflow):
    more = ("--id-attribute", "uid", "--time-attribute", "seen_at")
    assert main.main(argv(cloud, dataflow, *more)) == 0
    (job,) = dataflow.jobs
    assert job["type"] in (2, "JOB_TYPE_STREAMING")
    assert job["name"] == NAME
    assert re.fullmatch("stream-clips-new-[0-9a-f]{8}", NAME)
    options = job["environment"]["sdkPipelineOptions"]["options"]
    assert options["streaming"] is True
    assert options["enable_streaming_engine"] is True
    assert options["save_main_session"] is False
    assert options["sdk_location"] == "container"
    assert set(job["labels"]) == {"triad_model"}
    assert [name for name, value in options.items() if value and SECRET_NAME.search(name)] == []
    read, topics = read_and_written(job)
    assert read.subscription == f"projects/{PROJECT}/subscriptions/clips.new"
    assert (read.id_attribute, read.timestamp_attribute) == ("uid", "seen_at")
    assert read.with_attributes
    assert topics == [f"projects/{PROJECT}/topics/{name}" for name in ("rejected", "scores")]


def test_a_bucket_as_sink_takes_both_kinds_and_nothing_is_published(cloud, dataflow):
    assert main.main(argv(cloud, dataflow, sink=("--sink", f"{cloud}/scores"))) == 0
    _, topics = read_and_written(dataflow.jobs[0])
    assert topics == []
    assert "Files/Write" in {
        step.unique_name for step in staged(dataflow.jobs[0]).components.transforms.values()
    }


def test_a_second_stream_from_the_subscription_is_refused(cloud, dataflow, capsys):
    assert main.main(argv(cloud, dataflow)) == 0
    assert main.main(argv(cloud, dataflow, sink=("--sink", f"{cloud}/scores"))) == 11
    assert len(dataflow.jobs) == 1
    said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("triad: ")]
    assert said == [
        f"triad: {SOURCE}: a stream from it is running already (job {NAME}); drain that one, "
        "or replace it with -- --update"
    ]


def test_an_update_replaces_the_running_stream(cloud, dataflow):
    assert main.main(argv(cloud, dataflow)) == 0
    changed = ("--sink", f"{cloud}/scores")
    assert main.main(argv(cloud, dataflow, sink=changed, beam=("--update",))) == 0
    first, second = dataflow.jobs
    assert second["replaceJobId"] == first["id"]
    assert second["name"] == first["name"] == NAME
    assert [first["currentState"], second["currentState"]] == [
        "JOB_STATE_UPDATED",
        "JOB_STATE_RUNNING",
    ]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--model", "here"), "--model: here: workers of Dataflow cannot open it; copy it to"),
        (("--sink", "here"), "--sink: dataflow streams to pubsub://PROJECT/TOPIC or a gs://"),
        (("--source", "kafka://h:1/t"), "--source: dataflow streams from pubsub://PROJECT/SUB"),
        (("--source", "pubsub://p/x"), "--source: must be pubsub://PROJECT/SUBSCRIPTION"),
        (("--rejected", TOPICS[1]), "--rejected: must be another topic than --sink"),
        (("--rejected", "kafka://h:1/t"), "--rejected: name the topic for rejected records as "),
        (("--until-empty",), "--until-empty: is of --runner local or prism; leave it out"),
        (("--media-files",), "--media-files: is of a folder; leave it out with a topic as"),
        (("--state", "gs://b/s"), "--state: Dataflow keeps it; leave it out"),
        (("--id-attribute", ""), "--id-attribute: must not be empty"),
        (("--runner", "local"), "--no-wait: is of --runner flink or dataflow; leave it out"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(more, line, capsys):
    assert main.main(argv("gs://nowhere", Nowhere(), *more)) == 12
    assert capsys.readouterr().err.startswith(f"triad: {line}")


def test_the_jobs_name_is_not_a_choice(capsys):
    assert main.main(argv("gs://nowhere", Nowhere(), beam=("--job_name=mine",))) == 12
    said = capsys.readouterr().err
    assert said.startswith("triad: --job_name: is that of the subscription, of which two streams")


def test_pubsub_without_dataflow_is_refused(tmp_path, capsys):
    arguments = ["stream", "--model", "m", "--source", SOURCE, "--sink", str(tmp_path)]
    assert main.main(arguments) == 12
    said = capsys.readouterr().err
    assert said.startswith("triad: --source: pubsub:// needs --runner dataflow; else give a local")
