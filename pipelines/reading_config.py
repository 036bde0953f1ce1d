"""Frozen, checked settings of the commands that read published scores."""

import dataclasses

from triad_ml.pipelines.config import need
from triad_ml.pipelines.runtime.names import check_date
from triad_ml.transforms.errors import OptionsError

SUFFIXES = (".parquet", ".csv", ".jsonl")
"""What scores are exported as, by the end of the file's name."""


@dataclasses.dataclass(frozen=True)
class RunsConfig:
    """Which runs are listed.

    Attributes:
        output: Folder in which dates are published.
        date: Only runs of this date; None is all dates.
        verify: Whether all files are hashed, and not only their sizes compared.
    """

    output: str
    date: str | None = None
    verify: bool = False

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
        output: The local file; its name ends in one of `SUFFIXES`.
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
        if "://" in self.output:
            raise OptionsError(f"--output: {self.output!r} is no local file; export it, then copy")
        if not self.output.endswith(SUFFIXES):
            raise OptionsError(
                f"--output: {self.output!r} ends in none of {', '.join(SUFFIXES)}; its end says "
                "what is written"
            )
