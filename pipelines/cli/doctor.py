"""The command `triad doctor`."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import BEAM, Session, command
from triad_ml.pipelines.doctor.config import DoctorConfig
from triad_ml.pipelines.runners.registry import RUNNERS
from triad_ml.transforms.errors import OptionsError

app = typer.Typer()


@command(
    app,
    DoctorConfig,
    {
        "runner": typer.Option(
            "--runner",
            metavar="NAME",
            help="Runner to check: "
            f"{', '.join(one.name for one in RUNNERS.values() if one.doctor_checks)}.",
        ),
        "spec": typer.Option(
            "--spec",
            metavar="FILE",
            help="Spec for which the pipeline of `triad preprocess` is checked.",
        ),
        "model": typer.Option(
            "--model",
            metavar="DIR",
            help="Model folder for which the pipeline of `triad score` is checked.",
        ),
        "output": typer.Option(
            "--output", metavar="DIR", help="Folder for the results; a test file is written there."
        ),
        "as_json": flags.JSON,
    },
    panel=flags.TRUST,
    epilog="triad doctor --model model --input 'records/*.jsonl' --output scores"
    "\n\nNothing is submitted. Exits with 12 if something would fail; warnings do not count."
    f"\n\n{BEAM}",
)
def doctor(session: Session, config: DoctorConfig) -> int:
    """Report what would make a run fail, before it is started."""
    from triad_ml.pipelines.doctor import run  # loads Arrow, which `--help` does not need

    return 0 if session.run(run.run, config) else OptionsError.exit_code
