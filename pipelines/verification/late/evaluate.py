"""Use case of `triad evaluate`: figures of published scores by labels that arrive later."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import rich.console

from triad_ml.model.evaluation import document
from triad_ml.pipelines.publishing import reading
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.runtime.summary import Sentence, many
from triad_ml.pipelines.storage import json_files, model_store, outputs
from triad_ml.pipelines.tables import columns
from triad_ml.pipelines.verification.config import EvaluateConfig, Slice
from triad_ml.pipelines.verification.late import joined, slices
from triad_ml.pipelines.verification.late.answers import ANSWERS
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.tasks import Task

USED = "modalities_used"
"""Column of the modalities of a record, by which the records are always divided."""

_CAPTION = (
    "as recorded: every record with what it has. Rows of a column are its slices, the furthest "
    f"below the whole first; few: under {document.FEW} records."
)
_MARK = b'{\n "scores": {\n  "date":'
_log = logging.getLogger(__name__)


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Compares published scores with labels, prints a table, and writes the figures if asked to.

    Returns:
        What `--output` holds: `scores` (date, run, model), `labels` (counts), `tasks` (results of
        `document.evaluate_task` with slices).

    Raises:
        OptionsError: The scores, the labels, the model or a slice cannot be used, no scored record
            has a label, or `--output` is another file.
        DamagedError: A file of the scores has changed since the run wrote it.
    """
    if config.output is not None:
        outputs.check_file(config.output, _MARK, "figures of triad evaluate")
    folder, manifest = joined.open_scores(config.scores, config.date)
    if not manifest.counts["scored"]:
        raise OptionsError(f"{folder.folder}: no record is scored; name another date")
    schema, parts = reading.tables(folder, manifest)
    tasks = _tasks(manifest, schema, config.model)
    labels = joined.read_labels(config.labels, tasks)
    divisions = {one.column: one for one in (Slice(USED), *config.divisions)}
    found = joined.join(schema, parts, labels, tuple(tasks), tuple(divisions))
    if not len(found.table):
        raise OptionsError(
            f"--labels: of {many(labels.read, 'record')}, none has both a label of "
            f"{', '.join(task.label for task in tasks.values())} and an id of the scores of "
            f"{manifest.date}; look at ids and keys"
        )
    masks = slices.by_column(
        tuple(divisions.values()),
        {name: found.table.column(name).to_pylist() for name in divisions},
    )
    evaluated = {
        name: _evaluated(name, task, found, tuple(manifest.classes.get(name, ())), masks)
        for name, task in tasks.items()
    }
    counts = {
        "scored": manifest.counts["scored"],
        "read": labels.read,
        "joined": len(found.table),
        "without_label": manifest.counts["scored"] - len(found.table),
        "without_score": found.without_score,
        "rejected": labels.rejected,
        "repeated": labels.repeated,
        "unlabelled": labels.without,
        "invalid": {name: count for name, (count, _) in labels.invalid.items()},
    }
    origin = {"date": manifest.date, "run": manifest.run_id, "model": manifest.digests["model"]}
    whole = {"scores": origin, "labels": counts, "tasks": evaluated}
    if config.output is not None:
        json_files.write(config.output, whole)
    title = f"scores of {manifest.date}, 95% intervals"
    rich.console.Console(file=sys.stdout).print(document.tasks_table(evaluated, title, _CAPTION))
    summary.say(_log, _sentences(counts, labels, evaluated))
    return whole


def _tasks(manifest: Manifest, schema: pa.Schema, folder: str | None) -> dict[str, Task]:
    """Returns the sections of the tasks, by the spec of the model or by the published columns.

    Args:
        manifest: Manifest of the run.
        schema: Columns of the scores.
        folder: Folder of the model; None if it is not at hand.

    Raises:
        OptionsError: Another model has scored.
    """
    if folder is not None:
        model, scored_by = model_store.load(folder, None), manifest.digests["model"]
        if model.model_digest != scored_by:
            raise OptionsError(
                f"--model: {folder} is model {model.model_digest[:12]}, and {scored_by[:12]} made "
                "these scores; name that one, or leave --model out"
            )
        return dict(model.spec.tasks)
    tasks = {}
    for name in manifest.classes:
        values = schema.field(name).type
        kind = columns.kind_of([field.name for field in values])
        tasks[name] = ANSWERS[kind].section(kind, name, values)
    return tasks


def _evaluated(
    name: str,
    task: Task,
    found: joined.Joined,
    classes: tuple[str, ...],
    masks: Mapping[str, slices.Masks],
) -> dict[str, Any]:
    column = found.table.column(name).combine_chunks()
    compared = ANSWERS[task.kind].compared(found.labels[name], column, classes, task)
    return document.evaluate_task(
        task,
        classes,
        compared.labels,
        compared.said,
        {},
        np.ones(len(found.table), bool),
        thresholds=compared.thresholds,
        slices=masks,
    )


def _sentences(
    counts: Mapping[str, Any], labels: joined.Labels, evaluated: Mapping[str, Any]
) -> list[Sentence]:
    """Describes what was joined, and each loss."""
    text = f"{many(counts['joined'], 'scored record')} of {counts['scored']} have a label"
    lines = [Sentence(text, warns=counts["joined"] < counts["scored"])]
    losses = (
        ("without_score", "with a label, but without a score of this run"),
        ("rejected", "of the labels rejected: no record, or no id"),
        ("repeated", "of the labels with the id of an earlier one, which counts"),
        ("unlabelled", "of the labels without a label of any task"),
    )
    for key, words in losses:
        if counts[key]:
            lines.append(Sentence(f"{many(counts[key], 'record')} {words}", warns=True))
    for name, (count, first) in labels.invalid.items():
        text = f"{name}: {many(count, 'label')} cannot be used, the first because {first}"
        lines.append(Sentence(text, warns=True))
    for name, task in evaluated.items():
        unseen = task[document.AS_RECORDED].get("unseen")
        if unseen:
            text = (
                f"{name}: {unseen} with a class that the model does not know; they count as wrong"
            )
            lines.append(Sentence(text, warns=True))
    return lines
