"""Settings of gc, rollback, run list, current run and export: frozen and checked."""

import dataclasses

from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.runtime.checks import at_least, need
from triad_ml.pipelines.runtime.names import check_date
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class GcConfig:
    """Settings of a garbage collection.

    Attributes:
        output: Folder in which dates are published.
        keep_days: Number of days for which a run is kept after its last change, and after another
            run replaced it.
        dry_run: True if nothing is removed, and what would be is only printed.
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
    """Settings of a rollback.

    Attributes:
        output: Folder in which dates are published.
        date: Date whose published run changes, as YYYY-MM-DD.
        to: Id of the run to publish again; None takes the run that was replaced last.
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
    """Settings of a list of runs.

    Attributes:
        output: Folder in which dates are published.
        date: Only date whose runs are listed, as YYYY-MM-DD; None lists all dates.
        verify: True if all files are hashed, instead of only comparing their sizes.
        as_json: True if the list is printed as JSON.
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
    """Settings of a list of published files.

    Attributes:
        output: Folder in which dates are published.
        date: Date of the scores, as YYYY-MM-DD; None takes the latest that is published.
    """

    output: str
    date: str | None = None

    def __post_init__(self) -> None:
        need("OUT", self.output)
        if self.date is not None:
            check_date(self.date)


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Settings of an export of scores.

    Attributes:
        scores: Folder in which dates are published.
        output: Target: path of a local file, or a URI that an exporter of another system accepts.
        date: Date of the scores, as YYYY-MM-DD; None takes the latest that is published.
        overwrite: True if an existing file of that name is replaced.
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
        from triad_ml.pipelines.publishing import exporters  # Imports Arrow, too slow for `--help`.

        exporters.find(self.output)
