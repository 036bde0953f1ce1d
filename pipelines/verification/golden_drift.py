"""Drift of the scores of golden records, from the released model to a candidate."""

import collections
import logging
from collections.abc import Sequence

from triad_ml.model.evaluation.document import FEW
from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.publishing.sealing import run_statistics
from triad_ml.pipelines.runtime.summary import many
from triad_ml.pipelines.tables.columns import COLUMNS
from triad_ml.pipelines.verification import labelled, two_models
from triad_ml.pipelines.verification.config import ReleaseConfig
from triad_ml.pipelines.verification.two_models import Side
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.records.values import RawRecord, Scored
from triad_ml.transforms.statistics import combine, document, drift
from triad_ml.transforms.statistics.accumulators import WHOLE
from triad_ml.transforms.statistics.document import Part
from triad_ml.transforms.statistics.drift import Finding

_log = logging.getLogger(__name__)


def enough(model: Artefact, config: ReleaseConfig) -> list[RawRecord]:
    """Reads the golden records; returns none of them if they are too few for drift to be seen.

    Raises:
        OptionsError: They are too few, and `drift` is `refuse`.
    """
    if config.golden is None:
        return []
    left_out: collections.Counter[str] = collections.Counter()
    records = list(labelled.raw_records([config.golden], model.spec.label_names, left_out))
    return [] if _too_few(len(records), config) else records


def _too_few(records: int, config: ReleaseConfig) -> bool:
    if records < FEW and config.drift == "refuse":
        raise OptionsError(
            f"--drift: needs {FEW} golden records, and there are {records}; name more, or use "
            "--drift warn"
        )
    if records < FEW:
        _log.info("drift is not looked for: it needs %d golden records, not %d", FEW, records)
    return records < FEW


def check(
    current: Side, candidate: Side, golden: Sequence[RawRecord], config: ReleaseConfig
) -> None:
    """Compares the shares of classes, confidence and further measures of both models' scores.

    A drift is refused or logged, as `config.drift` says.

    Args:
        current: Released model.
        candidate: Model that may replace it; its spec has the limits.
        golden: Golden records.
        config: Settings of the release.

    Raises:
        GateError: The candidate rejects a golden record that the released model scores; or the
            scores drift, and `drift` is `refuse`.
        OptionsError: The released model scores too few golden records, and `drift` is `refuse`.
    """
    left_out: collections.Counter[str] = collections.Counter()
    lost: collections.Counter[str] = collections.Counter()
    rows = list(two_models.score(golden, current, candidate, config.media_roots, left_out, lost))
    two_models.refuse_lost(current, candidate, lost, "--golden")
    two_models.tell(_log, left_out)
    if _too_few(len(rows), config):
        return
    before = _part(current, [row.before for row in rows])
    after = _part(candidate, [row.after for row in rows])
    found = drift.findings(drift.distances(before, after), candidate.model.spec.drift)
    if found and config.drift == "refuse":
        raise GateError(
            f"{candidate.model.folder}: scores of {many(len(rows), 'golden record')} drift from "
            f"those of {current.name}: {two_models.named(found, str)}; keep the model before, or "
            "use --drift warn"
        )
    _say(found, current.name, len(rows))


def _say(found: Sequence[Finding], current: str, records: int) -> None:
    if not found:
        _log.info("scores of %d golden records do not drift from those of %s", records, current)
    for one in found:
        _log.warning("scores of golden records drift from those of %s: %s", current, one)


def _part(side: Side, scored: Sequence[Scored]) -> Part:
    """Returns the statistics of scores, as those of a run."""
    counted = combine.Accumulator(records={WHOLE: len(scored)})
    for name, task in side.model.spec.tasks.items():
        column = COLUMNS[task.kind].of(task, side.model.classes[name], ())
        values = column.encode([one.predictions[name] for one in scored])
        run_statistics.add_scores(counted, name, column, values)
    content = document.content(combine.summary(counted), side.model.spec_digest)
    return document.parse(content, side.name).splits[WHOLE]
