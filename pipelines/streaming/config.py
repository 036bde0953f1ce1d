"""Frozen, checked settings of `triad stream`. Errors name the flag."""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from dataclasses import fields
from typing import TYPE_CHECKING

from triad_ml.pipelines.runners import beam_options, dataflow
from triad_ml.pipelines.runtime.names import MessageFormat
from triad_ml.pipelines.streaming.addresses import (
    _KAFKA_FORM,
    _TOPIC_FORM,
    KAFKA,
    PUBSUB,
    is_kafka,
    is_topic,
    kafka_place,
    pubsub_place,
)
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    pass


REPLAY_GROUP = "triad-replay"
"""The consumer group of `triad replay`, unless another one is named."""

MEMORY = "_triad"
"""The folder in a sink's in which a stream's memory lies."""


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """What a stream reads, loads and writes.

    Attributes:
        model: Folder that training wrote, or one whose `CURRENT` names such a folder in it.
        source: A folder, or `kafka://HOST:PORT/TOPIC`.
        sink: A folder, or `kafka://HOST:PORT/TOPIC`.
        rejected: `kafka://HOST:PORT/TOPIC` for rejected records; None with a folder as sink, which
            takes them too.
        state: Folder for what must be remembered; None where the sink's folder or Kafka keeps it.
        group: The consumer group whose offsets are committed.
        message_format: What a message is.
        message_bytes: Bytes of the largest message that is scored.
        media_files: Whether the source's files are media, matched by name.
        format: Of the files that are written.
        window: Seconds of event time whose scores lie in one folder.
        batch_records: About how many records a micro-batch holds.
        batch_bytes: A batch of messages that holds as many is full, and no more are fetched ahead.
        batch_seconds: How long a batch of messages waits, from the first one on, to be filled; the
            time counts that the batch before took.
        poll_seconds: How often a folder is looked at, and how long a file must not have changed.
        media_roots: Folders in which media are looked for after that of the records file, in order.
        until_empty: Whether to end once all that is there is scored.
        verify_key: PEM file of the public key that the model must be signed with.
        message_schema: File with the messages' Avro schema, or a JSON Schema for them.
        message_schema_id: A registry's number of that schema, with which messages begin; None where
            they do not.
        kafka_config: File with properties of Kafka's client, for TLS and SASL.
        runner: `local`, or `flink`: from Kafka to Kafka, as a job of the cluster.
        no_wait: Submit the job and return; it goes on.
        from_checkpoint: A checkpoint of Flink's, or `latest` for the newest in `state`; None begins
            at the group's committed offsets.
        checkpoint_seconds: How often Flink makes a checkpoint: a crash repeats so much.
        beam_args: What goes to Beam as it is.
        prism: The binary that `--runner prism` runs.
        shards: Files that a window is spread over, on Prism and Dataflow.
        id_attribute: Attribute of Pub/Sub's messages by which those sent twice are known.
        time_attribute: Attribute with the event time; None takes the time of publishing.
        replay_from: `kafka://HOST:PORT/TOPIC` of rejected records: only the messages of the source
            that they name are scored.
        metrics: File into which metrics are written, in Prometheus' text format.
        golden: Pattern of records that a model which `CURRENT` names must score, as labelled.
    """

    model: str
    source: str
    sink: str
    rejected: str | None = None
    state: str | None = None
    group: str = "triad"
    message_format: MessageFormat = "json"
    message_bytes: int = 16 * 2**20
    media_files: bool = False
    format: ScoresFormat = "parquet"
    window: int = 60
    batch_records: int = 1024
    batch_bytes: int = 64 * 2**20
    batch_seconds: float = 0.1
    poll_seconds: float = 2.0
    media_roots: tuple[str, ...] = ()
    until_empty: bool = False
    verify_key: str | None = None
    message_schema: str | None = None
    message_schema_id: int | None = None
    kafka_config: str | None = None
    runner: str = "local"
    no_wait: bool = False
    from_checkpoint: str | None = None
    checkpoint_seconds: float = 10.0
    beam_args: tuple[str, ...] = ()
    prism: str | None = None
    shards: int = 1
    id_attribute: str | None = None
    time_attribute: str | None = None
    golden: str | None = None
    metrics: str | None = None
    replay_from: str | None = None

    def __post_init__(self) -> None:
        for flag, value in (
            ("--model", self.model),
            ("--group", self.group),
            *(("--media-root", root) for root in self.media_roots),
            *([] if self.verify_key is None else [("--verify-key", self.verify_key)]),
            *([] if self.golden is None else [("--golden", self.golden)]),
            *([] if self.metrics is None else [("--metrics", self.metrics)]),
            *([] if self.kafka_config is None else [("--kafka-config", self.kafka_config)]),
        ):
            if not value.strip():
                raise OptionsError(f"{flag}: must not be empty")
        for flag, value in (("--source", self.source), ("--sink", self.sink)):
            _check_place(flag, value)
        for flag, number in (
            ("--message-bytes", self.message_bytes),
            ("--window", self.window),
            ("--batch-records", self.batch_records),
            ("--shards", self.shards),
            ("--batch-bytes", self.batch_bytes),
        ):
            if number < 1:
                raise OptionsError(f"{flag}: must be at least 1, got {number}")
        for flag, seconds in (
            ("--batch-seconds", self.batch_seconds),
            ("--poll-seconds", self.poll_seconds),
        ):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise OptionsError(f"{flag}: must be 0 or more, got {seconds:g}")
        _one_of("--format", self.format, ScoresFormat)
        _one_of("--message-format", self.message_format, MessageFormat)
        if self.media_files and is_topic(self.source):
            raise OptionsError("--media-files: is of a folder; leave it out with a topic as source")
        if self.kafka_config is not None and not (is_kafka(self.source) or is_kafka(self.sink)):
            raise OptionsError("--kafka-config: is of Kafka; leave it out without kafka://")
        if self.replay_from is not None:
            self._check_replay(self.replay_from)
        self._check_schema()
        check(self)
        self._check_rejected()
        self._check_state()

    @property
    def state_folder(self) -> str | None:
        """Where the stream's memory lies; None where Kafka alone keeps it."""
        if self.state is not None:
            return self.state
        return None if is_topic(self.sink) else f"{self.sink.rstrip('/')}/{MEMORY}"

    @property
    def source_name(self) -> str:
        """The source, however it was written."""
        if self.replay_from is not None:
            return f"{self.source} by {self.replay_from}"
        return self.source if is_topic(self.source) else os.path.realpath(self.source)

    @property
    def watched(self) -> str:
        """The folder that is watched; "" where the source is a topic."""
        return "" if is_topic(self.source) else self.source

    def _check_replay(self, rows: str) -> None:
        if not is_kafka(self.source):
            raise OptionsError("--source: must be the topic whose messages were rejected")
        if not is_kafka(rows):
            raise OptionsError("--from: must be a topic, kafka://HOST:PORT/TOPIC")
        _check_place("--from", rows)

    def _check_schema(self) -> None:
        if self.message_schema is None:
            if self.message_format == "avro":
                raise OptionsError("--message-schema: name the file with the Avro schema")
            if self.message_schema_id is not None:
                raise OptionsError("--message-schema-id: is of a --message-schema; name that too")
        elif not self.message_schema.strip():
            raise OptionsError("--message-schema: must not be empty")
        elif self.message_format == "example":
            raise OptionsError("--message-schema: a tf.Example has none; leave it out")
        elif "://" not in self.source:
            raise OptionsError("--message-schema: is of messages; leave it out with a folder")
        if not 0 <= (self.message_schema_id or 0) < 2**32:
            raise OptionsError(
                f"--message-schema-id: must be 0 to 2**32 - 1, got {self.message_schema_id}"
            )

    def _check_rejected(self) -> None:
        if is_topic(self.sink):
            scheme, form = (KAFKA, _KAFKA_FORM) if is_kafka(self.sink) else (PUBSUB, _TOPIC_FORM)
            if self.rejected is None or not self.rejected.startswith(scheme):
                raise OptionsError(f"--rejected: name the topic for rejected records as {form}")
            _check_place("--rejected", self.rejected)
            if self.rejected == self.sink:
                raise OptionsError("--rejected: must be another topic than --sink")
        elif self.rejected is not None:
            raise OptionsError("--rejected: a folder as --sink takes them too; leave it out")

    def _check_state(self) -> None:
        if self.state is not None:
            if is_topic(self.state):
                raise OptionsError(f"--state: {self.state}: is a topic; name a folder")
            _check_place("--state", self.state)
        if is_topic(self.source):
            return
        if self.state_folder is None:
            raise OptionsError(
                "--state: name a folder; with a folder as source and Kafka as sink nothing else "
                "remembers what was scored"
            )
        source = os.path.realpath(self.source)
        for flag, folder in (("--sink", self.sink), ("--state", self.state)):
            if folder is None or is_kafka(folder):
                continue
            if os.path.commonpath([source, os.path.realpath(folder)]) == source:
                raise OptionsError(f"{flag}: {folder} is inside the source; choose another folder")


def kafka_places(config: StreamConfig) -> tuple[tuple[str, str], ...]:
    """`HOST:PORT` and topic of source, sink and rejected records, where they are of Kafka."""
    places = map(kafka_place, (config.source, config.sink, config.rejected or ""))
    return tuple(place for place in places if place is not None)


def check_places(config: StreamConfig) -> None:
    """Refuses a folder or topics of Kafka that are not there, before anything else is begun.

    Raises:
        OptionsError: Where there is no such folder or topic, or the client's properties cannot be
            used.
        StorageError: Where no broker answers.
    """
    if config.watched:
        from triad_ml.pipelines.streaming.folder import listing

        listing.check(config.watched)
    places = kafka_places(config)
    if not places:
        return
    from triad_ml.pipelines.streaming.kafka import admin

    rows = kafka_place(config.replay_from or "")
    for servers, topic in (*places, *([rows] if rows else [])):
        admin.TopicAdmin(servers, topic, config.kafka_config).about()


def _check_place(flag: str, place: str) -> None:
    if not place.strip():
        raise OptionsError(f"{flag}: must not be empty")
    if is_kafka(place):
        if kafka_place(place) is None:
            raise OptionsError(f"{flag}: must be {_KAFKA_FORM}, of one topic")
    elif is_topic(place):
        if pubsub_place(place) is None:
            form = _TOPIC_FORM if flag != "--source" else f"{PUBSUB}PROJECT/SUBSCRIPTION"
            raise OptionsError(f"{flag}: must be {form}")
    elif ":" in place:
        _check_uri(flag, place)


def _check_uri(flag: str, place: str) -> None:
    """Refuses URIs where a path is needed; a sink may be in a bucket."""
    from triad_ml.transforms.media import uris  # brings NumPy, and `--help` needs none

    path = uris.local_path(place)
    if path != place:
        raise OptionsError(f"{flag}: {place}: is a URI; give the path, {path}")
    scheme, found, _ = place.partition("://")
    if found and not (flag == "--sink" and scheme == "gs"):
        raise OptionsError(f"{flag}: {scheme}:// is not streamed; give a local folder")


def _one_of(flag: str, value: str, kind: typing.Any) -> None:
    known = typing.get_args(kind)
    if value not in known:
        raise OptionsError(f"{flag}: must be one of {', '.join(known)}, got {value!r}")


FLINK = "flink"


PRISM = "prism"


DATAFLOW = dataflow.RUNNER


LOCAL = "local"


RUNNERS = (LOCAL, PRISM, FLINK, DATAFLOW)


_OF = {
    "--no-wait": ("no_wait", (FLINK, DATAFLOW)),
    "--from-checkpoint": ("from_checkpoint", (FLINK,)),
    "--checkpoint-seconds": ("checkpoint_seconds", (FLINK,)),
    "--": ("beam_args", (FLINK, DATAFLOW)),
    "--prism": ("prism", (PRISM,)),
    "--shards": ("shards", (PRISM, DATAFLOW)),
    "--id-attribute": ("id_attribute", (DATAFLOW,)),
    "--time-attribute": ("time_attribute", (DATAFLOW,)),
    "--until-empty": ("until_empty", (LOCAL, PRISM)),
    "--poll-seconds": ("poll_seconds", (LOCAL, PRISM)),
    "--format": ("format", (LOCAL, PRISM, DATAFLOW)),
    "--window": ("window", (LOCAL, PRISM, DATAFLOW)),
    "--batch-records": ("batch_records", (LOCAL, PRISM, FLINK)),
    "--batch-seconds": ("batch_seconds", (LOCAL, FLINK)),
    "--batch-bytes": ("batch_bytes", (LOCAL,)),
    "--kafka-config": ("kafka_config", (LOCAL,)),
    "--golden": ("golden", (LOCAL,)),
    "--metrics": ("metrics", (LOCAL,)),
}
"""The fields of flags that not every runner knows, and the runners that do."""


def name(config: StreamConfig) -> str:
    """The runner's name in lower case."""
    return LOCAL if config.runner.lower() == "directrunner" else config.runner.lower()


def check(config: StreamConfig) -> None:
    """Refuses what the chosen runner cannot do.

    Raises:
        OptionsError: Naming the flag.
    """
    runner = name(config)
    if runner not in RUNNERS:
        raise OptionsError(
            f"--runner: {config.runner!r} is no runner of streams; use {', '.join(RUNNERS)}"
        )
    given = {one.name: getattr(config, one.name) != one.default for one in fields(config)}
    for flag, (field, runners) in _OF.items():
        if given[field] and runner not in runners:
            raise OptionsError(f"{flag}: is of --runner {' or '.join(runners)}; leave it out")
    beam_options.check_beam_args(config.beam_args)
    {LOCAL: _check_local, PRISM: _check_prism, FLINK: _check_flink, DATAFLOW: _check_dataflow}[
        runner
    ](config)


def _check_local(config: StreamConfig) -> None:
    for flag, place in (("--source", config.source), ("--sink", config.sink)):
        if place.startswith(("pubsub://", "gs://")):
            scheme = place.partition("://")[0]
            raise OptionsError(
                f"{flag}: {scheme}:// needs --runner dataflow; else give a local folder or kafka://"
            )


def _check_flink(config: StreamConfig) -> None:
    if not (config.source.startswith("kafka://") and config.sink.startswith("kafka://")):
        raise OptionsError("--runner: flink streams from kafka:// to kafka://; name topics")
    if config.state is None:
        raise OptionsError(
            "--state: name a folder for the checkpoints that all parts of the cluster see"
        )
    if "://" in config.state:
        raise OptionsError(
            f"--state: {config.state}: name a folder by its path; Flink's checkpoints are read here"
        )
    if not (math.isfinite(config.checkpoint_seconds) and config.checkpoint_seconds >= 0.1):
        raise OptionsError(
            f"--checkpoint-seconds: must be at least 0.1, got {config.checkpoint_seconds:g}"
        )


def _check_prism(config: StreamConfig) -> None:
    for flag, place in (("--source", config.source), ("--sink", config.sink)):
        if "://" in place:
            raise OptionsError(
                f"{flag}: prism keeps its state in memory, so it streams from a folder to a "
                "folder; name one, or use --runner local"
            )
    if config.state is not None:
        raise OptionsError("--state: is not kept on prism; leave it out")


def _check_dataflow(config: StreamConfig) -> None:
    if not config.source.startswith("pubsub://"):
        raise OptionsError("--source: dataflow streams from pubsub://PROJECT/SUBSCRIPTION")
    if not config.sink.startswith(("pubsub://", "gs://")):
        raise OptionsError("--sink: dataflow streams to pubsub://PROJECT/TOPIC or a gs:// folder")
    if any(one.partition("=")[0] == "--job_name" for one in config.beam_args):
        raise OptionsError(
            "--job_name: is that of the subscription, of which two streams would each get a part; "
            "leave it out"
        )
    if config.state is not None:
        raise OptionsError("--state: Dataflow keeps it; leave it out")
    for flag, value in (
        ("--id-attribute", config.id_attribute),
        ("--time-attribute", config.time_attribute),
    ):
        if value is not None and not value.strip():
            raise OptionsError(f"{flag}: must not be empty")
    paths = {
        "--model": (config.model,),
        "--sink": () if config.sink.startswith("pubsub://") else (config.sink,),
        "--media-root": config.media_roots,
    }
    dataflow.check(paths, config.beam_args)
