"""Commands that check models and scores: parity, evaluate, release, signatures, digests."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session, command
from triad_ml.pipelines.verification import run
from triad_ml.pipelines.verification.config import (
    EvaluateConfig,
    ExplainDigestConfig,
    ParityConfig,
    ReleaseConfig,
    RobustnessConfig,
    SignConfig,
    VerifyConfig,
)
from triad_ml.transforms.errors import GateError

app = typer.Typer()


@command(
    app,
    ParityConfig,
    {
        "limit": typer.Option(
            "--limit", metavar="N", help="Number of first records to compare; default: all."
        ),
        "tolerance": typer.Option(
            "--tolerance", metavar="X", help="Largest difference of floats that passes."
        ),
    },
    panel=flags.TRUST,
    epilog="triad parity --model model --input 'records/*.jsonl' --limit 500"
    "\n\nExits with 10 if a difference exceeds the tolerance.",
)
def parity(session: Session, config: ParityConfig) -> int:
    """Prove that training and scoring compute the same features and the same scores."""
    return 0 if session.run(run.parity, config) else GateError.exit_code


@command(
    app,
    EvaluateConfig,
    {
        "scores": typer.Option(
            "--scores",
            metavar="DIR",
            help="Folder that `triad score` published into (its --output), or that of one run.",
        ),
        "labels": typer.Option(
            "--labels",
            metavar="PATTERN",
            help="Records with `id` and labels: .jsonl, .csv, .parquet or .tfrecord; a path, a "
            "glob or gs://. Media in them are ignored. Repeatable.",
        ),
        "date": typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Date of the scores; default: the latest."
        ),
        "model": typer.Option(
            "--model",
            metavar="DIR",
            help="Model that scored; its spec names the keys of the labels. Default: a label has "
            "the name of its task.",
        ),
        "slices": typer.Option(
            "--slice",
            metavar="COLUMN[:EDGES]",
            help="Column of the scores by whose values the figures are divided; COLUMN:10,20 makes "
            "bins. Repeatable.",
        ),
        "output": typer.Option(
            "--output", metavar="FILE", help="JSON file for all figures, as in evaluation.json."
        ),
    },
    panel=flags.SCORE,
    epilog="triad evaluate --scores scores --labels labels.jsonl --slice shop --slice price:10,100",
)
def evaluate(session: Session, config: EvaluateConfig) -> None:
    """Compare published scores with labels that arrive later, by slice."""
    session.run(run.evaluate, config)


@command(
    app,
    RobustnessConfig,
    {
        "limit": typer.Option(
            "--limit", metavar="N", help="Largest number of labelled records, the first ones."
        ),
        "output": typer.Option("--output", metavar="FILE", help="JSON file for all figures."),
    },
    panel=flags.TRUST,
    epilog="triad robustness --model model --input 'records/*.jsonl' --output robustness.json",
)
def robustness(session: Session, config: RobustnessConfig) -> None:
    """Show how noise on one modality lowers the figures of a model, at growing strength."""
    session.run(run.robustness, config)


@command(
    app,
    ReleaseConfig,
    {
        "model": flags.MODEL,
        "golden": flags.GOLDEN,
        "floor_limit": typer.Option(
            "--floor-limit",
            metavar="SHARE",
            help="Largest share by which a task may be worse than its best linear model, or than "
            "its best single modality, 0 to 1; a model that is worse, or has no linear models to "
            "compare with, is refused. Default: it may be worse within its 95% interval.",
        ),
        "holdout": typer.Option(
            "--holdout",
            metavar="PATTERN",
            help="Labelled records that no model was trained on: a model that is worse than the "
            "released one on a slice of them, beyond chance, is refused. Repeatable.",
        ),
        "slices": typer.Option(
            "--slice",
            metavar="COLUMN[:EDGES]",
            help="Field of the held-out records by whose values they are divided too; "
            "COLUMN:10,20 makes bins. Repeatable.",
        ),
        "drift": typer.Option(
            "--drift",
            help="Compare the scores of --golden with those of the released model: warn reports "
            "drift, and refuse also refuses the model.",
        ),
    },
    panel=flags.TRUST,
    epilog="triad release models/may --golden golden.jsonl --holdout 'holdout/*.jsonl' --slice shop"
    "\n\nExits with 10 if the model is refused; models/CURRENT then stays as it is.",
)
def release(session: Session, config: ReleaseConfig) -> None:
    """Check a model, then set CURRENT beside it, which streams and nightly runs follow."""
    print(session.run(run.release, config))


@command(
    app,
    SignConfig,
    {
        "model": flags.MODEL,
        "key": typer.Option("--key", metavar="KEY.pem", help="Private key to sign with (PEM, EC)."),
    },
    panel=flags.TRUST,
    epilog="triad sign model --key key.pem\n\nPrints the signature's path.",
)
def sign(session: Session, config: SignConfig) -> None:
    """Sign a model folder with your own private key."""
    print(session.run(run.sign, config))


@command(
    app,
    VerifyConfig,
    {
        "model": flags.MODEL,
        "key": typer.Option("--key", metavar="PUB.pem", help="Public key of the signer (PEM, EC)."),
    },
    panel=flags.TRUST,
    epilog="triad verify model --key public.pem"
    "\n\nExits with 10 if the model is not signed or has changed since it was signed.",
)
def verify(session: Session, config: VerifyConfig) -> None:
    """Check that a model folder has a valid signature and is unchanged since it was signed."""
    session.run(run.verify, config)
    print(f"{config.model}: is as it was signed")


@command(
    app,
    ExplainDigestConfig,
    {
        "left": typer.Argument(
            metavar="A", help="Model folder, prepared data, run, or the manifest of one."
        ),
        "right": typer.Argument(metavar="B", help="Folder or manifest to compare A with."),
    },
    panel=flags.TRUST,
    name="explain-digest",
    epilog="triad explain-digest model-of-may model-of-june\n\nExits with 10 if a part differs.",
)
def explain_digest(session: Session, config: ExplainDigestConfig) -> int:
    """List the parts of two models, prepared data sets or runs as equal or different."""
    return 0 if session.run(run.explain_digest, config) else GateError.exit_code
