"""Commands for streams: stream and replay."""

from typing import Any

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session, command
from triad_ml.pipelines.streaming import run
from triad_ml.pipelines.streaming.config import REPLAY_GROUP, StreamConfig

app = typer.Typer()

_MESSAGES: dict[str, Any] = {
    "source": typer.Option(
        "--source",
        metavar="DIR|kafka://HOST:PORT/TOPIC|pubsub://PROJECT/SUBSCRIPTION",
        help="Folder, topic or subscription from which records are read.",
    ),
    "sink": typer.Option(
        "--sink",
        metavar="DIR|kafka://HOST:PORT/TOPIC|pubsub://PROJECT/TOPIC",
        help="Folder or topic for the scores.",
    ),
    "rejected": typer.Option(
        "--rejected",
        metavar="kafka://...|pubsub://...",
        help="Topic for rejected records; needed if the sink is a topic.",
    ),
    "message_format": typer.Option(
        "--message-format", help="Format of a message: a JSON object, a tf.Example or Avro."
    ),
    "message_bytes": typer.Option(
        "--message-bytes", metavar="N", help="Size limit in bytes; larger messages are rejected."
    ),
    "window": typer.Option(
        "--window",
        metavar="SECONDS",
        help="Length of an event-time window; the files of a window share a folder.",
    ),
    "batch_records": typer.Option(
        "--batch-records", metavar="N", help="Approximate number of records scored at once."
    ),
    "message_schema": typer.Option(
        "--message-schema",
        metavar="FILE",
        help="Avro schema of the messages, or JSON Schema to which they must conform.",
    ),
    "message_schema_id": typer.Option(
        "--message-schema-id",
        metavar="N",
        help="Id of the schema in a registry, for messages that begin with it, as Confluent's do.",
    ),
    "kafka_config": typer.Option(
        "--kafka-config",
        metavar="FILE",
        help="File with properties of the Kafka client, for TLS and SASL.",
    ),
}
"""Flags of both commands."""


@command(
    app,
    StreamConfig,
    {
        **_MESSAGES,
        "state": typer.Option(
            "--state",
            metavar="DIR",
            help="Folder in which the stream records its progress; needed if the source is a "
            "folder and the sink is Kafka.",
        ),
        "group": typer.Option(
            "--group", metavar="NAME", help="Kafka consumer group of the stream."
        ),
        "media_files": typer.Option(
            "--media-files", help="Read media files; those with the same name form one record."
        ),
        "batch_bytes": typer.Option(
            "--batch-bytes",
            metavar="N",
            help="Bytes of messages at which a batch is full; no more are fetched ahead.",
        ),
        "batch_seconds": typer.Option(
            "--batch-seconds",
            metavar="SECONDS",
            help="Longest time that a batch of messages waits to be filled.",
        ),
        "poll_seconds": typer.Option(
            "--poll-seconds",
            metavar="SECONDS",
            help="Polling interval; a file is read once it has been unchanged for this long.",
        ),
        "until_empty": typer.Option(
            "--until-empty", help="Score all records in the source, then end."
        ),
        "runner": typer.Option(
            "--runner",
            metavar="NAME",
            help="Runner of the stream: local (this process), prism, flink or dataflow.",
        ),
        "no_wait": typer.Option(
            "--no-wait", help="Submit the job to the cluster and return; the job continues."
        ),
        "from_checkpoint": typer.Option(
            "--from-checkpoint",
            metavar="DIR|latest",
            help="Flink checkpoint to continue from; default: the committed offsets.",
        ),
        "checkpoint_seconds": typer.Option(
            "--checkpoint-seconds",
            metavar="SECONDS",
            help="Interval between Flink checkpoints; a crash repeats the records of at most one "
            "interval.",
        ),
        "prism": typer.Option(
            "--prism", metavar="PATH", help="Path of the Prism binary for --runner prism."
        ),
        "shards": typer.Option(
            "--shards", metavar="N", help="Number of files of a window, on Prism and Dataflow."
        ),
        "id_attribute": typer.Option(
            "--id-attribute",
            metavar="NAME",
            help="Attribute that identifies a Pub/Sub message, so that repeats are recognized.",
        ),
        "time_attribute": typer.Option(
            "--time-attribute",
            metavar="NAME",
            help="Attribute with the event time; default: the time of publishing.",
        ),
        "golden": flags.GOLDEN,
        "metrics": typer.Option(
            "--metrics",
            metavar="FILE",
            help="File for lag, latency and other metrics, in Prometheus format (*.prom).",
        ),
    },
    panel=flags.STREAMS,
    epilog="triad stream --model model --source incoming --sink scores"
    "\n\nSIGTERM and Ctrl-C end the stream after the current batch, with exit code 0.",
)
def stream(session: Session, config: StreamConfig) -> None:
    """Score records as they arrive, in micro-batches: at least once, under stable keys."""
    session.run(run.run, config)


@command(
    app,
    StreamConfig,
    {
        **_MESSAGES,
        "group": typer.Option(
            "--group",
            metavar="NAME",
            help="Kafka consumer group with the progress of the replay.",
        ),
        "replay_from": typer.Option(
            "--from",
            metavar="kafka://HOST:PORT/TOPIC",
            help="Topic of rejected records; their messages in --source are scored again.",
        ),
    },
    panel=flags.STREAMS,
    epilog="triad replay --model model --source kafka://HOST:PORT/clips"
    " --from kafka://HOST:PORT/rejected --sink again"
    "\n\nA second start replays only what was rejected since then; with another --group the replay"
    " starts from the beginning.",
    fixed={"until_empty": True, "beam_args": ()},
    defaults={"group": REPLAY_GROUP, "replay_from": ...},
)
def replay(session: Session, config: StreamConfig) -> None:
    """Score rejected messages again, as a topic of rejected records lists them, then end."""
    session.run(run.run, config)
