"""The command `triad preprocess`."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import BEAM, Session, command
from triad_ml.pipelines.preprocessing import run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig

app = typer.Typer()


@command(
    app,
    PreprocessConfig,
    {
        "spec": typer.Option(
            "--spec", metavar="FILE", help="The spec: modalities, features and tasks (YAML)."
        ),
        "runner": flags.RUNNER,
        "shards": typer.Option(
            "--shards", metavar="N", help="Number of files that each split is written to."
        ),
        "keep_canonical": typer.Option(
            "--keep-canonical", help="Keep the canonical records beside the features."
        ),
    },
    panel=flags.PREPARE,
    epilog="triad preprocess --spec spec.yaml --input 'records/*.jsonl' --output prepared"
    f"\n\n{BEAM}",
)
def preprocess(session: Session, config: PreprocessConfig) -> None:
    """Turn records into features, and keep the graph that made them."""
    session.run(run.run, config)
