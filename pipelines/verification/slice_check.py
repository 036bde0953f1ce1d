"""Comparison of a candidate with the released model on held-out records, slice by slice."""

import collections
import logging
import math
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import rich.box
import rich.console
import rich.table
import rich.text

from triad_ml.model import stages
from triad_ml.model.evaluation import paired
from triad_ml.model.evaluation.document import FEW
from triad_ml.model.evaluation.paired import Change
from triad_ml.model.tasks.bootstrap import Statistic
from triad_ml.model.tasks.metrics import metrics_of
from triad_ml.pipelines.runtime import logs
from triad_ml.pipelines.runtime.summary import many
from triad_ml.pipelines.verification import labelled, two_models
from triad_ml.pipelines.verification.config import ReleaseConfig, Slice
from triad_ml.pipelines.verification.late import slices
from triad_ml.pipelines.verification.late.evaluate import USED
from triad_ml.pipelines.verification.two_models import Both, Side
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.records.values import Scored
from triad_ml.transforms.spec.tasks import Task

WHOLE = "all records"
"""Name of the slice of all records."""

_LONGEST = 80  # characters of a slice's name in an error
_log = logging.getLogger(__name__)


class Judged(NamedTuple):
    """A task on one slice of the held-out records, predicted by both models.

    Attributes:
        task: Name of the task.
        slice: Column and name of the slice.
        figure: Name of the figure.
        lower_is_better: True if a lower value of the figure is better.
        change: Change from the released model to the candidate.
    """

    task: str
    slice: str
    figure: str
    lower_is_better: bool
    change: Change

    @property
    def few(self) -> bool:
        """True if there are too few records for a judgement."""
        return self.change.n < FEW

    @property
    def undefined(self) -> bool:
        """True if a figure is undefined on these records, such as an F1 without any span."""
        return not math.isfinite(self.change.difference)

    @property
    def judged(self) -> bool:
        """True if the slice can be judged."""
        return not self.few and not self.undefined

    def worse(self, comparisons: int) -> bool:
        """Returns True if the candidate is worse beyond the interval of all comparisons."""
        return self.judged and self.change.worse(comparisons, self.lower_is_better)

    def text(self, comparisons: int) -> str:
        """Says both figures, and their difference with its interval."""
        change, (low, high) = self.change, self.change.interval(comparisons)
        named = textwrap.shorten(logs.printable(self.slice), _LONGEST, placeholder="...")
        return (
            f"{self.task} on {named} ({many(change.n, 'record')}): {self.figure} "
            f"{change.after:.3f}, before {change.before:.3f} (difference "
            f"{change.difference:+.3f}, interval {low:+.3f} to {high:+.3f})"
        )


def check(current: Side, candidate: Side, config: ReleaseConfig) -> None:
    """Compares both models by task and slice, and prints a table.

    Args:
        current: Released model.
        candidate: Model that may replace it.
        config: Settings of the release.

    Raises:
        OptionsError: See `judge`.
        GateError: The candidate is worse on a slice; the message has the largest losses.
    """
    judged = judge(current, candidate, config)
    comparisons = max(1, sum(one.judged for one in judged))
    wide = None if sys.stdout.isatty() else 160
    console = rich.console.Console(file=sys.stdout, width=wide)
    console.print(table(judged, comparisons, current.name, candidate.name))
    worse = [one for one in judged if one.worse(comparisons)]
    if worse:
        worse.sort(key=lambda one: -abs(one.change.difference))
        raise GateError(
            f"{candidate.model.folder}: is worse than {current.name} on "
            f"{many(len(worse), 'slice')} of --holdout: "
            f"{two_models.named(worse, lambda one: one.text(comparisons))}; keep the model before, "
            "or train this one again"
        )
    few, undefined = sum(one.few for one in judged), sum(one.undefined for one in judged)
    _log.info(
        "%s is not worse than %s on %s of --holdout%s",
        *(candidate.name, current.name, many(sum(one.judged for one in judged), "slice")),
        f"; {many(few, 'slice')} with under {FEW} records not judged" if few else "",
    )
    if undefined:
        _log.warning(
            "%s of --holdout not judged, because a figure is undefined there",
            many(undefined, "slice"),
        )


def judge(current: Side, candidate: Side, config: ReleaseConfig) -> list[Judged]:
    """Compares two models by task and slice of the held-out records.

    Returns:
        By task, all records, then the slices of each column: the modalities, the data set if the
        spec names a mixture, and the columns of `config.slices`. Slices without a label of the task
        are left out, and so are columns of a single slice.

    Raises:
        OptionsError: No record has a label of a task of both models, or the column of a slice.
        GateError: The candidate rejects a record that the released model scores.
    """
    tasks = two_models.common_tasks(current, candidate)
    if missing := sorted(set(current.model.spec.tasks) - set(tasks)):
        _log.warning("%s does not predict %s as before", candidate.name, ", ".join(missing))
    left_out: collections.Counter[str] = collections.Counter()
    lost: collections.Counter[str] = collections.Counter()
    keys = two_models.label_keys(current, candidate)
    raws = (
        raw
        for raw in labelled.raw_records(config.holdout, keys, left_out)
        if labelled.labels_of(raw.labels, tasks) is not None
    )
    with stages.showing(stages.Stage("held-out records, scored by both models")):
        rows = list(two_models.score(raws, current, candidate, config.media_roots, left_out, lost))
    two_models.tell(_log, left_out)
    two_models.refuse_lost(current, candidate, lost, "--holdout")
    if not rows:
        named = ", ".join(task.label for task in tasks.values()) or "a task that both models have"
        raise OptionsError(
            f"--holdout: no record that {current.name} scores has a label of {named}; name "
            "labelled records"
        )
    masks = _masks(rows, candidate, config.divisions)
    return [
        judged
        for name, task in tasks.items()
        for judged in _judged(name, task, rows, (current, candidate), masks)
    ]


def _masks(rows: Sequence[Both], candidate: Side, divisions: Sequence[Slice]) -> slices.Masks:
    """Returns the rows of each slice, by the column and name of the slice.

    Raises:
        OptionsError: No record has the column.
    """
    mixture = candidate.model.spec.mixture
    sets = [] if mixture is None else [Slice(mixture.by)]
    named = {one.column: one for one in (*sets, *divisions) if one.column != USED}
    columns = {column: [row.after.extra.get(column) for row in rows] for column in named}
    for column in {one.column for one in divisions} & set(named):
        if all(value is None for value in columns[column]):
            raise OptionsError(
                f"--slice: no record of --holdout has a field {column!r} beside its id, group, "
                "split, media and labels; name another one"
            )
    columns[USED] = [list(row.after.modalities_used) for row in rows]
    found = {WHOLE: np.ones(len(rows), bool)}
    by_column = slices.by_column((Slice(USED), *named.values()), columns)
    for column, masks in by_column.items():
        if len(masks) > 1:
            found |= {f"{column} {name}": mask for name, mask in masks.items()}
    return found


def _judged(
    name: str, task: Task, rows: Sequence[Both], sides: tuple[Side, Side], masks: slices.Masks
) -> list[Judged]:
    labels = [labelled.label_of(row.labels, task) for row in rows]
    has_label = np.array([one is not None for one in labels])
    metrics = metrics_of(task.kind)
    figure = next(iter(metrics.figures.values()))
    found = []
    for of_slice, mask in masks.items():
        chosen = np.flatnonzero(mask & has_label).tolist()
        if chosen:
            truth = [labels[row] for row in chosen]
            before = _figure(name, task, sides[0], truth, [rows[row].before for row in chosen])
            after = _figure(name, task, sides[1], truth, [rows[row].after for row in chosen])
            change = paired.change(before, after, len(chosen))
            found.append(Judged(name, of_slice, figure, metrics.lower_is_better, change))
    return found


def _figure(
    name: str, task: Task, side: Side, labels: Sequence[Any], scored: Sequence[Scored]
) -> Statistic:
    """Returns the first figure of a model's predictions of a task."""
    classes = side.model.classes[name]
    answers = [one.predictions[name] for one in scored]
    compared = labelled.compared(task, classes, labels, answers)
    metrics = metrics_of(task.kind, compared.thresholds)
    return metrics.first_figure(task, compared.labels, compared.said, classes)


def table(judged: Sequence[Judged], comparisons: int, before: str, after: str) -> rich.table.Table:
    """Builds a terminal table of both models' figures, by task and slice.

    Args:
        judged: Result of `judge`.
        comparisons: Number of comparisons whose intervals hold together.
        before: Name of the released model.
        after: Name of the candidate.
    """
    made = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        show_edge=False,
        title=rich.text.Text(f"{after} instead of {before}, on --holdout"),
        caption=f"Intervals of the differences hold together at {paired.LEVEL:.0%}. few: under "
        f"{FEW} records, not judged.",
    )
    for heading in ("task", "records", "n", "figure", before, after, "difference", ""):
        right = heading in ("n", before, after, "difference")
        made.add_column(rich.text.Text(heading), justify="right" if right else "left")
    for one in judged:
        change, (low, high) = one.change, one.change.interval(comparisons)
        interval = f" ({low:+.3f} to {high:+.3f})" if one.judged else ""
        verdict = "few" if one.few else "undefined" if one.undefined else ""
        if one.worse(comparisons):
            verdict = "WORSE"
        made.add_row(
            rich.text.Text(one.task),
            rich.text.Text(logs.printable(one.slice)),  # a value may look like rich's markup
            f"{change.n:,}",
            one.figure,
            f"{change.before:.3f}",
            f"{change.after:.3f}",
            f"{change.difference:+.3f}{interval}",
            verdict,
        )
    return made
