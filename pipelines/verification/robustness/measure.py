"""Use case of `triad robustness`: figures of a model under noise of growing strength."""

import collections
import dataclasses
import itertools
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table

from triad_ml.model import stages
from triad_ml.model.evaluation import document
from triad_ml.model.serving.bundle import Artefact
from triad_ml.model.serving.scorer import Scorer, load_scorer
from triad_ml.pipelines.runtime.summary import many
from triad_ml.pipelines.storage import json_files, outputs
from triad_ml.pipelines.verification import labelled
from triad_ml.pipelines.verification.config import RobustnessConfig
from triad_ml.pipelines.verification.robustness.noise import NOISES, noisy
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, Rejected, Scored
from triad_ml.transforms.spec.tasks import Task

_MARK = b'"noise": {'
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Record with its parsed labels by task; None where a task has no label."""

    record: CanonicalRecord
    labels: Mapping[str, Any]


def run(config: RobustnessConfig, model: Artefact) -> dict[str, Any]:
    """Scores records with noise on one modality at a time, and prints a table.

    Args:
        config: Settings.
        model: Model bundle.

    Returns:
        What `--output` holds: `model` (digest), `records` (number), and by modality `noise`: the
        `unit` and, by task, `points` with `strength` (None without noise), `n` and main figures.

    Raises:
        OptionsError: No record has a label of a task that is measured, or `--output` is another
            file.
        GateError: The model is not the exported one.
    """
    if config.output is not None:
        outputs.check_file(config.output, _MARK, "figures of triad robustness")
    tasks = {name: task for name, task in model.spec.tasks.items() if not task.places_spans}
    if left := sorted(set(model.spec.tasks) - set(tasks)):
        _log.info("%s: spans have other places in a noisy text, and are left out", ", ".join(left))
    left_out: collections.Counter[str] = collections.Counter()
    rows = list(itertools.islice(_labelled(config, model, tasks, left_out), config.limit))
    if not rows:
        keys = ", ".join(task.label for task in tasks.values()) or "a task without spans"
        raise OptionsError(
            f"--input: no record has a label of {keys}; name labelled records, best of a test split"
        )
    for reason, count in left_out.items():
        _log.warning("%s left out: %s", many(count, "record"), reason)
    scorer = load_scorer(str(model.folder), model.model_digest, False)
    noise = {}
    for modality in model.spec.modalities.names:
        own = [row for row in rows if getattr(row.record, modality)]
        noise[modality] = {
            "unit": NOISES[modality].unit,
            "tasks": _curves(scorer, own, modality, tasks, model) if own else {},
        }
    found = {"model": model.model_digest, "records": len(rows), "noise": noise}
    if config.output is not None:
        json_files.write(config.output, found)
    rich.console.Console(file=sys.stdout).print(table(found, tasks))
    return found


def _labelled(
    config: RobustnessConfig,
    model: Artefact,
    tasks: Mapping[str, Task],
    left_out: collections.Counter[str],
) -> Iterator[Labelled]:
    """Yields the records that can be scored and have a label; counts the others by reason."""
    canonicalizer = Canonicalizer(model.spec, config.media_roots)
    for raw in labelled.raw_records(config.inputs, model.spec.label_names, left_out):
        labels = labelled.labels_of(raw.labels, tasks)
        if labels is None:
            left_out["no label that can be used"] += 1
            continue
        record = canonicalizer.canonical(raw)
        if isinstance(record, CanonicalRecord):
            yield Labelled(record, labels)
        else:
            left_out[f"rejected as {record.reason}"] += 1


def _curves(
    scorer: Scorer,
    rows: Sequence[Labelled],
    modality: str,
    tasks: Mapping[str, Task],
    model: Artefact,
) -> dict[str, list[dict[str, Any]]]:
    """Returns, by task, the figures without noise and at each strength."""
    curves: dict[str, list[dict[str, Any]]] = {name: [] for name in tasks}
    with stages.showing(stages.Stage(f"noise on {modality}")):
        for strength in (None, *NOISES[modality].strengths):
            scored = [
                (row.labels, one.predictions)
                for row, one in _scored(scorer, rows, modality, strength)
                if isinstance(one, Scored)
            ]
            for name, task in tasks.items():
                labels = [own[name] for own, _ in scored]
                answers = [predictions[name] for _, predictions in scored]
                figures = _figures(task, model.classes[name], labels, answers)
                curves[name].append({"strength": strength, **figures})
    return curves


def _scored(
    scorer: Scorer, rows: Sequence[Labelled], modality: str, strength: float | None
) -> Iterator[tuple[Labelled, Scored | Rejected]]:
    """Scores records batch by batch, so that only the noisy records of one are in memory."""
    for first in range(0, len(rows), scorer.batch_size):
        batch = rows[first : first + scorer.batch_size]
        records = [row.record for row in batch]
        if strength is not None:
            records = [noisy(record, modality, strength) for record in records]
        yield from zip(batch, scorer.score(records), strict=True)


def _figures(
    task: Task, classes: tuple[str, ...], labels: Sequence[Any], answers: Sequence[Any]
) -> dict[str, Any]:
    compared = labelled.compared(task, classes, labels, answers)
    evaluated = document.evaluate_task(
        task,
        classes,
        compared.labels,
        compared.said,
        {},
        np.ones(len(labels), bool),
        thresholds=compared.thresholds,
    )[document.AS_RECORDED]
    return {key: evaluated[key] for key in ("n", *document.FIGURES[task.kind])}


def table(found: Mapping[str, Any], tasks: Mapping[str, Task]) -> rich.table.Table:
    """Builds a terminal table with the first figure of each task, by modality and strength.

    Args:
        found: Result of `run`.
        tasks: Sections of its tasks.
    """
    made = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, title="95% intervals")
    made.add_column("noise on")
    made.add_column("strength", justify="right")
    keys = {}
    for name, task in tasks.items():
        keys[name], figure = next(iter(document.FIGURES[task.kind].items()))
        made.add_column(f"{name}: {figure}", justify="right")
    for modality, noise in found["noise"].items():
        points = zip(*(noise["tasks"].get(name, []) for name in tasks), strict=True)
        for index, of_tasks in enumerate(points):
            strength = of_tasks[0]["strength"]
            made.add_row(
                "" if index else modality,
                "none" if strength is None else f"{strength:g}",
                *(
                    document.interval_text(one[keys[name]])
                    for name, one in zip(tasks, of_tasks, strict=True)
                ),
                end_section=index == len(NOISES[modality].strengths),
            )
    return made
