"""Frozen, checked settings of parity, late labels, release, signatures and digest comparison."""

import dataclasses
import itertools
import math
from typing import Self

from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.runtime.checks import at_least, each, need, need_each, share
from triad_ml.pipelines.scoring.config import OnDrift
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class ParityConfig:
    """Settings of `triad parity`.

    Attributes:
        model: Folder that training wrote.
        inputs: Patterns of records files.
        limit: Number of records to compare; None compares all.
        tolerance: Largest difference of floats that passes; ids and bytes must be equal.
        media_roots: Folders in which media are searched for after that of the records file, in
            order.
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
class Slice:
    """Division of scored records by the values of a column.

    Attributes:
        column: Name of the column.
        edges: Lower edges of all bins but the first, rising; empty for a slice of each value.
    """

    column: str
    edges: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `COLUMN`, or `COLUMN:EDGE,EDGE`; a column's own name may have colons.

        Raises:
            OptionsError: The name is empty, or the edges do not rise.
        """
        column, colon, last = text.rpartition(":")
        try:
            edges = tuple(float(one) for one in last.split(",")) if colon else ()
        except ValueError:
            edges = ()
        made = cls(column, edges) if edges else cls(text)
        need("--slice", made.column)
        rising = all(a < b for a, b in itertools.pairwise(made.edges))
        if not rising or not all(map(math.isfinite, made.edges)):
            raise OptionsError(f"--slice: {text}: edges of bins are finite and rise, such as 10,20")
        return made


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `triad evaluate`.

    Attributes:
        scores: Folder that scoring published into, the folder of a date in it, or that of a run.
        labels: Patterns of files with the labels.
        date: Date of the scores; None takes the latest.
        model: Folder of the model that scored; its spec names the keys of the labels. None: a
            task's label has the key of the task's name.
        slices: Columns by whose values the records are divided; `COLUMN:EDGE,EDGE` makes bins.
        output: Path of the JSON file with all figures; None writes none.
    """

    scores: str
    labels: tuple[str, ...]
    date: str | None = None
    model: str | None = None
    slices: tuple[str, ...] = ()
    output: str | None = None

    def __post_init__(self) -> None:
        need("--scores", self.scores)
        need_each("--labels", self.labels)
        for flag, value in (("--model", self.model), ("--output", self.output)):
            if value is not None:
                need(flag, value)
        if self.date is not None:
            names.check_date(self.date)
        _ = self.divisions

    @property
    def divisions(self) -> tuple[Slice, ...]:
        """Parsed `slices`."""
        return tuple(Slice.parse(text) for text in self.slices)


@dataclasses.dataclass(frozen=True)
class RobustnessConfig:
    """Settings of `triad robustness`.

    Attributes:
        model: Folder that training wrote.
        inputs: Patterns of labelled records files.
        limit: Largest number of labelled records.
        media_roots: Folders in which media are searched for after that of the records file, in
            order.
        output: Path of the JSON file with all figures; None writes none.
    """

    model: str
    inputs: tuple[str, ...]
    limit: int = 1000
    media_roots: tuple[str, ...] = ()
    output: str | None = None

    def __post_init__(self) -> None:
        need("--model", self.model)
        need_each("--input", self.inputs)
        each("--media-root", self.media_roots)
        at_least("--limit", self.limit, 1)
        if self.output is not None:
            need("--output", self.output)


@dataclasses.dataclass(frozen=True)
class SignConfig:
    """Settings of `triad sign`.

    Attributes:
        model: Folder that training wrote.
        key: PEM file of the private key.
    """

    model: str
    key: str

    def __post_init__(self) -> None:
        need("MODEL", self.model)
        need("--key", self.key)


@dataclasses.dataclass(frozen=True)
class VerifyConfig:
    """Settings of `triad verify`.

    Attributes:
        model: Folder of the model that must be signed.
        key: PEM file of the signer's public key.
    """

    model: str
    key: str

    def __post_init__(self) -> None:
        need("MODEL", self.model)
        need("--key", self.key)


@dataclasses.dataclass(frozen=True)
class ExplainDigestConfig:
    """Settings of `triad explain-digest`: two folders, or their manifests, to compare."""

    left: str
    right: str

    def __post_init__(self) -> None:
        need("A", self.left)
        need("B", self.right)


@dataclasses.dataclass(frozen=True)
class ReleaseConfig:
    """Settings of `triad release`.

    Attributes:
        model: Folder that training wrote; its parent folder holds the pointer `CURRENT`.
        golden: Pattern of labelled records whose labels the model must predict.
        verify_key: PEM file of the public key that the model must be signed with.
        media_roots: Folders in which media are searched for after that of the records file, in
            order.
        floor_limit: Largest share by which a task may be worse than its best linear model, or than
            its best single modality; a model that is worse, or has no linear models to compare
            with, is refused. None: a model is refused if it is worse beyond its interval.
        holdout: Patterns of labelled records on which the model may not be worse than the released
            one, on any slice; empty compares nothing.
        slices: Fields of these records by whose values they are divided; `COLUMN:EDGE,EDGE` makes
            bins.
        drift: `refuse` refuses a model whose scores of golden records drift from those of the
            released model; `warn` only says so.
    """

    model: str
    golden: str | None = None
    verify_key: str | None = None
    media_roots: tuple[str, ...] = ()
    floor_limit: float | None = None
    holdout: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    drift: OnDrift = "warn"

    def __post_init__(self) -> None:
        for flag, value in (
            ("MODEL", self.model),
            ("--golden", self.golden),
            ("--verify-key", self.verify_key),
            *(("--media-root", root) for root in self.media_roots),
            *(("--holdout", pattern) for pattern in self.holdout),
        ):
            if value is not None and not value.strip():
                raise OptionsError(f"{flag}: must not be empty")
        share("--floor-limit", self.floor_limit)
        if self.divisions and not self.holdout:
            raise OptionsError("--slice: divides the records of --holdout; name some")
        if self.drift != "warn" and self.golden is None:
            raise OptionsError("--drift: is of the scores of --golden; name golden records")

    @property
    def divisions(self) -> tuple[Slice, ...]:
        """Parsed `slices`."""
        return tuple(Slice.parse(text) for text in self.slices)
