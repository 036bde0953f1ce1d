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
            help=f"One of {', '.join(one.name for one in RUNNERS.values() if one.doctor_checks)}.",
        ),
        "spec": typer.Option(
            "--spec", metavar="FILE", help="Look at what `triad preprocess` submits."
        ),
        "model": typer.Option("--model", metavar="DIR", help="Look at what `triad score` submits."),
        "output": typer.Option(
            "--output", metavar="DIR", help="Try whether the results can be written."
        ),
        "as_json": flags.JSON,
    },
    panel=flags.TRUST,
    epilog="triad doctor --model model --input 'records/*.jsonl' --output scores"
    "\n\nSubmits nothing. Exits with 12 where something would fail; warnings do not count."
    f"\n\n{BEAM}",
)
def doctor(session: Session, config: DoctorConfig) -> int:
    """Say what would make a run fail, before it is started."""
    from triad_ml.pipelines.doctor import run  # loads Arrow, and `--help` needs none

    return 0 if session.run(run.run, config) else OptionsError.exit_code
