"""Flags that several commands share, keyed by config field, and headings of `triad --help`.

A flag has no default here: a command takes the type and the default from the config's field.
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
        help="Folder with media. A relative path is searched for beside the records file first, "
        "then in each such folder in order; an absolute path must be inside one of them. "
        "Repeatable.",
    ),
    "rejected_limit": typer.Option(
        "--rejected-limit",
        metavar="SHARE",
        help="Largest share of rejected records, 0 to 1; a run with a larger share is refused.",
    ),
    "issues_limit": typer.Option(
        "--issues-limit",
        metavar="SHARE",
        help="Largest share of a modality's media that cannot be used, 0 to 1; a run with a larger "
        "share is refused. Default: the spec's, else 0.5.",
    ),
    "format": typer.Option("--format", help="File format of the scores."),
    "verify_key": typer.Option(
        "--verify-key",
        metavar="PUB.pem",
        help="Public key of the model's signer; a model without a valid signature of this signer "
        "is refused.",
    ),
}
"""Flags that mean the same in every config that has the field."""

RUNNER: Any = typer.Option(
    "--runner",
    metavar="NAME",
    help="Runner of the pipeline: local (this process), flink or dataflow.",
)
MODEL: Any = typer.Argument(metavar="MODEL", help="Model folder that `triad train` wrote.")
PUBLISHED: Any = typer.Argument(
    metavar="OUT", help="Folder that `triad score` published into (its --output)."
)
DATE: Any = typer.Option("--date", metavar="YYYY-MM-DD", help="Date of the scores.")
SHOWN_DATE: Any = typer.Option(
    "--date", metavar="YYYY-MM-DD", help="Date to show; default: the latest."
)
GOLDEN: Any = typer.Option(
    "--golden",
    metavar="PATTERN",
    help="Labelled records: a new model must predict their labels and show parity on them.",
)
JSON: Any = typer.Option("--json", help="Print JSON instead of a table.")
VERBOSE: Any = typer.Option("--verbose", help="Log more on stderr.")
QUIET: Any = typer.Option("--quiet", help="Log warnings and errors only, and show no progress.")
LAST_LINE: Any = typer.Option(
    "--json", help="Print the outcome as one line of JSON, the last line of the output."
)
METRICS: Any = typer.Option(
    "--metrics",
    metavar="FILE",
    help="File for the outcome's numbers, in Prometheus format (*.prom); it is replaced.",
)
