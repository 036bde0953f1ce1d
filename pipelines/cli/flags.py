"""Flags that commands share, and those of the way of a record; and the options that Beam gets."""

from typing import Annotated

import typer

from triad_ml.pipelines.tables import ScoresFormat

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
