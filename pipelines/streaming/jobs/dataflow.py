"""Job of `triad stream --runner dataflow`: Pub/Sub to Pub/Sub or files, as one long-running job."""

import hashlib
import logging
import re

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runners import beam_options, registry, worker_errors, workers
from triad_ml.pipelines.scoring.score import Score, Scores
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.streaming import endpoints, rules, unbounded
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.messages import parser as messages_parser
from triad_ml.pipelines.streaming.pubsub.endpoint import place
from triad_ml.pipelines.streaming.pubsub.messages import FromPubSub
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.schema import ScoreSchema

_log = logging.getLogger(__name__)


def run(config: StreamConfig) -> None:
    """Submits a stream to Dataflow and, unless `no_wait` is set, waits for its end.

    The service runs the job, so it continues when this process ends.

    Raises:
        OptionsError: If a model or option cannot be used.
        LostRaceError: If a stream from this subscription is running already.
        StorageError: If the service refuses the job, or the job fails.
    """
    rules.check_outputs(config)
    model = model_store.load(config.model, config.verify_key)
    settings = schema.score_schema(model, config.format)
    name = job_name(config.source)
    with worker_errors.raised(config.runner):
        arguments = beam_args(config, settings)
        root = beam.Pipeline(options=beam_options.beam_options(config.runner, arguments))
        project, subscription = place(config.source)
        read = root | "Read" >> ReadFromPubSub(
            subscription=f"projects/{project}/subscriptions/{subscription}",
            id_label=config.id_attribute,
            with_attributes=True,
            timestamp_attribute=config.time_attribute,
        )
        scores = define_pipeline(read, config, model, settings)
        endpoints.of(config.sink).write(scores, config, settings)
        taken = (
            f"{config.source}: a stream from it is running already (job {name}); drain that one, "
            "or replace it with -- --update"
        )
        _log.info("%s -> %s: job %s on Dataflow", config.source, config.sink, name)
        registry.DATAFLOW.submit(root, not config.no_wait, taken)


def define_pipeline(
    read: beam.PCollection[PubsubMessage],
    config: StreamConfig,
    model: bundle.Artefact,
    settings: ScoreSchema,
) -> Scores:
    """Adds parse and score to the pipeline of `read`; runs nothing.

    Args:
        read: Messages with attributes, at their event times.
        config: Settings of the stream: source and limits.
        model: Model that scores.
        settings: Common properties of all rows.

    Returns:
        Rows by key; the endpoint of the sink writes them.
    """
    parser = messages_parser.parser(config, model.spec.label_names)
    score = Score.from_model(model, config.model, config.media_roots)
    messages = read | "Messages" >> FromPubSub(config.source, config.id_attribute)
    checked = messages | "CheckWorkers" >> workers.CheckWorkers(messages_parser.Message)
    return unbounded.define_pipeline(checked, parser, score, settings)


def job_name(source: str) -> str:
    """Returns the job's name, which is always the same for one subscription.

    Dataflow does not run two jobs of one name at once, so each subscription has at most one stream.
    """
    _, subscription = place(source)
    readable = re.sub("[^a-z0-9]+", "-", subscription.lower())[:40].strip("-")
    return f"stream-{readable}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def beam_args(config: StreamConfig, settings: ScoreSchema) -> tuple[str, ...]:
    """Returns Beam's options for the job: the user's, and those that Triad adds."""
    labels = {"triad_model": settings.provenance.model[:12]}
    ours = registry.DATAFLOW.job_arguments(job_name(config.source), labels, config.beam_args)
    return (*ours, "--streaming", "--enable_streaming_engine")
