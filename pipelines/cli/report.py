"""Commands that show results: report, stats and drift."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session, command
from triad_ml.pipelines.monitoring import run as monitoring_run
from triad_ml.pipelines.monitoring.config import DriftConfig, StatsConfig
from triad_ml.pipelines.report import run
from triad_ml.pipelines.report.config import ReportConfig
from triad_ml.transforms.errors import GateError

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


@command(
    app,
    StatsConfig,
    {
        "left": typer.Argument(
            metavar="A",
            help="Folder that `triad preprocess` or `triad score` wrote, or folder of a run.",
        ),
        "right": typer.Argument(metavar="[B]", help="Folder to show beside A."),
        "date": flags.SHOWN_DATE,
        "output": typer.Option(
            "--output", metavar="FILE", help="HTML page to write, with histograms side by side."
        ),
        "tfmd": typer.Option(
            "--tfmd",
            metavar="FILE",
            help="File to write for TensorFlow Data Validation and Facets: a binary "
            "DatasetFeatureStatisticsList.",
        ),
        "as_json": flags.JSON,
    },
    panel=flags.SCORE,
    epilog="triad stats prepared scores --output stats.html"
    "\n\nExits with 12 if a folder has no statistics of this version.",
)
def stats(session: Session, config: StatsConfig) -> None:
    """Show statistics of media, labels and scores, of one folder or of two side by side."""
    session.run(monitoring_run.stats, config)


@command(
    app,
    DriftConfig,
    {
        "trained": typer.Argument(
            metavar="TRAINED",
            help="Folder that `triad preprocess` wrote, or scores to compare with.",
        ),
        "tonight": typer.Argument(
            metavar="TONIGHT", help="Folder that `triad score` wrote, or folder of a run."
        ),
        "date": typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Date of TONIGHT's scores; default: the latest."
        ),
        "spec": typer.Option(
            "--spec", metavar="FILE", help="Spec with the limits (drift); default: 0.1."
        ),
        "as_json": flags.JSON,
    },
    panel=flags.SCORE,
    epilog="triad drift prepared scores --date 2026-11-24"
    "\n\nExits with 10 if a feature drifts beyond its limit, and with 12 if a folder has no "
    "statistics of this version.",
)
def drift(session: Session, config: DriftConfig) -> int:
    """List the features whose distribution differs from that of training, beyond chance."""
    return 0 if session.run(monitoring_run.drift, config) else GateError.exit_code
