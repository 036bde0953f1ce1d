"""Every flag of the command line, once; and the options that Beam gets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.logs import SECRET_NAME
from transforms.errors import OptionsError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

RUNNERS = {
    "local": "FnApiRunner",
    "directrunner": "FnApiRunner",
    "flink": "PortableRunner",
    "dataflow": "DataflowRunner",
}
"""Runner names in lower case, and Beam's names for them.

Beam's own DirectRunner first tries a runner that it downloads; FnApiRunner runs in this process.
"""

CLUSTERS = ("flink", "dataflow")
"""The runners whose workers are other processes, perhaps on other machines."""

FLINK_DEFAULTS = (
    "--job_endpoint=localhost:8099",
    "--environment_type=EXTERNAL",
    "--environment_config=localhost:50000",
    "--environment_cache_millis=600000",  # else each stage starts Python workers of its own
)
"""Where `triad flink up` has its job server and its pool of workers."""

DOCTORS_RUNNERS = ("local", *CLUSTERS)
"""Runners that `triad doctor` knows what they need."""

_OURS = {
    "--runner": "give it to triad, before the --",
    "--save_main_session": "triad has no main session to save",
}

ScoresFormat = Literal["parquet", "jsonl"]
MessageFormat = Literal["json", "example", "avro"]

Spec = Annotated[
    str, typer.Option("--spec", metavar="FILE", help="The spec: what records hold (YAML).")
]
SpecFile = Annotated[str, typer.Argument(metavar="FILE", help="The spec (YAML).")]
_INPUT = typer.Option(
    "--input",
    metavar="PATTERN",
    help="Records: .jsonl, .csv, .parquet or .tfrecord; a path, a glob or gs://. Repeatable.",
)
Inputs = Annotated[list[str], _INPUT]
MaybeInputs = Annotated[list[str] | None, _INPUT]
Output = Annotated[str, typer.Option("--output", metavar="DIR", help="Folder for the results.")]
OutputFile = Annotated[
    str, typer.Option("--output", metavar="FILE", help="The page that is written (HTML).")
]
SchemaFile = Annotated[
    str | None,
    typer.Option("--output", metavar="FILE", help="Write to this file instead of stdout."),
]
EncoderFile = Annotated[
    str,
    typer.Option(
        "--output", metavar="FILE", help="The file that is written; it ends in .weights.h5."
    ),
]
TorchFile = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="A PyTorch file of EfficientNet-Lite0; by default that in the installed package.",
    ),
]
PreparedFolder = Annotated[
    str, typer.Option("--data", metavar="DIR", help="What `triad preprocess` wrote.")
]
ModelFolder = Annotated[
    str, typer.Option("--model", metavar="DIR", help="What `triad train` wrote.")
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="What `triad train` wrote.")]
PrivateKey = Annotated[
    str, typer.Option("--key", metavar="KEY.pem", help="Private key to sign with (PEM, EC).")
]
PublicKey = Annotated[
    str, typer.Option("--key", metavar="PUB.pem", help="Public key of who signed (PEM, EC).")
]
VerifyKey = Annotated[
    str | None,
    typer.Option(
        "--verify-key",
        metavar="PUB.pem",
        help="Refuse a model that the holder of this key did not sign.",
    ),
]
Left = Annotated[
    str, typer.Argument(metavar="A", help="A model, a preprocessing, a run, or its manifest.")
]
Right = Annotated[str, typer.Argument(metavar="B", help="What A is compared with.")]
MaybeScoresFolder = Annotated[
    str | None,
    typer.Option("--scores", metavar="DIR", help="What `triad score` wrote (its --output)."),
]
MediaRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--media-root",
        metavar="DIR",
        help="Media may lie here too, not only beside the records file. Repeatable.",
    ),
]
RejectedLimit = Annotated[
    float,
    typer.Option(
        "--rejected-limit",
        metavar="SHARE",
        help="Refuse where a larger share is rejected, 0 to 1.",
    ),
]
Runner = Annotated[
    str,
    typer.Option(
        "--runner",
        metavar="NAME",
        help="What runs the pipeline: local (this process), flink or dataflow.",
    ),
]
Shards = Annotated[
    int, typer.Option("--shards", metavar="N", help="Files that each split is written to.")
]
KeepCanonical = Annotated[
    bool, typer.Option("--keep-canonical", help="Keep the canonical records beside the features.")
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", metavar="N", help="Instead of the spec's training.epochs.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Instead of the spec's training.seed.")
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", help="Instead of the spec's training.batch_size."),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Throw away the checkpoints of a training cut short.")
]
TrainSpec = Annotated[
    str | None,
    typer.Option(
        "--spec",
        metavar="FILE",
        help="Take model and training from this spec, such as best.yaml of `triad search`.",
    ),
]
Trials = Annotated[
    int,
    typer.Option("--trials", metavar="N", help="Trials in all, those of earlier calls included."),
]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", help="Begin no epoch that would end after M minutes."),
]
SpaceFile = Annotated[
    str | None,
    typer.Option(
        "--space", metavar="FILE", help="What is tried, by keys of the spec's model and training."
    ),
]
SearchSeed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Decides which values are tried.")
]
Date = Annotated[
    str, typer.Option("--date", metavar="YYYY-MM-DD", help="The date that the scores are of.")
]
MaybeDate = Annotated[
    str | None,
    typer.Option("--date", metavar="YYYY-MM-DD", help="The date to show; else the latest."),
]
Format = Annotated[ScoresFormat, typer.Option("--format", help="Of the scores' files.")]
UnitRecords = Annotated[
    int,
    typer.Option(
        "--unit-records", metavar="N", help="Records in a unit of work; a crash costs one unit."
    ),
]
CarryOver = Annotated[
    bool,
    typer.Option(
        "--carry-over",
        help="Take scores of unchanged content from the last published run of the same model.",
    ),
]
Golden = Annotated[
    str | None,
    typer.Option(
        "--golden",
        metavar="PATTERN",
        help="Records that a new model must score as they are labelled, in parity.",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="Compare the first N records only.")
]
Tolerance = Annotated[
    float,
    typer.Option("--tolerance", metavar="X", help="The largest difference of floats that passes."),
]
KeepDays = Annotated[
    int,
    typer.Option(
        "--keep-days",
        metavar="N",
        help="Keep runs that changed, or were replaced by another, in the last N days.",
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain", help="Say what each modality is worth to each classification (Shapley)."
    ),
]
Saliency = Annotated[
    int,
    typer.Option(
        "--saliency",
        metavar="N",
        help="Show for N records of each task what in picture, sound and words it rests on.",
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        help="Submit the job to Dataflow and return; its last step publishes.",
    ),
]
FlinkFolder = Annotated[
    str | None,
    typer.Option("--folder", metavar="DIR", help="State and logs; else the user's cache."),
]
Dashboard = Annotated[
    str | None,
    typer.Option("--dashboard", metavar="URL", help="Of a cluster that triad did not start."),
]
FlinkJob = Annotated[str, typer.Argument(metavar="JOB", help="The job's name or id.")]
StreamState = Annotated[
    str, typer.Option("--state", metavar="DIR", help="The stream's --state, for the savepoint.")
]
KafkaFolder = Annotated[
    str | None,
    typer.Option("--folder", metavar="DIR", help="Messages and log; else the user's cache."),
]
FreePort = Annotated[bool, typer.Option("--free-port", help="Choose a port that is free.")]
Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="The topic's name.")]
Partitions = Annotated[
    int, typer.Option("--partitions", metavar="N", help="Parts that are read side by side.")
]
Compacted = Annotated[
    bool, typer.Option("--compacted", help="Keep one message for each key, as for scores.")
]
FreePorts = Annotated[bool, typer.Option("--free-ports", help="Choose ports that are free.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]
DoctorsRunner = Annotated[
    str, typer.Option("--runner", metavar="NAME", help=f"One of {', '.join(DOCTORS_RUNNERS)}.")
]
MaybeSpec = Annotated[
    str | None,
    typer.Option("--spec", metavar="FILE", help="Look at what `triad preprocess` submits."),
]
MaybeModel = Annotated[
    str | None,
    typer.Option("--model", metavar="DIR", help="Look at what `triad score` submits."),
]
MaybeOutput = Annotated[
    str | None,
    typer.Option("--output", metavar="DIR", help="Try whether the results can be written."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RollbackTo = Annotated[
    str | None,
    typer.Option("--to", metavar="RUN_ID", help="The run; else the one that was replaced last."),
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
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more on stderr.")]


def check_runner(runner: str) -> None:
    """Refuses a runner that does not exist.

    Raises:
        OptionsError: Naming the flag.
    """
    if runner.lower() not in RUNNERS:
        raise OptionsError(f"--runner: {runner!r} is no runner; use local, flink or dataflow")


def is_cluster(runner: str) -> bool:
    """Whether the pipeline runs in other processes, to which paths and errors must travel."""
    return runner.lower() in CLUSTERS


def check_beam_args(beam_args: Sequence[str]) -> None:
    """Refuses what must not go to Beam, which logs and stores each option with its value.

    Raises:
        OptionsError: Naming the option, and never its value.
    """
    for argument in beam_args:
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            continue
        if SECRET_NAME.search(name):
            raise OptionsError(
                f"{name} looks like a secret, and Beam logs every option; give it by environment"
            )
        if name in _OURS:
            raise OptionsError(f"{name}: not a Beam option here; {_OURS[name]}")


def beam_options(
    runner: str = "local", beam_args: Sequence[str] = (), ours: Sequence[str] = ()
) -> "PipelineOptions":
    """Makes Beam's options, anew for each pipeline: runners change them. Imports Beam.

    Args:
        runner: A key of `RUNNERS`, in any case.
        beam_args: What stood after a lone `--`, such as `("--direct_num_workers=2",)`.
        ours: What we choose; `beam_args` win over it. The runner alone may know these.

    Raises:
        OptionsError: Where the runner or an option is unknown (Beam only logs those), where an
            option's value does not parse, or where an option looks like a secret.
    """
    check_runner(runner)
    check_beam_args(beam_args)
    from apache_beam.options.pipeline_options import PipelineOptions

    flink = runner.lower() == "flink"
    _check_known(beam_args)
    # The last one of a name counts.
    arguments = [*(FLINK_DEFAULTS if flink else ()), *ours, *beam_args]
    return PipelineOptions(arguments, runner=RUNNERS[runner.lower()])


def _check_known(beam_args: Sequence[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    class Parser(_BeamArgumentParser):
        def error(self, message: str) -> None:
            raise OptionsError(f"after --: {message}; see Beam's documentation of its options")

    parser = Parser(allow_abbrev=False, add_help=False)
    for options in {str(one): one for one in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)  # the parser that Beam itself builds, to see the rest
    _, unknown = parser.parse_known_args(list(beam_args))
    if unknown:
        name = unknown[0].partition("=")[0]
        kind = "option" if name.startswith("-") else "argument"
        raise OptionsError(f"after --: Beam knows no {kind} {name!r}; correct or remove it")
