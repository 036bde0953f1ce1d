"""The command `triad score`."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import BEAM, Session, command
from triad_ml.pipelines.scoring import run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.storage.outcome import of_records

app = typer.Typer()


@command(
    app,
    ScoreConfig,
    {
        "date": flags.DATE,
        "runner": flags.RUNNER,
        "unit_records": typer.Option(
            "--unit-records",
            metavar="N",
            help="Number of records in a unit of work; after a crash only unfinished units are "
            "scored again.",
        ),
        "carry_over": typer.Option(
            "--carry-over",
            help="Reuse scores of unchanged content from the last published run of the same model.",
        ),
        "no_wait": typer.Option(
            "--no-wait", help="Submit the job to Dataflow and return; its last step publishes."
        ),
        "drift": typer.Option(
            "--drift",
            help="Compare media and scores with --trained: warn reports features that drift, and "
            "refuse publishes nothing then.",
        ),
        "trained": typer.Option(
            "--trained",
            metavar="DIR",
            help="Prepared data that the model was trained on, or scores to compare with.",
        ),
        "explain": typer.Option(
            "--explain", help="Add each modality's Shapley value for each classification."
        ),
    },
    panel=flags.SCORE,
    epilog="triad score --model model --input 'records/*.jsonl' --output scores --date 2026-11-24"
    "\n\nPrints the manifest's path as the last line. Exits with 0 if the scores are published, now"
    " or before; 10 if a gate refuses them; 11 if another run was published first; 12 on bad"
    f" options; 20 if a disk or a connection fails.\n\n{BEAM}",
    ends=True,
)
def score(session: Session, config: ScoreConfig) -> None:
    """Score records and publish the scores of one date, whole or not at all."""
    manifest = session.run(run.run, config).manifest_uri
    session.end(lambda: of_records("score", manifest, "reasons"), manifest)
