"""Job of `triad stream --runner flink`: Kafka to Kafka, as one long-running job on the cluster."""

import logging
from typing import Any

import apache_beam as beam

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runners import beam_options, worker_errors, workers
from triad_ml.pipelines.runners.flink import expansion
from triad_ml.pipelines.runners.workers import CheckWorkers
from triad_ml.pipelines.scoring.score import Score
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.streaming import endpoints, rules, unbounded
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import flink_checkpoints
from triad_ml.pipelines.streaming.kafka.admin import TopicAdmin
from triad_ml.pipelines.streaming.kafka.endpoint import place
from triad_ml.pipelines.streaming.kafka.flink_io import ReadMessages
from triad_ml.pipelines.streaming.kafka.reader import Reader
from triad_ml.pipelines.streaming.kafka.topic import Topic
from triad_ml.pipelines.streaming.messages import parser as messages_parser
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.schema import ScoreSchema

_NO_CACHE = "--environment_cache_millis=0"
"""Option that gives a restarted job a new worker, since the cached worker may have died."""

_log = logging.getLogger(__name__)


def run(config: StreamConfig) -> None:
    """Submits a stream to Flink and, unless `no_wait` is set, waits for its end.

    The cluster runs the job, so it continues when this process ends. Every message is scored or
    rejected at least once; a row's idempotency key identifies repetitions.

    Raises:
        OptionsError: If a model, topic, checkpoint or worker cannot be used.
        StorageError: If the cluster does not answer, or the job fails.
    """
    config = workers.with_full_paths(config)
    model = model_store.load(config.model, config.verify_key)
    settings = schema.score_schema(model, config.format)
    name = flink_checkpoints.stream_name(config)
    rules.check_inputs(config)  # without its topics a job would restart again and again
    with worker_errors.raised(config.runner):
        _check_workers(config)
        settle_topic(config)
        ours = _options_of_stream(config, name)
        root = beam.Pipeline(
            options=beam_options.beam_options(config.runner, config.beam_args, ours)
        )
        with expansion.service() as service:
            define_pipeline(root, config, model, settings, service)
            job = root.run()  # the expansion service must still answer here
        _log.info(
            "%s -> %s: job %s on Flink, at least once; it runs on without this process",
            config.source, config.sink, name,
        )  # fmt: skip
        if not config.no_wait:
            job.wait_until_finish()


def settle_topic(config: StreamConfig) -> None:
    """Commits the offsets at which the job begins, and reports messages that were removed unread.

    The offsets that Flink commits do not name the topic's id. So the stream's folder keeps the id
    of the last submission. If the topic has another id now, it was created again under the same
    name: the beginning of the new topic is committed for the group, and older checkpoints are
    ignored. A job from a checkpoint of the same topic reads the offsets in the checkpoint; messages
    that retention removed after these offsets are not reported.

    Raises:
        StorageError: If no broker answers, or the state cannot be read or written.
    """
    servers, name = place(config.source)
    state = flink_checkpoints.folder(config)
    before = flink_checkpoints.topic_id(state)
    now = TopicAdmin(servers, name).about().id
    if config.from_checkpoint is None or (before and now and now != before):
        reader = Reader(Topic(servers, name, config.group), (), {}, before)
        try:
            reader.commit_start()
        finally:
            reader.close()
    flink_checkpoints.note_topic(state, now)


def define_pipeline(
    root: beam.Pipeline,
    config: StreamConfig,
    model: bundle.Artefact,
    settings: ScoreSchema,
    expansion_service: str,
) -> None:
    """Adds read, score and write to `root`; runs nothing.

    Args:
        root: Pipeline to which the steps are added.
        config: Settings of the stream: source, sinks and limits.
        model: Model that scores.
        settings: Common properties of all rows.
        expansion_service: Address of the expansion service, `HOST:PORT`; see `expansion.service`.
    """
    parser = messages_parser.parser(config, model.spec.label_names)
    score = Score.from_model(model, config.model, config.media_roots)
    read = root | "Read" >> ReadMessages(*place(config.source), config.group, expansion_service)
    checked = read | "CheckWorkers" >> CheckWorkers(messages_parser.Message)
    scores = unbounded.define_pipeline(checked, parser, score, settings)
    endpoints.of(config.sink).write(scores, config, settings)


def _check_workers(config: StreamConfig) -> None:
    """Raises if workers differ from this process: a stream would restart them forever."""
    ours = ("--job_name=triad-check-workers", _NO_CACHE)
    with beam.Pipeline(
        options=beam_options.beam_options(config.runner, config.beam_args, ours)
    ) as root:
        unit = root | beam.Create([units.Unit(0, "", 0, 0)], reshuffle=False)
        _ = unit | CheckWorkers(units.Unit)


def _options_of_stream(config: StreamConfig, name: str) -> list[str]:
    state = flink_checkpoints.folder(config)
    state.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "job_name": name,
        "checkpointing_interval": round(1000 * config.checkpoint_seconds),
        "state_backend": "filesystem",
        "state_backend_storage_path": state.as_uri(),
        "max_bundle_size": config.batch_records,
        "max_bundle_time_mills": round(1000 * config.batch_seconds),
    }
    restored = flink_checkpoints.chosen(config)
    if restored is not None:
        values["savepoint_path"] = restored.as_uri()
        _log.info("resumes from %s", restored)
    flags = ["streaming", "externalized_checkpoints_enabled"]
    flags.append("retain_externalized_checkpoints_on_cancellation")
    return [
        _NO_CACHE,
        *(f"--{flag}" for flag in flags),
        *(f"--{key}={value}" for key, value in values.items()),
    ]
