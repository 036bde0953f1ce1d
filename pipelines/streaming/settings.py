"""Unchecked settings of a stream; `config.StreamConfig` checks them."""

import dataclasses

from triad_ml.pipelines.runtime.names import MessageFormat
from triad_ml.pipelines.tables import ScoresFormat

MEMORY = "_triad"
"""Name of the folder in the sink's folder that holds the stream's journal."""


@dataclasses.dataclass(frozen=True)
class StreamSettings:
    """Settings of a stream: inputs, model, outputs and runner.

    Attributes:
        model: Folder that training wrote, or a folder whose `CURRENT` names such a folder in it.
        source: Path of a folder, `kafka://HOST:PORT/TOPIC`, or `pubsub://PROJECT/SUBSCRIPTION`.
        sink: Path of a folder, `kafka://HOST:PORT/TOPIC`, `pubsub://PROJECT/TOPIC`, or a folder
            `gs://BUCKET/DIR`.
        rejected: Topic for rejected records, of the sink's scheme; None if the sink is a folder,
            which holds them too.
        state: Folder of the stream's state; None if the sink's folder or Kafka keeps it.
        group: Consumer group whose offsets are committed.
        message_format: Format of a message.
        message_bytes: Size of the largest message that is scored, in bytes.
        media_files: True if the source's files are media, matched by name.
        format: Format of the files that are written.
        window: Length of a window of event time, in seconds; its scores share a folder.
        batch_records: Approximate number of records in a micro-batch.
        batch_bytes: Size in bytes at which a batch of messages is full; also the limit of what is
            fetched ahead.
        batch_seconds: Time in seconds that a batch of messages waits to be filled, from its first
            message on; the duration of the batch before counts.
        poll_seconds: Seconds between two looks at a folder; a file is read once it has been
            unchanged for this long.
        media_roots: Folders that are searched for media after the records file's folder, in order.
        until_empty: True to end once all present input is scored.
        verify_key: PEM file of the public key with which the model's signature is verified.
        message_schema: File with the messages' Avro schema, or a JSON Schema for them.
        message_schema_id: Id of that schema in a registry, with which each message begins; None if
            messages have no such prefix.
        kafka_config: File with properties of Kafka's client, for TLS and SASL.
        runner: Name of the runner: `local`, `prism`, `flink` or `dataflow`.
        no_wait: True to submit the job and return; the job continues.
        from_checkpoint: Checkpoint of Flink, or `latest` for the newest in `state`; None begins at
            the group's committed offsets.
        checkpoint_seconds: Seconds between two checkpoints of Flink; a crash repeats at most this
            much.
        beam_args: Arguments that are passed to Beam unchanged.
        prism: Binary that `--runner prism` runs.
        shards: Number of files over which a window is spread, on Prism and Dataflow.
        id_attribute: Attribute of Pub/Sub messages by which duplicates are recognized.
        time_attribute: Attribute with the event time; None takes the time of publishing.
        replay_from: `kafka://HOST:PORT/TOPIC` of rejected records; only the source's messages that
            these records name are scored.
        metrics: File into which metrics are written, in Prometheus' text format.
        golden: Pattern of labelled records; a model that `CURRENT` names must predict their labels.
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
