"""One start of a command: what it needs beside its own flags."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from triad_ml.pipelines.runtime import environment, logs
from triad_ml.pipelines.streaming.run import Run
from triad_ml.transforms.errors import OptionsError

BEAM = "What stands after a lone -- goes to Beam as it is."


@dataclasses.dataclass(frozen=True)
class Call:
    """What typer carries through to a command.

    Attributes:
        runs: What each kind of config is handed to.
        beam_args: What stood after a lone `--`.
    """

    runs: Mapping[type, Run]
    beam_args: tuple[str, ...]

    def run(self, settings: Any, verbose: bool) -> Any:
        """Does what a config asks for, and returns what that gives."""
        environment.prepare(verbose)
        logs.configure(verbose)
        return self.runs[type(settings)](settings)

    def refuse_beam_args(self, command: str) -> None:
        """Raises OptionsError where a command without Beam was given options of Beam."""
        if self.beam_args:
            raise OptionsError(f"--: triad {command} uses no Beam; remove what stands after it")
