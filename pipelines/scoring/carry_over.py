"""Incremental nights: what the last published run says of content that has not changed."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from triad_ml.pipelines.publishing import parts, publish
from triad_ml.pipelines.publishing.manifest import Manifest, PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.scoring.plan import ScorePlan
from triad_ml.pipelines.tables.columns import ScoreColumn
from triad_ml.transforms.records import live
from triad_ml.transforms.records.digests import content_digest
from triad_ml.transforms.records.values import CanonicalRecord, Prediction, Scored, Tagged, Text

OTHERS = "others"
_REMEDY = f"score once without --carry-over; {parts.REMEDY}"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """A published run that the same model, code and libraries made.

    Attributes:
        run: Its folder.
        files: Its parts of scores.
        columns: Tasks, each with its column.
        model_digest: Of the model.
    """

    run: RunFolder
    files: tuple[PartFile, ...]
    columns: tuple[tuple[str, ScoreColumn], ...]
    model_digest: str


def find(plan: ScorePlan) -> Earlier | None:
    """The last run that is published for the plan's date or one before it, if it can be used.

    It can where model, code and versions are the plan's: then what it says of a record is, to the
    last bit, what the model would say. Where it cannot, a line of the log says why.
    """
    output, date = plan.run.output, plan.run.date
    dates = [known for known in publish.published_dates(output) if known <= date]
    found = publish.current_run(output, max(dates)) if dates else None
    if found is None:
        _log.info("%s: nothing is published yet, so nothing is carried over", output)
        return None
    run, manifest = found
    if run == plan.run:
        _log.info("%s: is being mended, so nothing is carried over from it", run.folder)
        return None
    differing = _differing(manifest, plan)
    if differing:
        _log.warning(
            "run %s of %s was made with %s: nothing is carried over",
            *(manifest.run_id, manifest.date, differing),
        )
        return None
    columns = tuple(plan.settings.columns.items())  # of the same model, so those of the run
    return Earlier(run, manifest.scores, columns, plan.settings.provenance.model)


def _differing(manifest: Manifest, plan: ScorePlan) -> str:
    """The first part that would make other scores of the same content, or ""."""
    provenance = plan.settings.provenance
    if manifest.digests.get("model") != provenance.model:
        return "another model"
    if manifest.digests.get("code") != provenance.code:
        return "other code"
    if plan.settings.explained and not manifest.about.get("explained"):
        return "no explanations"
    same = manifest.about.get("versions") == environment.versions()
    return "" if same else "other versions of the libraries"


class Known(NamedTuple):
    """What an earlier run says of one content."""

    predictions: Mapping[str, Prediction | Tagged | Text]
    modalities_used: tuple[str, ...]
    issues: tuple[str, ...]


class Index:
    """The scores of an earlier run by content digest, in memory.

    It takes about 200 bytes a record, and 4 more for each class.

    Raises:
        DamagedError: Where a file is missing or is not what the run wrote.
    """

    def __init__(self, earlier: Earlier) -> None:
        tables = [_table(earlier, file) for file in earlier.files if file.rows]
        self._rows: dict[bytes, int] = {}
        self._answers: dict[str, Callable[[int], Any]] = {}
        if not tables:
            return
        table = pa.concat_tables(tables).combine_chunks()
        for row, digest in enumerate(table.column("content_digest").to_pylist()):
            self._rows.setdefault(bytes.fromhex(digest), row)
        for task, column in earlier.columns:
            self._answers[task] = column.decode(table.column(task).combine_chunks())
        self._used = table.column("modalities_used")
        self._issues = table.column("issues")

    def find(self, digest: str) -> Known | None:
        """What the run says of a content, or None where it did not score it."""
        row = self._rows.get(bytes.fromhex(digest))
        if row is None:
            return None
        return Known(
            {task: answer(row) for task, answer in self._answers.items()},
            tuple(self._used[row].as_py()),
            tuple(self._issues[row].as_py()),
        )


def _table(earlier: Earlier, file: PartFile) -> pa.Table:
    tasks = [task for task, _ in earlier.columns]
    names = ["content_digest", "modalities_used", "issues", *tasks]
    return parts.table(earlier.run, file, names, _REMEDY)


_index = functools.lru_cache(maxsize=1)(Index)


class Carried(NamedTuple):
    scored: beam.PCollection[Scored]
    others: beam.PCollection[CanonicalRecord]


class CarryOver(beam.PTransform):
    """Canonical records -> `.scored`, as an earlier run has them, and `.others`, still to score.

    Args:
        earlier: From `find`. Its scores are read once a process.
    """

    def __init__(self, earlier: Earlier) -> None:
        super().__init__()
        self._earlier = earlier

    def expand(self, records: beam.PCollection[CanonicalRecord]) -> Carried:
        carry = beam.ParDo(_CarryOverDoFn(self._earlier)).with_output_types(Scored)
        outputs = records | "ByContent" >> carry.with_outputs(OTHERS, main="scored")
        return Carried(outputs["scored"], outputs[OTHERS])


class _CarryOverDoFn(beam.DoFn):
    def __init__(self, earlier: Earlier) -> None:
        self._earlier = earlier
        self._carried = Metrics.counter(CarryOver, "records_carried")
        self._others = Metrics.counter(CarryOver, "records_to_score")

    def setup(self) -> None:
        self._index = _index(self._earlier)

    def process(
        self, record: CanonicalRecord
    ) -> Iterator[Scored | beam.pvalue.TaggedOutput[Literal["others"], CanonicalRecord]]:
        digest = content_digest(record)
        known = self._index.find(digest)
        if known is None:
            self._others.inc()
            yield beam.pvalue.TaggedOutput(OTHERS, record)
        else:
            self._carried.inc()
            said = (*known, record.extra, digest, self._earlier.model_digest)
            live.add(1)
            yield Scored(record.id, record.position, *said)
