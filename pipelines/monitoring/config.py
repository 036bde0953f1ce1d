"""Settings of `triad stats` and `triad drift`: frozen and checked."""

import dataclasses

from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.runtime.checks import need


@dataclasses.dataclass(frozen=True)
class StatsConfig:
    """Settings of `triad stats`.

    Attributes:
        left: Folder with statistics: prepared data, a run, or published scores.
        right: Folder to show beside it; None shows one.
        date: Date of published scores; None takes the latest.
        output: HTML page to write; None writes none.
        tfmd: File to write as a `DatasetFeatureStatisticsList` of TensorFlow Metadata; None writes
            none.
        as_json: True to return JSON instead of tables.
    """

    left: str
    right: str | None = None
    date: str | None = None
    output: str | None = None
    tfmd: str | None = None
    as_json: bool = False

    def __post_init__(self) -> None:
        need("A", self.left)
        for flag, value in (("B", self.right), ("--output", self.output), ("--tfmd", self.tfmd)):
            if value is not None:
                need(flag, value)
        if self.date is not None:
            names.check_date(self.date)


@dataclasses.dataclass(frozen=True)
class DriftConfig:
    """Settings of `triad drift`.

    Attributes:
        trained: Folder with the statistics to compare with, such as prepared data.
        tonight: Folder with the statistics of the records that may have drifted.
        date: Date of the scores in `tonight`; None takes the latest.
        spec: Spec file with the limits; None takes those of prepared data, or the defaults.
        as_json: True to return JSON instead of a table.
    """

    trained: str
    tonight: str
    date: str | None = None
    spec: str | None = None
    as_json: bool = False

    def __post_init__(self) -> None:
        need("TRAINED", self.trained)
        need("TONIGHT", self.tonight)
        if self.date is not None:
            names.check_date(self.date)
        if self.spec is not None:
            need("--spec", self.spec)
