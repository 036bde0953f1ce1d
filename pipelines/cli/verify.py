"""The commands of trust: parity, release, sign, verify and explain-digest."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session, command
from triad_ml.pipelines.verification import run
from triad_ml.pipelines.verification.config import (
    ExplainDigestConfig,
    ParityConfig,
    ReleaseConfig,
    SignConfig,
    VerifyConfig,
)
from triad_ml.transforms.errors import GateError

app = typer.Typer()


@command(
    app,
    ParityConfig,
    {
        "limit": typer.Option("--limit", metavar="N", help="Compare the first N records only."),
        "tolerance": typer.Option(
            "--tolerance", metavar="X", help="The largest difference of floats that passes."
        ),
    },
    panel=flags.TRUST,
    epilog="triad parity --model model --input 'records/*.jsonl' --limit 500"
    "\n\nExits with 10 where a difference is over the tolerance.",
)
def parity(session: Session, config: ParityConfig) -> int:
    """Prove that training and scoring see the same features and give the same scores."""
    return 0 if session.run(run.parity, config) else GateError.exit_code


@command(
    app,
    ReleaseConfig,
    {"model": flags.MODEL, "golden": flags.GOLDEN},
    panel=flags.TRUST,
    epilog="triad release models/may --golden golden.jsonl"
    "\n\nExits with 10 where the model is refused: models/CURRENT stays as it is.",
)
def release(session: Session, config: ReleaseConfig) -> None:
    """Check a model, and let CURRENT beside it name it: streams and nights take it."""
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
    """Sign a model folder with a private key of your own."""
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
    "\n\nExits with 10 where the model is not signed, or not as it was when it was signed.",
)
def verify(session: Session, config: VerifyConfig) -> None:
    """Check that a model folder is, byte for byte, what somebody signed."""
    session.run(run.verify, config)
    print(f"{config.model}: is as it was signed")


@command(
    app,
    ExplainDigestConfig,
    {
        "left": typer.Argument(
            metavar="A", help="A model, a preprocessing, a run, or its manifest."
        ),
        "right": typer.Argument(metavar="B", help="The one that A is compared with."),
    },
    panel=flags.TRUST,
    name="explain-digest",
    epilog="triad explain-digest model-of-may model-of-june\n\nExits with 10 where a part differs.",
)
def explain_digest(session: Session, config: ExplainDigestConfig) -> int:
    """Say which parts of two models, preprocessings or runs are equal, and which differ."""
    return 0 if session.run(run.explain_digest, config) else GateError.exit_code
