"""Settings of a stream as they are given; `config.StreamConfig` checks them."""

import dataclasses

from triad_ml.pipelines.runtime.names import MessageFormat
from triad_ml.pipelines.tables import ScoresFormat

MEMORY = "_triad"
"""Folder in the sink's, in which a stream's memory lies."""


@dataclasses.dataclass(frozen=True)
class StreamSettings:
    """Everything that a stream reads, loads and writes.

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
