"""Every flag of the commands of streams, once."""

from typing import Annotated

import typer

from triad_ml.pipelines.runtime.names import MessageFormat

Golden = Annotated[
    str | None,
    typer.Option(
        "--golden",
        metavar="PATTERN",
        help="Records that a new model must score as they are labelled, in parity.",
    ),
]
Source = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="DIR|kafka://HOST:PORT/TOPIC|pubsub://PROJECT/SUBSCRIPTION",
        help="What is watched.",
    ),
]
Sink = Annotated[
    str,
    typer.Option(
        "--sink",
        metavar="DIR|kafka://HOST:PORT/TOPIC|pubsub://PROJECT/TOPIC",
        help="Where scores go.",
    ),
]
RejectedTopic = Annotated[
    str | None,
    typer.Option(
        "--rejected",
        metavar="kafka://...|pubsub://...",
        help="Where rejected records go, if the sink is a topic.",
    ),
]
ReplayFrom = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="kafka://HOST:PORT/TOPIC",
        help="The topic of rejected records; those of --source are scored again.",
    ),
]
ReplayGroup = Annotated[
    str,
    typer.Option("--group", metavar="NAME", help="Remembers in Kafka what was replayed."),
]
StateFolder = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Remembers what was scored, if the source is a folder and the sink Kafka.",
    ),
]
Group = Annotated[
    str, typer.Option("--group", metavar="NAME", help="Kafka's consumer group of this stream.")
]
MessageKind = Annotated[
    MessageFormat,
    typer.Option("--message-format", help="Of a message: a JSON object, a tf.Example or Avro."),
]
MessageSchema = Annotated[
    str | None,
    typer.Option(
        "--message-schema", metavar="FILE", help="The Avro schema, or a JSON Schema to conform to."
    ),
]
KafkaConfig = Annotated[
    str | None,
    typer.Option(
        "--kafka-config", metavar="FILE", help="Properties of Kafka's client, for TLS and SASL."
    ),
]
MessageSchemaId = Annotated[
    int | None,
    typer.Option(
        "--message-schema-id",
        metavar="N",
        help="A registry's number of the schema: messages begin with it, as Confluent's do.",
    ),
]
MessageBytes = Annotated[
    int, typer.Option("--message-bytes", metavar="N", help="Reject larger messages.")
]
MediaFiles = Annotated[
    bool,
    typer.Option("--media-files", help="The files are media; those of one name are one record."),
]
Window = Annotated[
    int,
    typer.Option("--window", metavar="SECONDS", help="Of event time, whose files lie together."),
]
BatchRecords = Annotated[
    int, typer.Option("--batch-records", metavar="N", help="About how many are scored at once.")
]
BatchBytes = Annotated[
    int,
    typer.Option("--batch-bytes", metavar="N", help="Of messages; no more are fetched ahead."),
]
BatchSeconds = Annotated[
    float,
    typer.Option(
        "--batch-seconds", metavar="SECONDS", help="A batch of messages waits so long to be filled."
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="FILE", help="Write lag, latency and more for Prometheus (*.prom)."
    ),
]
PollSeconds = Annotated[
    float,
    typer.Option(
        "--poll-seconds",
        metavar="SECONDS",
        help="Look so often; a file is read when it has not changed for so long.",
    ),
]
UntilEmpty = Annotated[bool, typer.Option("--until-empty", help="Score what is there, then end.")]
NoWaitForStream = Annotated[
    bool, typer.Option("--no-wait", help="Submit the job to the cluster and return; it goes on.")
]
FromCheckpoint = Annotated[
    str | None,
    typer.Option(
        "--from-checkpoint",
        metavar="DIR|latest",
        help="Go on from a checkpoint of Flink; else at the committed offsets.",
    ),
]
StreamRunner = Annotated[
    str,
    typer.Option(
        "--runner",
        metavar="NAME",
        help="What runs the stream: local (this process), prism, flink or dataflow.",
    ),
]
Prism = Annotated[
    str | None,
    typer.Option("--prism", metavar="PATH", help="The Prism binary that --runner prism runs."),
]
WindowShards = Annotated[
    int,
    typer.Option("--shards", metavar="N", help="Files of a window, on Prism and Dataflow."),
]
IdAttribute = Annotated[
    str | None,
    typer.Option(
        "--id-attribute",
        metavar="NAME",
        help="Attribute by which Pub/Sub's messages that were sent twice are known.",
    ),
]
TimeAttribute = Annotated[
    str | None,
    typer.Option(
        "--time-attribute",
        metavar="NAME",
        help="Attribute with the event time; else the time of publishing.",
    ),
]
CheckpointSeconds = Annotated[
    float,
    typer.Option(
        "--checkpoint-seconds", metavar="SECONDS", help="How often Flink makes a checkpoint."
    ),
]
