"""Flags that several commands share, by the field of a config, and headings of `triad --help`.

A flag has no default here: a command takes type and default from the field.
"""

from typing import Any

import typer

PREPARE, SCORE, PUBLISH = "Prepare and train", "Score and report", "Publish and undo"
STREAMS, TRUST, TRY = "Streams", "Trust and checks", "Try out locally"

SHARED: dict[str, Any] = {
    "model": typer.Option("--model", metavar="DIR", help="Model folder that `triad train` wrote."),
    "inputs": typer.Option(
        "--input",
        metavar="PATTERN",
        help="Records: .jsonl, .csv, .parquet or .tfrecord; a path, a glob or gs://. Repeatable.",
    ),
    "output": typer.Option("--output", metavar="DIR", help="Folder for the results."),
    "data": typer.Option("--data", metavar="DIR", help="Folder that `triad preprocess` wrote."),
    "media_roots": typer.Option(
        "--media-root",
        metavar="DIR",
        help="Look for media here too: for relative paths beside the records file first, then in "
        "each of these folders in order; absolute ones must lie below one of them. Repeatable.",
    ),
    "rejected_limit": typer.Option(
        "--rejected-limit",
        metavar="SHARE",
        help="Refuse where a larger share is rejected, 0 to 1.",
    ),
    "issues_limit": typer.Option(
        "--issues-limit",
        metavar="SHARE",
        help="Refuse where a larger share of a modality's media cannot be used, 0 to 1; by default "
        "the spec's, else 0.5.",
    ),
    "format": typer.Option("--format", help="File format of the scores."),
    "verify_key": typer.Option(
        "--verify-key",
        metavar="PUB.pem",
        help="Refuse a model that the holder of this key did not sign.",
    ),
}
"""Flags of the same meaning wherever a config has the field."""

RUNNER: Any = typer.Option(
    "--runner",
    metavar="NAME",
    help="Runner of the pipeline: local (this process), flink or dataflow.",
)
MODEL: Any = typer.Argument(metavar="MODEL", help="Model folder that `triad train` wrote.")
PUBLISHED: Any = typer.Argument(
    metavar="OUT", help="Folder that `triad score` published into (its --output)."
)
DATE: Any = typer.Option("--date", metavar="YYYY-MM-DD", help="The date that the scores are of.")
SHOWN_DATE: Any = typer.Option(
    "--date", metavar="YYYY-MM-DD", help="The date to show; else the latest."
)
GOLDEN: Any = typer.Option(
    "--golden",
    metavar="PATTERN",
    help="Records that a new model must score as they are labelled, in parity.",
)
JSON: Any = typer.Option("--json", help="Print JSON instead of a table.")
VERBOSE: Any = typer.Option("--verbose", help="Say more on stderr.")
