"""Dataflow Flex Template of `triad score`: metadata from the command's flags, and entry point."""

import json
import sys
import typing
from collections.abc import Sequence
from typing import Any

import typer

from triad_ml.pipelines.cli import main as cli_main
from triad_ml.pipelines.runners import dataflow

_FIXED = {"runner", "no_wait", "verbose", "help"}
_OF_A_TERMINAL = {"quiet", "json", "metrics"}  # The launcher's output and files are not kept.
_CLOUD = {flag.lstrip("-").replace("-", "_") for flag in dataflow.IN_CLOUD}
_REGEXES = {int: r"^[0-9]+$", float: r"^[0-9]*\.?[0-9]+$", bool: r"^(true|false)$"}


def metadata() -> dict[str, Any]:
    """Returns the template's metadata: Dataflow shows it, and checks parameters against it."""
    return {
        "name": "triad score",
        "description": "Scores records and publishes the scores of one date, whole or not at all.",
        "streaming": False,
        "parameters": [_parameter(flag) for flag in _flags().values()],
    }


def arguments(given: Sequence[str]) -> list[str]:
    """Returns the arguments of `triad` for those that the template's launcher passes.

    Args:
        given: Arguments `--name=value`: parameters of the template and options of Beam.
    """
    flags = _flags()
    ours, beam_args = ["score", "--runner=dataflow", "--no-wait"], []
    for argument in given:
        name, _, value = argument.partition("=")
        flag = flags.get(name.removeprefix("--"))
        if flag is not None:
            ours += _as_arguments(flag, value)
        elif name != "--runner":  # `--runner=dataflow` is already set
            beam_args.append(argument)
    return [*ours, "--", *beam_args]


def main(given: Sequence[str]) -> int:
    """Submits the job as `triad score` does, and returns the exit code."""
    return cli_main.main(arguments(given))


def _flags() -> dict[str, Any]:
    """Returns the flags of `triad score` by their names as parameters of the template."""
    command = typer.main.get_command(cli_main.app)
    score = command.commands["score"]  # type: ignore[attr-defined]
    flags = {_name(flag): flag for flag in score.params}
    return {name: flag for name, flag in flags.items() if name not in _FIXED | _OF_A_TERMINAL}


def _name(flag: Any) -> str:
    return str(flag.opts[0]).lstrip("-").replace("-", "_")


def _parameter(flag: Any) -> dict[str, Any]:
    text = flag.help or ""
    if flag.multiple:
        text = f"{text} Several values are separated by commas."
    parameter: dict[str, Any] = {
        "name": _name(flag),
        "label": flag.metavar or _name(flag),
        "helpText": text,
        "isOptional": not flag.required,
    }
    regex = _regex(flag)
    return {**parameter, "regexes": [regex]} if regex else parameter


def _regex(flag: Any) -> str | None:
    if _name(flag) in _CLOUD:
        return "^gs://.+$"
    if _name(flag) == "date":
        return r"^\d{4}-\d{2}-\d{2}$"
    kind = flag.type_descriptor.annotation
    if typing.get_origin(kind) is typing.Literal:
        return f"^({'|'.join(typing.get_args(kind))})$"
    return _REGEXES.get(kind)


def _as_arguments(flag: Any, value: str) -> list[str]:
    name = flag.opts[0]
    if flag.is_flag:
        return [name] if value == "true" else []
    values = value.split(",") if flag.multiple else [value]
    return [f"{name}={each}" for each in values]


if __name__ == "__main__":
    json.dump(metadata(), sys.stdout, indent=2)
    print()
