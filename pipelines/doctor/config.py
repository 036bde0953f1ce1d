"""Frozen, checked settings of `triad doctor`."""

import dataclasses

from triad_ml.pipelines.runners import beam_options, registry
from triad_ml.pipelines.runtime.checks import each, need
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class DoctorConfig:
    """Settings of `triad doctor`; it checks the machine, and each path that is not None.

    Attributes:
        runner: Name of a runner that has `doctor_checks`.
        spec: Path of the spec whose preprocessing would be submitted.
        model: Folder of the model whose scoring would be submitted.
        inputs: Patterns of records files.
        output: Folder for the results.
        media_roots: Folders in which media are searched for, after that of the records file.
        as_json: True if JSON is printed instead of a table.
        beam_args: Arguments that a run would pass to Beam.
    """

    runner: str = "local"
    spec: str | None = None
    model: str | None = None
    inputs: tuple[str, ...] = ()
    output: str | None = None
    as_json: bool = False
    beam_args: tuple[str, ...] = ()
    media_roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [name for name, runner in registry.RUNNERS.items() if runner.doctor_checks]
        if self.runner not in known:
            raise OptionsError(f"--runner: must be one of {', '.join(known)}, got {self.runner!r}")
        named = (("--spec", self.spec), ("--model", self.model), ("--output", self.output))
        for flag, value in named:
            if value is not None:
                need(flag, value)
        each("--input", self.inputs)
        each("--media-root", self.media_roots)
        beam_options.check_beam_args(self.beam_args)
