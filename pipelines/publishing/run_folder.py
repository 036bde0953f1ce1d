"""Folder of a scoring run: its id, and the paths of its files."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping

from triad_ml.pipelines.runtime.names import RUN_ID, check_date
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Provenance
from triad_ml.transforms.statistics import document

HIDDEN = "_runs"
"""Name of the folder of a date's runs; readers of whole folders skip names that begin with `_`."""


def run_id(
    date: str,
    inputs: Iterable[tuple[str, int, str]],
    provenance: Provenance,
    options: Mapping[str, str],
) -> str:
    """Returns the id of a run: 24 hexadecimal digits of a hash of all that decides its output.

    Args:
        date: ISO date that the scores are for.
        inputs: URI, size in bytes and version of each input file, in any order.
        provenance: Digests of the model and version of this software.
        options: Other settings that change the output, such as its format and the size of units.
    """
    whole = {
        "date": date,
        "inputs": sorted(list(file) for file in inputs),
        "provenance": dataclasses.asdict(provenance),
        "options": dict(options),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:24]


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Folder of one run, and the paths in it.

    Attributes:
        output: Local folder or `gs://` prefix that holds all dates.
        date: ISO date of the scores, such as `2026-11-24`.
        run_id: Id of the run, as `run_id` returns it.
        visible: True for a run of Triad before 0.2, whose folder is next to `CURRENT`.
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
    def statistics(self) -> str:
        return f"{self.folder}/{document.NAME}"

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
        """Returns the path of a part in the run folder; `kind` is `scores` or `rejected`."""
        folder = "scores" if kind == "scores" else self.rejected.rpartition("/")[2]
        return f"{folder}/part-{unit:05d}.{format}"

    def path(self, relative: str) -> str:
        """Returns the full path of a file that a manifest lists."""
        return f"{self.folder}/{relative}"


def date_folder(output: str, date: str) -> str:
    """Returns the path of the folder of a date: its pointer and all its runs."""
    return f"{output.rstrip('/')}/dt={date}"
