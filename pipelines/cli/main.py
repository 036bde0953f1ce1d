"""The `triad` command: it parses, checks, hands over, and turns failures into lines and codes."""

import sys
from collections.abc import Sequence

import typer

from triad_ml.pipelines.cli import (
    clusters,
    doctor,
    flags,
    publish,
    report,
    score,
    spec,
    stream,
    train,
    verify,
)
from triad_ml.pipelines.cli.session import Call, Session
from triad_ml.pipelines.runtime import failures, logs
from triad_ml.transforms.version import VERSION

app = typer.Typer(
    name="triad",
    help="Image, audio and text records -> features -> one model -> published scores.",
    epilog="Start with: triad spec check spec.yaml",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def main(argv: Sequence[str] | None = None, call: Call | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        argv: Arguments without the program's name; by default those of the process.
        call: Calls the function of a use case; by default with its arguments and no more.

    Raises:
        Exception: Any bug, with its traceback; Python then exits with 1.
    """
    ours, beam_args = _parted(sys.argv[1:] if argv is None else argv)
    ours = _each_named(ours, "--input")
    session = Session(beam_args) if call is None else Session(beam_args, call)
    try:
        code = typer.main.get_command(app).main(
            ours, prog_name="triad", standalone_mode=False, obj=session
        )
    except typer.TyperException as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "triad")
        return _say(failures.usage(error.format_message(), path))
    except Exception as error:
        failure = failures.explain(error)
        if failure is None:
            raise
        return _say(failure)
    if code == failures.INTERRUPTED:  # what typer makes of Ctrl-C
        print("triad: interrupted; run the same command again to go on", file=sys.stderr)
    return int(code or 0)


def _parted(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Cuts the arguments at a lone `--`."""
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, ()
    place = arguments.index("--")
    return arguments[:place], tuple(arguments[place + 1 :])


def _each_named(arguments: Sequence[str], option: str) -> list[str]:
    """The arguments with the option before each value: a shell makes several of one pattern."""
    named: list[str] = []
    in_values = False
    for argument in arguments:
        if in_values and not argument.startswith("-") and named[-1] != option:
            named.append(option)
        elif argument.startswith("-"):
            in_values = argument == option
        named.append(argument)
    return named


def _say(failure: failures.Failure) -> int:
    for line in failure.lines:
        print(f"triad: {logs.printable(logs.masked(line))}", file=sys.stderr)
    return failure.exit_code


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"triad {VERSION}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version."
    ),
) -> None:
    pass


# In the order in which `triad --help` lists them.
app.add_typer(spec.app, name="spec", rich_help_panel=flags.PREPARE)
for group in (train, score, report, publish, stream, verify, doctor, clusters):
    app.add_typer(group.app)


if __name__ == "__main__":
    sys.exit(main())
