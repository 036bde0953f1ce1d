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
        "output": typer.Option("--output", metavar="FILE", help="The page that is written (HTML)."),
        "scores": typer.Option(
            "--scores",
            metavar="DIR",
            help="Folder that `triad score` published into (its --output).",
        ),
        "date": flags.SHOWN_DATE,
        "saliency": typer.Option(
            "--saliency",
            metavar="N",
            help="For N records of each task, show the parts of image, audio and text that the "
            "prediction rests on.",
        ),
    },
    panel=flags.SCORE,
    epilog="triad report --model model --scores scores --input 'records/*.jsonl'"
    " --output report.html",
)
def report(session: Session, config: ReportConfig) -> None:
    """Write one page: how good the model is, what was rejected, and a gallery."""
    print(session.run(run.run, config))
