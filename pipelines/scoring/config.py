"""Settings of `triad score`: frozen and checked."""

import dataclasses
import typing
from typing import Literal

from triad_ml.pipelines.runners import beam_options, registry
from triad_ml.pipelines.runtime import defaults, names
from triad_ml.pipelines.runtime.checks import at_least, each, need, need_each, share
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.transforms.errors import OptionsError

OnDrift = Literal["warn", "refuse"]


@dataclasses.dataclass(frozen=True)
class ScoreConfig:
    """Settings of one scoring run.

    Attributes:
        model: Model folder, or a folder whose `CURRENT` names one.
        inputs: Patterns of records files.
        output: Folder in which dates are published.
        date: Date of the scores, as YYYY-MM-DD.
        format: File format of the scores.
        rejected_limit: Largest share of rejected records with which a run is published, in [0, 1].
        runner: Name of the runner, a key of `registry.RUNNERS`.
        media_roots: Folders in which media are searched after that of the records file, in order.
        unit_records: Number of records in a unit of work.
        carry_over: True if scores of unchanged content are taken from the last published run.
        beam_args: Arguments that are passed to Beam unchanged.
        verify_key: PEM file of the public key that the model must be signed with; None requires no
            signature.
        no_wait: True if the job is submitted and not waited for: its last step publishes. Dataflow
            only.
        explain: True if classifications and regressions have the share of each modality, its
            Shapley value.
        issues_limit: Largest share of a modality's media that may be lost, in [0, 1]; None takes
            the limit of the model's spec.
        drift: `warn` reports features that drift from `trained`, and `refuse` refuses such a run;
            None compares with nothing.
        trained: Folder with the statistics to compare with, such as the prepared data that the
            model was trained on.
    """

    model: str
    inputs: tuple[str, ...]
    output: str
    date: str
    format: ScoresFormat = "parquet"
    rejected_limit: float = defaults.REJECTED_LIMIT
    runner: str = "local"
    media_roots: tuple[str, ...] = ()
    unit_records: int = defaults.UNIT_RECORDS
    carry_over: bool = False
    beam_args: tuple[str, ...] = ()
    verify_key: str | None = None
    no_wait: bool = False
    explain: bool = False
    issues_limit: float | None = None
    drift: OnDrift | None = None
    trained: str | None = None

    def __post_init__(self) -> None:
        need("--model", self.model)
        need_each("--input", self.inputs)
        need("--output", self.output)
        names.check_date(self.date)
        known = typing.get_args(ScoresFormat)
        if self.format not in known:
            raise OptionsError(f"--format: must be one of {', '.join(known)}, got {self.format!r}")
        share("--rejected-limit", self.rejected_limit)
        share("--issues-limit", self.issues_limit)
        runner = registry.named(self.runner)
        each("--media-root", self.media_roots)
        at_least("--unit-records", self.unit_records, 1)
        if self.verify_key is not None:
            need("--verify-key", self.verify_key)
        if self.trained is not None:
            need("--trained", self.trained)
        if (self.drift is None) != (self.trained is None):
            raise OptionsError(
                "--drift: needs --trained, the folder to compare with, and --trained needs --drift "
                "warn or refuse; give both or neither"
            )
        beam_options.check_beam_args(self.beam_args)
        paths = {
            "--model": (self.model,),
            "--input": self.inputs,
            "--output": (self.output,),
            "--media-root": self.media_roots,
        }
        runner.check(paths, self.beam_args)
        if self.no_wait and not runner.detaches:
            raise OptionsError("--no-wait: only a job on Dataflow runs on by itself; remove it")
