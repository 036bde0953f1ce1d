"""Every flag of the commands around the way of a record, once."""

from typing import Annotated

import typer

from triad_ml.pipelines.runners.registry import RUNNERS

SpecFile = Annotated[str, typer.Argument(metavar="FILE", help="The spec (YAML).")]
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
PrivateKey = Annotated[
    str, typer.Option("--key", metavar="KEY.pem", help="Private key to sign with (PEM, EC).")
]
PublicKey = Annotated[
    str, typer.Option("--key", metavar="PUB.pem", help="Public key of who signed (PEM, EC).")
]
Left = Annotated[
    str, typer.Argument(metavar="A", help="A model, a preprocessing, a run, or its manifest.")
]
Right = Annotated[str, typer.Argument(metavar="B", help="What A is compared with.")]
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
KeepDays = Annotated[
    int,
    typer.Option(
        "--keep-days",
        metavar="N",
        help="Keep runs that changed, or were replaced by another, in the last N days.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]
DoctorsRunner = Annotated[
    str,
    typer.Option(
        "--runner",
        metavar="NAME",
        help=f"One of {', '.join(one.name for one in RUNNERS.values() if one.doctor_checks)}.",
    ),
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
Published = Annotated[
    str, typer.Argument(metavar="OUT", help="What `triad score` wrote (its --output).")
]
VerifyFiles = Annotated[
    bool, typer.Option("--verify", help="Read every file; else only their sizes are compared.")
]
ExportFile = Annotated[
    str,
    typer.Option("--output", metavar="FILE", help="The file; it ends in .parquet, .csv or .jsonl."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")]
