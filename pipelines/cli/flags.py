"""Flags that commands share, and those of the way of a record; and the options that Beam gets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from triad_ml.pipelines.runtime.logs import SECRET_NAME
from triad_ml.transforms.errors import OptionsError

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

REJECTED_LIMIT = 0.05
"""Largest share of rejected records that passes."""

UNIT_RECORDS = 4096
"""Records in a unit of work."""

ScoresFormat = Literal["parquet", "jsonl"]
MessageFormat = Literal["json", "example", "avro"]

Spec = Annotated[
    str, typer.Option("--spec", metavar="FILE", help="The spec: what records hold (YAML).")
]
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
PreparedFolder = Annotated[
    str, typer.Option("--data", metavar="DIR", help="What `triad preprocess` wrote.")
]
ModelFolder = Annotated[
    str, typer.Option("--model", metavar="DIR", help="What `triad train` wrote.")
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="What `triad train` wrote.")]
VerifyKey = Annotated[
    str | None,
    typer.Option(
        "--verify-key",
        metavar="PUB.pem",
        help="Refuse a model that the holder of this key did not sign.",
    ),
]
MaybeScoresFolder = Annotated[
    str | None,
    typer.Option("--scores", metavar="DIR", help="What `triad score` wrote (its --output)."),
]
MediaRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--media-root",
        metavar="DIR",
        help="Look for media here too: for relative paths beside the records file first, then in "
        "each of these folders in order; absolute ones must lie below one of them. Repeatable.",
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
IssuesLimit = Annotated[
    float | None,
    typer.Option(
        "--issues-limit",
        metavar="SHARE",
        help="Refuse where a larger share of a modality's media cannot be used, 0 to 1; by default "
        "the spec's, else 0.5.",
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
    bool,
    typer.Option(
        "--fresh", help="Train anew: throw away the checkpoints and the model in --output."
    ),
]
TrainSpec = Annotated[
    str | None,
    typer.Option(
        "--spec",
        metavar="FILE",
        help="Take model and training from this spec, such as best.yaml of `triad search`.",
    ),
]
Date = Annotated[
    str, typer.Option("--date", metavar="YYYY-MM-DD", help="The date that the scores are of.")
]
MaybeDate = Annotated[
    str | None,
    typer.Option("--date", metavar="YYYY-MM-DD", help="The date to show; else the latest."),
]
RunsDate = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="The date to show; else all.")
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
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="Compare the first N records only.")
]
Tolerance = Annotated[
    float,
    typer.Option("--tolerance", metavar="X", help="The largest difference of floats that passes."),
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
