"""Context of one start of the command line: the arguments for Beam, and the call of a use case."""

import dataclasses
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from triad_ml.pipelines.runtime import environment, logs
from triad_ml.transforms.errors import OptionsError

BEAM = "What stands after a lone -- goes to Beam as it is."

P = ParamSpec("P")
R = TypeVar("R")
Call = Callable[..., Any]
"""Takes a function and its arguments, and gives the result."""


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


@dataclasses.dataclass(frozen=True)
class Session:
    """Context that typer carries through to a command.

    Attributes:
        beam_args: Arguments after a lone `--`.
        call: Calls the function of a use case; tests put a recorder in its place.
        verbose: Whether libraries may log too.
    """

    beam_args: tuple[str, ...] = ()
    call: Call = _call
    verbose: bool = False

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Prepares environment and logs, calls the function and returns its result."""
        environment.prepare(self.verbose)
        logs.configure(self.verbose)
        result: R = self.call(function, *args, **kwargs)
        return result

    def loud(self, verbose: bool) -> "Session":
        """The same session, with what a command's own flag says of logs."""
        return dataclasses.replace(self, verbose=verbose)

    def refuse_beam_args(self, command: str) -> None:
        """Raises OptionsError where a command without Beam was given options of Beam."""
        if self.beam_args:
            raise OptionsError(f"--: triad {command} uses no Beam; remove what stands after it")
