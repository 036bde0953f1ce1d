"""Frozen, checked settings: one class a command. Errors name the flag."""

import dataclasses
import math
import typing

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.runners import beam_options, dataflow
from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class PreprocessConfig:
    """What one preprocessing run reads and writes.

    Attributes:
        spec: Path of the spec file.
        inputs: Patterns of records files.
        output: Folder for features, transform graph, statistics and manifest.
        runner: A key of `options.RUNNERS`.
        shards: Files that each split is written to.
        media_roots: Folders in which media are looked for after that of the records file, in order.
        rejected_limit: Largest share of rejected records that passes.
        issues_limit: Largest share of a modality's media that may be lost; None leaves it to the
            spec.
        keep_canonical: Whether the canonical records stay beside the features.
        beam_args: What goes to Beam as it is.
    """

    spec: str
    inputs: tuple[str, ...]
    output: str
    runner: str = "local"
    shards: int = 4
    media_roots: tuple[str, ...] = ()
    rejected_limit: float = flags.REJECTED_LIMIT
    keep_canonical: bool = False
    beam_args: tuple[str, ...] = ()
    issues_limit: float | None = None

    def __post_init__(self) -> None:
        need("--spec", self.spec)
        need_each("--input", self.inputs)
        need("--output", self.output)
        beam_options.check_runner(self.runner)
        at_least("--shards", self.shards, 1)
        each("--media-root", self.media_roots)
        share("--rejected-limit", self.rejected_limit)
        share("--issues-limit", self.issues_limit)
        beam_options.check_beam_args(self.beam_args)
        if self.output.startswith("gs://") and self.keep_canonical:
            raise OptionsError("--keep-canonical: needs a local --output; remove it")
        if self.runner.lower() == dataflow.RUNNER:
            paths = {
                "--input": self.inputs,
                "--output": (self.output,),
                "--media-root": self.media_roots,
            }
            dataflow.check(paths, self.beam_args)
            if dataflow.makes_template(self.beam_args):
                raise OptionsError("--template_location: preprocess is two jobs; remove it")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """What one training reads and writes. None leaves a setting to the spec.

    Attributes:
        data: Folder that preprocessing wrote.
        output: Folder for the model, its report and the checkpoints.
        epochs: Instead of the spec's.
        seed: Instead of the spec's; below 2**31.
        batch_size: Instead of the spec's.
        fresh: Whether earlier checkpoints are thrown away.
        spec: File whose `model` and `training` count instead of the prepared spec's.
    """

    data: str
    output: str
    epochs: int | None = None
    seed: int | None = None
    batch_size: int | None = None
    fresh: bool = False
    spec: str | None = None

    def __post_init__(self) -> None:
        need("--data", self.data)
        if self.spec is not None:
            need("--spec", self.spec)
        if self.data.startswith("gs://"):
            raise OptionsError(
                f"--data: {self.data}: training reads local files; copy the folder to this machine "
                "(gcloud storage cp -r): its manifest proves the copy"
            )
        need("--output", self.output)
        if self.output.startswith("gs://"):
            raise OptionsError(
                f"--output: {self.output}: training writes to a local folder; name one, and copy "
                "the model when it is done"
            )
        at_least("--epochs", self.epochs, 1)
        at_least("--seed", self.seed, 0)
        if self.seed is not None and self.seed >= 2**31:
            raise OptionsError(f"--seed: must be below {2**31}, got {self.seed}")
        at_least("--batch-size", self.batch_size, 1)


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """What one search reads, writes and may take.

    Attributes:
        data: Folder that preprocessing wrote.
        output: Folder for the best spec, the table of trials and what a restart needs.
        trials: In all, those of earlier calls included.
        minutes: After which no epoch is begun; None sets no limit.
        space: File that says what is tried; None takes the default.
        seed: Decides which values are tried.
    """

    data: str
    output: str
    trials: int = 30
    minutes: float | None = None
    space: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        need("--data", self.data)
        if self.data.startswith("gs://"):
            raise OptionsError(f"--data: {self.data}: a search reads local files; copy it here")
        need("--output", self.output)
        if self.output.startswith("gs://"):
            raise OptionsError(f"--output: {self.output}: a search writes to a local folder")
        at_least("--trials", self.trials, 1)
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise OptionsError(f"--minutes: must be over 0, got {self.minutes:g}")
        if self.space is not None:
            need("--space", self.space)
        at_least("--seed", self.seed, 0)


@dataclasses.dataclass(frozen=True)
class ScoreConfig:
    """What one scoring run reads, loads and publishes.

    Attributes:
        model: Folder that training wrote.
        inputs: Patterns of records files.
        output: Folder in which dates are published.
        date: The date that the scores are of, as YYYY-MM-DD.
        format: Of the scores' files.
        rejected_limit: Largest share of rejected records that is published.
        runner: A key of `options.RUNNERS`.
        media_roots: Folders in which media are looked for after that of the records file, in order.
        unit_records: Records in a unit of work.
        carry_over: Take scores of unchanged content from the last published run.
        beam_args: What goes to Beam as it is.
        verify_key: PEM file of the public key that the model must be signed with; None asks for no
            signature.
        no_wait: Submit the job and return: its last step publishes. Dataflow only.
        explain: Say what each modality is worth to each classification.
        issues_limit: Largest share of a modality's media that may be lost; None leaves it to the
            model's spec.
    """

    model: str
    inputs: tuple[str, ...]
    output: str
    date: str
    format: formats.ScoresFormat = "parquet"
    rejected_limit: float = flags.REJECTED_LIMIT
    runner: str = "local"
    media_roots: tuple[str, ...] = ()
    unit_records: int = flags.UNIT_RECORDS
    carry_over: bool = False
    beam_args: tuple[str, ...] = ()
    verify_key: str | None = None
    no_wait: bool = False
    explain: bool = False
    issues_limit: float | None = None

    def __post_init__(self) -> None:
        need("--model", self.model)
        need_each("--input", self.inputs)
        need("--output", self.output)
        names.check_date(self.date)
        known = typing.get_args(formats.ScoresFormat)
        if self.format not in known:
            raise OptionsError(f"--format: must be one of {', '.join(known)}, got {self.format!r}")
        share("--rejected-limit", self.rejected_limit)
        share("--issues-limit", self.issues_limit)
        beam_options.check_runner(self.runner)
        each("--media-root", self.media_roots)
        at_least("--unit-records", self.unit_records, 1)
        if self.verify_key is not None:
            need("--verify-key", self.verify_key)
        beam_options.check_beam_args(self.beam_args)
        if self.runner.lower() == dataflow.RUNNER:
            paths = {
                "--model": (self.model,),
                "--input": self.inputs,
                "--output": (self.output,),
                "--media-root": self.media_roots,
            }
            dataflow.check(paths, self.beam_args)
        elif self.no_wait:
            raise OptionsError("--no-wait: only a job on Dataflow goes on by itself; remove it")


@dataclasses.dataclass(frozen=True)
class ParityConfig:
    """What is taken through all the ways that must agree.

    Attributes:
        model: Folder that training wrote.
        inputs: Patterns of records files.
        limit: Records that are compared; None compares all.
        tolerance: Largest difference of floats that passes; ids and bytes must be equal.
        media_roots: Folders in which media are looked for after that of the records file, in order.
        verify_key: PEM file of the public key that the model must be signed with.
    """

    model: str
    inputs: tuple[str, ...]
    limit: int | None = None
    tolerance: float = 1e-6
    media_roots: tuple[str, ...] = ()
    verify_key: str | None = None

    def __post_init__(self) -> None:
        need("--model", self.model)
        if self.verify_key is not None:
            need("--verify-key", self.verify_key)
        need_each("--input", self.inputs)
        each("--media-root", self.media_roots)
        at_least("--limit", self.limit, 1)
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise OptionsError(f"--tolerance: must be 0 or more, got {self.tolerance:g}")


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What the page shows.

    Attributes:
        model: Folder that training wrote.
        output: The HTML file.
        scores: Folder that scoring published into; None leaves scores out.
        date: The date whose scores are shown; None takes the latest.
        inputs: Patterns of records files, for labels and the gallery; without any there is none.
        media_roots: Folders in which media are looked for after that of the records file, in order.
        saliency: Records of each task in the gallery of which the page says what the prediction
            rests on.
        verify_key: PEM file of the public key that the model must be signed with.
    """

    model: str
    output: str
    scores: str | None = None
    date: str | None = None
    inputs: tuple[str, ...] = ()
    media_roots: tuple[str, ...] = ()
    saliency: int = 0
    verify_key: str | None = None

    def __post_init__(self) -> None:
        need("--model", self.model)
        if self.verify_key is not None:
            need("--verify-key", self.verify_key)
        need("--output", self.output)
        at_least("--saliency", self.saliency, 0)
        if self.saliency and (self.scores is None or not self.inputs):
            raise OptionsError("--saliency: is about the gallery; give --scores and --input too")
        if self.scores is not None:
            need("--scores", self.scores)
        if self.date is not None:
            names.check_date(self.date)
            if self.scores is None:
                raise OptionsError("--date: is a date of scores; give --scores too")
        each("--input", self.inputs)
        each("--media-root", self.media_roots)


@dataclasses.dataclass(frozen=True)
class SignConfig:
    """Which model is signed with which private key (PEM file)."""

    model: str
    key: str

    def __post_init__(self) -> None:
        need("MODEL", self.model)
        need("--key", self.key)


@dataclasses.dataclass(frozen=True)
class VerifyConfig:
    """Which model must be signed by the holder of which public key (PEM file)."""

    model: str
    key: str

    def __post_init__(self) -> None:
        need("MODEL", self.model)
        need("--key", self.key)


@dataclasses.dataclass(frozen=True)
class ExplainDigestConfig:
    """Two folders, or their manifests, that are compared part by part."""

    left: str
    right: str

    def __post_init__(self) -> None:
        need("A", self.left)
        need("B", self.right)


@dataclasses.dataclass(frozen=True)
class GcConfig:
    """What garbage collection looks at and what it keeps.

    Attributes:
        output: Folder in which dates are published.
        keep_days: Runs are kept that changed, or were replaced by another, in so many last days.
        dry_run: Whether nothing is removed, only said what would be.
    """

    output: str
    keep_days: int = 1
    dry_run: bool = False

    def __post_init__(self) -> None:
        need("--output", self.output)
        at_least("--keep-days", self.keep_days, 0)
        if not self.keep_days and self.output.startswith("gs://"):
            raise OptionsError(
                "--keep-days: must be at least 1 on gs://, where nothing else tells whether a run "
                "is still being written; got 0"
            )


@dataclasses.dataclass(frozen=True)
class RollbackConfig:
    """Which date goes back to which run.

    Attributes:
        output: Folder in which dates are published.
        date: The date.
        to: Id of the run that shall count; None takes the one that was replaced last.
    """

    output: str
    date: str
    to: str | None = None

    def __post_init__(self) -> None:
        need("--output", self.output)
        names.check_date(self.date)
        if self.to is not None and not names.RUN_ID.fullmatch(self.to):
            raise OptionsError(
                f"--to: must be a run id of 24 hexadecimal digits, got {self.to!r}; it stands in "
                "the name of the run's folder, behind run="
            )


@dataclasses.dataclass(frozen=True)
class DoctorConfig:
    """What the doctor looks at: the machine, and whatever is named.

    Attributes:
        runner: One of `options.DOCTORS_RUNNERS`.
        spec: The spec whose preprocessing would be submitted.
        model: The model whose scoring would be submitted.
        inputs: Patterns of records files.
        output: Folder for the results.
        media_roots: Folders beside that of the records file in which media may lie.
        as_json: Print JSON instead of a table.
        beam_args: What would go to Beam.
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
        if self.runner not in beam_options.DOCTORS_RUNNERS:
            known = ", ".join(beam_options.DOCTORS_RUNNERS)
            raise OptionsError(f"--runner: must be one of {known}, got {self.runner!r}")
        named = (("--spec", self.spec), ("--model", self.model), ("--output", self.output))
        for flag, value in named:
            if value is not None:
                need(flag, value)
        each("--input", self.inputs)
        each("--media-root", self.media_roots)
        beam_options.check_beam_args(self.beam_args)


def need(flag: str, value: str) -> None:
    """Refuses an empty value.

    Raises:
        OptionsError: Naming the flag.
    """
    if not value.strip():
        raise OptionsError(f"{flag}: must not be empty")


def each(flag: str, values: tuple[str, ...]) -> None:
    for value in values:
        need(flag, value)


def need_each(flag: str, values: tuple[str, ...]) -> None:
    if not values:
        raise OptionsError(f"{flag}: name at least one")
    each(flag, values)


def at_least(flag: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise OptionsError(f"{flag}: must be at least {least}, got {value}")


def share(flag: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise OptionsError(f"{flag}: must be a share from 0 to 1, got {value:g}")


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Which weights of EfficientNet-Lite0 are written as a file of Keras.

    Attributes:
        output: The file; its name ends in `.weights.h5`.
        weights: A PyTorch file; None takes the one in the installed package.
    """

    output: str
    weights: str | None = None

    def __post_init__(self) -> None:
        need("--output", self.output)
        if not self.output.endswith(".weights.h5"):
            raise OptionsError(f"--output: must end in .weights.h5, got {self.output!r}")
        if self.weights is not None:
            need("--weights", self.weights)
