"""Published scores and late labels, joined by the id of the record."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from triad_ml.pipelines.publishing import publish, run_index
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import HIDDEN, RunFolder
from triad_ml.pipelines.sources import read, units
from triad_ml.pipelines.verification.late.answers import ANSWERS
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.records.values import RawRecord
from triad_ml.transforms.spec.tasks import Task

_FOLDER = re.compile(rf"(?:(.*)/)?dt=([^/]+)(?:/({HIDDEN}/)?run=([0-9a-f]{{24}}))?/*")


@dataclasses.dataclass
class Labels:
    """Labels of a set of files.

    Attributes:
        by_id: By id, the parsed labels by task.
        read: Number of lines and rows.
        rejected: Number of lines and rows that are no records.
        repeated: Number of records whose id an earlier one has; the earlier one counts.
        without: Number of records without a label of any task.
        invalid: By task, the number of labels that cannot be used, and the first reason.
    """

    by_id: dict[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    read: int = 0
    rejected: int = 0
    repeated: int = 0
    without: int = 0
    invalid: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Joined:
    """Scored records that have a label.

    Attributes:
        table: Their rows of the published scores.
        labels: Labels of the rows, by task; None where a task has no label.
        without_score: Number of records with a label, but without a score.
    """

    table: pa.Table
    labels: Mapping[str, Sequence[Any]]
    without_score: int


def open_scores(scores: str, date: str | None) -> tuple[RunFolder, Manifest]:
    """Opens the published run of a date, or the run of a run folder.

    Args:
        scores: Folder that scoring published into, the folder of a date in it, or that of a run.
        date: Date of the scores; None takes that of the folder, or else the latest.

    Raises:
        OptionsError: Nothing is published, the run is unfinished, or the date is another.
        DamagedError: The pointer or the manifest is damaged.
    """
    named = _FOLDER.fullmatch(scores)
    if named is None:
        return publish.counting(scores, date)
    output, of_folder, hidden, run_id = named.groups()
    output = "." if output is None else output
    if date is not None and date != of_folder:
        raise OptionsError(f"--date: {date} is not the date of {scores}; leave --date out")
    if run_id is None:
        return publish.counting(output, of_folder)
    run = RunFolder(output, of_folder, run_id, visible=hidden is None)
    manifest = run_index.read_manifest(run)
    if manifest is None:
        raise OptionsError(f"{scores}: is no complete run; name one that `triad runs` lists")
    return run, manifest


def read_labels(patterns: Sequence[str], tasks: Mapping[str, Task]) -> Labels:
    """Reads the labels of files; media in them are not looked at.

    Args:
        patterns: Patterns of records files, as of every `--input`.
        tasks: Sections of the tasks by name.

    Raises:
        OptionsError: A pattern matches nothing, or a file cannot be read.
        StorageError: A file cannot be opened.
    """
    found, seen = Labels(), set[str]()
    keys = tuple(sorted({key for task in tasks.values() for key in task.label_keys}))
    for unit in units.plan(units.list_inputs(patterns)):
        for row in read.read(unit, keys):
            found.read += 1
            if not isinstance(row, RawRecord):
                found.rejected += 1
            elif row.id in seen:
                found.repeated += 1
            else:
                seen.add(row.id)
                own, invalid = _parsed(row.labels, tasks, found.invalid)
                found.without += not own and not invalid
                if own:
                    found.by_id[row.id] = own
    return found


def _parsed(
    labels: Mapping[str, Any], tasks: Mapping[str, Task], invalid: dict[str, tuple[int, str]]
) -> tuple[dict[str, Any], bool]:
    """Parses the labels of a record.

    Returns:
        Labels by task, and True if a label cannot be used, which `invalid` then counts.
    """
    own, some_invalid = {}, False
    for name, task in tasks.items():
        try:
            value = ANSWERS[task.kind].label(labels.get(task.label), task)
        except LabelError as error:
            count, first = invalid.get(name, (0, str(error)))
            invalid[name] = count + 1, first
            some_invalid = True
            continue
        if value is not None:
            own[name] = value
    return own, some_invalid


def join(
    schema: pa.Schema,
    parts: Iterator[pa.Table],
    labels: Labels,
    tasks: Sequence[str],
    columns: Sequence[str],
) -> Joined:
    """Reads the rows that have a label, part by part.

    Args:
        schema: Columns of the scores.
        parts: Parts of the scores, see `reading.tables`.
        labels: Labels by id.
        tasks: Names of the tasks, whose columns are read.
        columns: Names of further columns to read.

    Raises:
        OptionsError: The scores have no such column, or it is that of a task.
        DamagedError: A part is missing or is not what the run wrote.
    """
    for name in columns:
        if name not in schema.names or name in tasks:
            what = "is what a task predicts" if name in tasks else "is no column of the scores"
            raise OptionsError(
                f"--slice: {name!r} {what}; name one of "
                f"{', '.join(one for one in schema.names if one not in tasks)}"
            )
    wanted = list(dict.fromkeys(["id", *tasks, *columns]))
    kept = [schema.empty_table().select(wanted), *_labelled(parts, wanted, labels)]
    table = pa.concat_tables(kept).combine_chunks()
    own = [labels.by_id[record_id] for record_id in table.column("id").to_pylist()]
    return Joined(
        table,
        {task: [one.get(task) for one in own] for task in tasks},
        len(labels.by_id) - len(table),
    )


def _labelled(
    parts: Iterator[pa.Table], wanted: Sequence[str], labels: Labels
) -> Iterator[pa.Table]:
    for part in parts:
        mask = [one in labels.by_id for one in part.column("id").to_pylist()]
        yield part.select(wanted).filter(pa.array(mask, pa.bool_()))
