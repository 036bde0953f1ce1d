"""The command `triad report`."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session, command
from triad_ml.pipelines.report import run
from triad_ml.pipelines.report.config import ReportConfig

app = typer.Typer()


@command(
    app,
    ReportConfig,
    {
        "output": typer.Option("--output", metavar="FILE", help="HTML page to write."),
        "scores": typer.Option(
            "--scores",
            metavar="DIR",
            help="Folder that `triad score` published into (its --output).",
        ),
        "date": flags.SHOWN_DATE,
        "saliency": typer.Option(
            "--saliency",
            metavar="N",
            help="Number of records of each task for which the page shows the parts of image, "
            "audio and text that the prediction depends on.",
        ),
    },
    panel=flags.SCORE,
    epilog="triad report --model model --scores scores --input 'records/*.jsonl'"
    " --output report.html",
)
def report(session: Session, config: ReportConfig) -> None:
    """Write one HTML page: metrics of the model, rejected records, and a gallery."""
    print(session.run(run.run, config))
