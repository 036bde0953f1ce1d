"""The commands of streams: stream and replay."""

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
        help="Folder or topic that is watched.",
    ),
    "sink": typer.Option(
        "--sink",
        metavar="DIR|kafka://HOST:PORT/TOPIC|pubsub://PROJECT/TOPIC",
        help="Folder or topic for the scores.",
    ),
    "rejected": typer.Option(
        "--rejected",
        metavar="kafka://...|pubsub://...",
        help="Topic for rejected records, if the sink is a topic.",
    ),
    "message_format": typer.Option(
        "--message-format", help="Format of a message: a JSON object, a tf.Example or Avro."
    ),
    "message_bytes": typer.Option("--message-bytes", metavar="N", help="Reject larger messages."),
    "window": typer.Option(
        "--window",
        metavar="SECONDS",
        help="Length of an event-time window; the files of a window share a folder.",
    ),
    "batch_records": typer.Option(
        "--batch-records", metavar="N", help="About how many records are scored at once."
    ),
    "message_schema": typer.Option(
        "--message-schema", metavar="FILE", help="The Avro schema, or a JSON Schema to conform to."
    ),
    "message_schema_id": typer.Option(
        "--message-schema-id",
        metavar="N",
        help="A registry's number of the schema: messages begin with it, as Confluent's do.",
    ),
    "kafka_config": typer.Option(
        "--kafka-config", metavar="FILE", help="Properties of Kafka's client, for TLS and SASL."
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
            help="Remembers what was scored, if the source is a folder and the sink Kafka.",
        ),
        "group": typer.Option(
            "--group", metavar="NAME", help="Kafka's consumer group of this stream."
        ),
        "media_files": typer.Option(
            "--media-files", help="The files are media; those of one name are one record."
        ),
        "batch_bytes": typer.Option(
            "--batch-bytes",
            metavar="N",
            help="Bytes of messages in a batch; no more are fetched ahead.",
        ),
        "batch_seconds": typer.Option(
            "--batch-seconds",
            metavar="SECONDS",
            help="Time that a batch of messages waits to be filled.",
        ),
        "poll_seconds": typer.Option(
            "--poll-seconds",
            metavar="SECONDS",
            help="Polling interval; a file is read once it has been unchanged for this long.",
        ),
        "until_empty": typer.Option("--until-empty", help="Score what is there, then end."),
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
            help="Continue from a checkpoint of Flink; else at the committed offsets.",
        ),
        "checkpoint_seconds": typer.Option(
            "--checkpoint-seconds",
            metavar="SECONDS",
            help="Interval between Flink's checkpoints.",
        ),
        "prism": typer.Option(
            "--prism", metavar="PATH", help="The Prism binary that --runner prism runs."
        ),
        "shards": typer.Option(
            "--shards", metavar="N", help="Number of files of a window, on Prism and Dataflow."
        ),
        "id_attribute": typer.Option(
            "--id-attribute",
            metavar="NAME",
            help="Attribute by which Pub/Sub's messages that were sent twice are known.",
        ),
        "time_attribute": typer.Option(
            "--time-attribute",
            metavar="NAME",
            help="Attribute with the event time; else the time of publishing.",
        ),
        "golden": flags.GOLDEN,
        "metrics": typer.Option(
            "--metrics",
            metavar="FILE",
            help="Write lag, latency and more for Prometheus (*.prom).",
        ),
    },
    panel=flags.STREAMS,
    epilog="triad stream --model model --source incoming --sink scores"
    "\n\nSIGTERM and Ctrl-C end it after the batch in hand, with 0.",
)
def stream(session: Session, config: StreamConfig) -> None:
    """Score records as they arrive, in micro-batches: at least once, to the same places."""
    session.run(run.run, config)


@command(
    app,
    StreamConfig,
    {
        **_MESSAGES,
        "group": typer.Option(
            "--group", metavar="NAME", help="Remembers in Kafka what was replayed."
        ),
        "replay_from": typer.Option(
            "--from",
            metavar="kafka://HOST:PORT/TOPIC",
            help="The topic of rejected records; those of --source are scored again.",
        ),
    },
    panel=flags.STREAMS,
    epilog="triad replay --model model --source kafka://HOST:PORT/clips"
    " --from kafka://HOST:PORT/rejected --sink again"
    "\n\nA second start replays only what was rejected since; another --group begins anew.",
    fixed={"until_empty": True, "beam_args": ()},
    defaults={"group": REPLAY_GROUP, "replay_from": ...},
)
def replay(session: Session, config: StreamConfig) -> None:
    """Score again the messages that a topic of rejected records names, then end."""
    session.run(run.run, config)
