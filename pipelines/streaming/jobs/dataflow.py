"""`triad stream --runner dataflow`: Pub/Sub to Pub/Sub or to files, as one job that lives on."""

import hashlib
import logging
import re

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub, WriteToPubSub

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runners import beam_options, dataflow, results, workers
from triad_ml.pipelines.scoring.score import Score
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.streaming import addresses, unbounded
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.folder.sink import check_outputs
from triad_ml.pipelines.streaming.folder.windowed_sink import Files, WriteWindows
from triad_ml.pipelines.streaming.messages import parser as messages_parser
from triad_ml.pipelines.streaming.pubsub import FromPubSub, Published, ToPubSub
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.schema import RunSettings

_log = logging.getLogger(__name__)


def run(config: StreamConfig) -> None:
    """Submits a stream to Dataflow, and waits for its end unless told not to.

    The job belongs to the service: it goes on when this process ends.

    Raises:
        OptionsError: A model or option that cannot be used.
        LostRaceError: A stream from this subscription is running already.
        StorageError: Where the service does not take the job, or the job does not end well.
    """
    check_outputs(config)
    model = model_store.load(config.model, config.verify_key)
    settings = schema.run_settings(model, config.format)
    name = job_name(config.source)
    with results.errors_of_workers(config.runner):
        arguments = beam_args(config, settings)
        root = beam.Pipeline(options=beam_options.beam_options(config.runner, arguments))
        project, subscription = _place(config.source)
        read = root | "Read" >> ReadFromPubSub(
            subscription=f"projects/{project}/subscriptions/{subscription}",
            id_label=config.id_attribute,
            with_attributes=True,
            timestamp_attribute=config.time_attribute,
        )
        published = define_pipeline(read, config, model, settings)
        if published is not None:
            sink, rejected = _topic(config.sink), _topic(config.rejected or "")
            _ = published.scored | "Publish" >> WriteToPubSub(sink, with_attributes=True)
            _ = published.rejected | "Refuse" >> WriteToPubSub(rejected, with_attributes=True)
        taken = (
            f"{config.source}: a stream from it is running already (job {name}); drain that one, "
            "or replace it with -- --update"
        )
        _log.info("%s -> %s: job %s on Dataflow", config.source, config.sink, name)
        dataflow.submit(root, not config.no_wait, taken)


def define_pipeline(
    read: beam.PCollection[PubsubMessage],
    config: StreamConfig,
    model: bundle.Artefact,
    settings: RunSettings,
) -> Published | None:
    """Adds score, and write where the sink is a folder, to the pipeline of `read`; runs nothing.

    Args:
        read: Messages with attributes, at their event times.
        config: Source, sinks and limits.
        model: Scores.
        settings: What all rows have in common.

    Returns:
        What is to be published, where the sink is a topic.
    """
    parser = messages_parser.parser(config, model.spec.label_names)
    score = Score.from_model(model, config.model, config.media_roots)
    found = read | "Messages" >> FromPubSub(config.source, config.id_attribute)
    checked = found | "CheckWorkers" >> workers.CheckWorkers(messages_parser.Message)
    scores = unbounded.define_pipeline(checked, parser, score, settings)
    if addresses.is_topic(config.sink):
        published: Published = scores | "AsMessages" >> ToPubSub(settings)
        return published
    files = Files(config.sink.rstrip("/"), settings, config.window, config.shards)
    _ = scores | "Files" >> WriteWindows(files)
    return None


def job_name(source: str) -> str:
    """The same subscription has the same name, and two jobs of one name cannot run at once."""
    _, subscription = _place(source)
    readable = re.sub("[^a-z0-9]+", "-", subscription.lower())[:40].strip("-")
    return f"stream-{readable}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def beam_args(config: StreamConfig, settings: RunSettings) -> tuple[str, ...]:
    """Beam's options for the job: those that were given, and what Triad adds."""
    labels = {"triad_model": settings.provenance.model[:12]}
    ours = dataflow.beam_args(job_name(config.source), labels, config.beam_args)
    return (*ours, "--streaming", "--enable_streaming_engine")


def _place(uri: str) -> tuple[str, str]:
    found = addresses.pubsub_place(uri)
    if found is None:
        raise AssertionError(f"{uri}: was checked")
    return found


def _topic(uri: str) -> str:
    return "projects/{}/topics/{}".format(*_place(uri))
