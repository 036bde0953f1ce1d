"""Run folders: the layout of a scoring run's files, and its id."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping

from triad_ml.pipelines.runtime.names import RUN_ID as RUN_ID
from triad_ml.pipelines.runtime.names import check_date as check_date
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Provenance

HIDDEN = "_runs"
"""Folder of a date's runs: readers of whole folders pass over names that begin with `_`."""


def run_id(
    date: str,
    inputs: Iterable[tuple[str, int, str]],
    provenance: Provenance,
    options: Mapping[str, str],
) -> str:
    """Names a run by everything that decides what it publishes: 24 hexadecimal digits.

    Args:
        date: ISO date that the scores are for.
        inputs: URI, size in bytes and version of each input file, in any order.
        provenance: Of the model and this software.
        options: Whatever else changes the output: its format, how the inputs are cut into units.
    """
    whole = {
        "date": date,
        "inputs": sorted(list(one) for one in inputs),
        "provenance": dataclasses.asdict(provenance),
        "options": dict(options),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:24]


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and the paths in it.

    Attributes:
        output: Local folder or `gs://` prefix that holds all dates.
        date: As `2026-11-24`.
        run_id: See `run_id`.
        visible: Whether it is a run of Triad before 0.2, which lies beside `CURRENT`.
    """

    output: str
    date: str
    run_id: str
    visible: bool = False

    def __post_init__(self) -> None:
        if not self.output:
            raise OptionsError("--output: an empty path; name a folder")
        check_date(self.date)
        if not RUN_ID.fullmatch(self.run_id):
            raise ValueError(f"a run id has 24 hexadecimal digits, got {self.run_id!r}")

    @property
    def date_folder(self) -> str:
        return date_folder(self.output, self.date)

    @property
    def folder(self) -> str:
        parent = self.date_folder if self.visible else f"{self.date_folder}/{HIDDEN}"
        return f"{parent}/run={self.run_id}"

    @property
    def manifest(self) -> str:
        return f"{self.folder}/manifest.json"

    @property
    def units(self) -> str:
        """Folder of the units' manifests and, until the run is published, of their tables."""
        return f"{self.folder}/{'units' if self.visible else '_units'}"

    @property
    def rejected(self) -> str:
        """Folder of the parts of rejected records."""
        return f"{self.folder}/{'rejected' if self.visible else '_rejected'}"

    def unit_manifest(self, unit: int) -> str:
        return f"{self.units}/{unit:05d}.json"

    def unit_scores(self, unit: int) -> str:
        return f"{self.units}/{unit:05d}.scores.parquet"

    def unit_rejected(self, unit: int) -> str:
        return f"{self.units}/{unit:05d}.rejected.parquet"

    def part(self, kind: str, unit: int, format: ScoresFormat) -> str:
        """The path, relative to the run folder, of a part of `scores` or of `rejected` records."""
        folder = "scores" if kind == "scores" else self.rejected.rpartition("/")[2]
        return f"{folder}/part-{unit:05d}.{format}"

    def path(self, relative: str) -> str:
        """The full path of a file that a manifest lists."""
        return f"{self.folder}/{relative}"


def date_folder(output: str, date: str) -> str:
    """The folder of all runs of a date."""
    return f"{output.rstrip('/')}/dt={date}"
