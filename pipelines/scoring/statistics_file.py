"""Reader of `statistics.json`, of prepared data, of a run, or of the published run of a date."""

import json
from typing import NamedTuple

from triad_ml.pipelines.preprocessing.dataset import MANIFEST
from triad_ml.pipelines.publishing import publish, run_index
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import DamagedError, OptionsError
from triad_ml.transforms.records.values import SPLITS
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.drift import Drift
from triad_ml.transforms.statistics import document
from triad_ml.transforms.statistics.accumulators import WHOLE
from triad_ml.transforms.statistics.document import Part, Statistics


class Opened(NamedTuple):
    """Statistics, and the name of their origin.

    Attributes:
        name: Name for people: the folder, and the date of published scores.
        statistics: Content of the file.
    """

    name: str
    statistics: Statistics

    @property
    def main(self) -> tuple[str, Part]:
        """Part that others are compared with, and its name: of the training split, or of a run.

        Raises:
            OptionsError: There is no record.
        """
        for name in (WHOLE, *SPLITS):
            part = self.statistics.splits.get(name)
            if part is not None and part.records:
                return name, part
        raise OptionsError(f"{self.name}: the statistics are of no record; name other records")


def open_statistics(folder: str, date: str | None = None) -> Opened:
    """Opens the statistics of a folder, local or `gs://`.

    Args:
        folder: Output of `triad preprocess`, folder of a run, or output of `triad score`, which may
            end in the folder of a date, `dt=YYYY-MM-DD`.
        date: Date of published scores; None takes that of the folder, or else the latest.

    Raises:
        OptionsError: The folder has no statistics, such of another version, or another date.
        DamagedError: The file of a published run is not what the run wrote.
    """
    folder = folder.rstrip("/") or "/"
    place = f"{folder}/{document.NAME}"
    content = atomic.read_if_there(place)
    if content is not None:
        return Opened(folder, document.parse(content, place))
    parent, _, last = folder.rpartition("/")
    if last.startswith("dt="):
        of_folder = last.removeprefix("dt=")
        if date is not None and date != of_folder:
            raise OptionsError(f"--date: {date} is not the date of {folder}; leave --date out")
        return open_statistics(parent or ".", of_folder)
    if not run_index.dates(folder):
        raise OptionsError(
            f"{folder}: has no {document.NAME}; name the --output of triad preprocess or triad "
            "score of this version"
        )
    run, manifest = publish.counting(folder, date)
    name = f"{folder} {manifest.date}"
    if manifest.statistics is None:
        raise OptionsError(
            f"{name}: the run has no statistics, as it is of an earlier version; {document.REMEDY}"
        )
    content = atomic.read_if_there(run.statistics)
    if not manifest.statistics.holds(content):
        raise DamagedError(
            f"{run.statistics}: is missing or is not what the run wrote; {document.REMEDY}"
        )
    assert content is not None
    return Opened(name, document.parse(content, run.statistics))


def limits(folder: str) -> Drift:
    """Returns the limits of drift in the spec of prepared data; the defaults for any other folder.

    Raises:
        OptionsError: The manifest of the prepared data is damaged.
    """
    place = f"{folder.rstrip('/')}/{MANIFEST}"
    content = atomic.read_if_there(place)
    try:
        spec = {} if content is None else json.loads(content).get("spec", {})
    except (ValueError, AttributeError) as error:
        raise OptionsError(f"{place}: is damaged; {document.REMEDY}") from error
    return loading.parse(json.dumps(spec), f"{place}: spec").drift if spec else Drift()
