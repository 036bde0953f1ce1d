"""Frozen, checked settings of gc, rollback, run list, current run and export."""

import dataclasses

from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.runtime.checks import at_least, need
from triad_ml.pipelines.runtime.names import check_date
from triad_ml.transforms.errors import OptionsError


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
class RunsConfig:
    """Which runs are listed.

    Attributes:
        output: Folder in which dates are published.
        date: Only runs of this date; None is all dates.
        verify: Whether all files are hashed, and not only their sizes compared.
        as_json: Whether the list is printed as JSON.
    """

    output: str
    date: str | None = None
    verify: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        need("OUT", self.output)
        if self.date is not None:
            check_date(self.date)


@dataclasses.dataclass(frozen=True)
class CurrentConfig:
    """Of which date the files that count are named.

    Attributes:
        output: Folder in which dates are published.
        date: None is the latest that is published.
    """

    output: str
    date: str | None = None

    def __post_init__(self) -> None:
        need("OUT", self.output)
        if self.date is not None:
            check_date(self.date)


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Which scores become one file.

    Attributes:
        scores: Folder in which dates are published.
        output: The target: a local file, or what an exporter of another system takes.
        date: None is the latest that is published.
        overwrite: Whether a file of that name is replaced.
    """

    scores: str
    output: str
    date: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        need("OUT", self.scores)
        need("--output", self.output)
        if self.date is not None:
            check_date(self.date)
        from triad_ml.pipelines.publishing import exporters  # brings Arrow, which `--help` spares

        exporters.find(self.output)
