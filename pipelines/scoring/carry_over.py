"""Carry-over: scores of unchanged content, taken from the last published run."""

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
from triad_ml.transforms.records.values import Answer, CanonicalRecord, Scored

OTHERS = "others"
_REMEDY = f"score once without --carry-over; {parts.REMEDY}"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """Published run that the same model, code and versions of libraries made.

    Attributes:
        run: Folder of the run.
        files: Parts of scores.
        columns: Pairs of a task's name and its score column.
        model_digest: Digest of the model.
    """

    run: RunFolder
    files: tuple[PartFile, ...]
    columns: tuple[tuple[str, ScoreColumn], ...]
    model_digest: str


def find(plan: ScorePlan) -> Earlier | None:
    """Finds the run to carry scores over from: the last published one up to the plan's date.

    The run is used only if its model, code and versions of libraries are the plan's: then its
    scores of a record equal, to the last bit, those that the model would compute.

    Returns:
        The run; None if there is none or it cannot be used, with the reason in the log.
    """
    output, date = plan.run.output, plan.run.date
    dates = [known for known in publish.published_dates(output) if known <= date]
    latest = publish.current_run(output, max(dates)) if dates else None
    if latest is None:
        _log.info("%s: nothing is published yet, so nothing is carried over", output)
        return None
    run, manifest = latest
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
    columns = tuple(plan.settings.columns.items())  # The same model has the same columns.
    return Earlier(run, manifest.scores, columns, plan.settings.provenance.model)


def _differing(manifest: Manifest, plan: ScorePlan) -> str:
    """Names the first difference that could change scores of the same content; "" if none."""
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
    """Scores and issues that an earlier run has for one content digest."""

    predictions: Mapping[str, Answer]
    modalities_used: tuple[str, ...]
    issues: tuple[str, ...]


class Index:
    """Index of an earlier run's scores by content digest, in memory.

    It takes about 200 bytes for each record, and 4 more for each class.

    Raises:
        DamagedError: A file is missing or is not what the run wrote.
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
        """Returns the scores of a content digest, or None if the run did not score it."""
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
    """Outputs of `CarryOver`.

    Attributes:
        scored: Records with the scores of the earlier run.
        others: Records that the model has to score.
    """

    scored: beam.PCollection[Scored]
    others: beam.PCollection[CanonicalRecord]


class CarryOver(beam.PTransform):
    """Looks up the scores of canonical records in an earlier run, by their content.

    Each record is in exactly one output: in `.scored` with the scores of the earlier run, if that
    scored the same content, or in `.others`, still to be scored.

    Args:
        earlier: Earlier run, from `find`. Each process reads its scores once.
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
            model = self._earlier.model_digest
            values = (*known, record.extra, digest, model, record.measures)
            live.add(1)
            yield Scored(record.id, record.position, *values)
