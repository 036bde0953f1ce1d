"""The `triad` command: parses arguments, runs a use case and maps failures to exit codes."""

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
    help="Multimodal pipeline: image, audio and text records -> features -> one model -> published"
    " scores.",
    epilog="Start with: triad spec check spec.yaml",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def main(argv: Sequence[str] | None = None, call: Call | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        argv: Arguments without the program's name; by default those of the process.
        call: Function that calls the use case; by default it only passes the arguments on. Tests
            pass a recorder.

    Raises:
        Exception: A bug; Python prints its traceback and exits with 1.
    """
    ours, beam_args = _split_at_dashes(sys.argv[1:] if argv is None else argv)
    ours = _with_option_before_each(ours, "--input")
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
    if code == failures.INTERRUPTED:  # typer returns this code after Ctrl-C
        print("triad: interrupted; run the same command again to resume", file=sys.stderr)
    return int(code or 0)


def _split_at_dashes(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Splits the arguments at a lone `--` into those of Triad and those of Beam."""
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, ()
    index = arguments.index("--")
    return arguments[:index], tuple(arguments[index + 1 :])


def _with_option_before_each(arguments: Sequence[str], option: str) -> list[str]:
    """Repeats the option before each of its values; a shell expands a glob to several values."""
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


# `triad --help` lists the commands in this order.
app.add_typer(spec.app, name="spec", rich_help_panel=flags.PREPARE)
for group in (train, score, report, publish, stream, verify, doctor, clusters):
    app.add_typer(group.app)


if __name__ == "__main__":
    sys.exit(main())
