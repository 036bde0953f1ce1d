"""Early check of records files against a spec, by their heads, before TensorFlow is imported."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.sources import format_checks, heads
from triad_ml.pipelines.sources.heads import Head, Heads
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.labels import classes, numbers
from triad_ml.transforms.records import columns as record_columns
from triad_ml.transforms.records.values import SPLITS
from triad_ml.transforms.spec.spec import Spec, Task

FEW_ROWS = 20
"""Smallest number of records from which something is inferred about the others."""

SHOWN = 12
"""Largest number of field names in a message."""

_SINGULAR = "label"
"""Name that users often write for a field that has to be named as the label, or `labels`."""

LONGEST = 60
"""Number of characters after which names of fields are cut in messages."""


class Noticed(NamedTuple):
    """Mismatch between records and a spec.

    Attributes:
        text: Message for the user.
        proven: True if records that were not read cannot change it.
    """

    text: str
    proven: bool = False


def tell(log: logging.Logger, inputs: Sequence[str], spec: Spec, with_labels: bool = True) -> None:
    """Checks the heads of records files against a spec, and logs a warning for each mismatch.

    Args:
        log: Logger for the warnings.
        inputs: Patterns of records files.
        spec: Spec that the records have to fit.
        with_labels: True if labels are used.

    Raises:
        OptionsError: A mismatch is proven.
    """
    for noticed in look(inputs, spec, with_labels):
        if noticed.proven:
            raise OptionsError(noticed.text)
        log.warning("%s", noticed.text)


def tell_of_folder(log: logging.Logger, folder: str, spec: Spec) -> None:
    """Logs mismatches between a model and the records files in a folder that a stream watches.

    No mismatch ends a stream. A source that is no folder, such as a topic, is not checked.
    """
    if "://" not in folder:
        found = heads.read([f"{folder}/*{suffix}" for suffix in heads.SUFFIXES], folder)
        for noticed in compare(folder, found, spec, with_labels=False):
            log.warning("%s", noticed.text)


def look(inputs: Sequence[str], spec: Spec, with_labels: bool = True) -> list[Noticed]:
    """Compares the heads of the records files with a spec, see `heads.read` and `compare`."""
    return compare(", ".join(inputs), heads.read(inputs), spec, with_labels)


def compare(name: str, sample: Heads, spec: Spec, with_labels: bool = True) -> list[Noticed]:
    """Finds mismatches between a spec and the heads of records files.

    The columns of a table prove that none of its records has another field. Lines prove it only if
    all lines were read.

    Args:
        name: Name of the inputs in messages.
        sample: Heads of the files.
        spec: Spec that the records have to fit.
        with_labels: True if labels are used.
    """
    noticed = [Noticed(text) for text in _unchecked(sample)]
    seen = [head for head in sample.heads if head.columns is not None or head.rows]
    if not seen:
        return noticed
    proven = sample.complete and all(head.whole or head.columns is not None for head in seen)
    names = _fields(seen)
    if "id" not in names:
        delimited = _other_delimiter(seen)
        if delimited is not None:  # The columns are not known, so nothing else can be checked.
            return [*noticed, Noticed(f"{name}: {delimited}", proven)]
        text = f"{name}: no field is named id, found: {_some(names)}; name one of them id"
        noticed.append(Noticed(text, proven))
    noticed += _modalities(name, seen, names, spec, proven)
    if with_labels:
        noticed += _labels(name, seen, names, spec, sample.complete)
        noticed += _forms_of_labels(name, seen, spec)
        noticed += _groups(seen, spec)
    return noticed


def _unchecked(sample: Heads) -> Iterable[str]:
    """Yields a message on remote inputs, and a message on each file whose lines are no records."""
    if sample.remote:
        yield f"{', '.join(sample.remote)}: is not looked at before the run; only local files are"
    for head in sample.heads:
        if head.broken and not head.rows:
            lines = f"none of the first {head.broken} lines" if head.broken > 1 else "no line"
            yield f"{head.path}: {lines} is a JSON object; write one object on each line"


def _fields(seen: Sequence[Head]) -> list[str]:
    """Returns the names of all fields, each once, in their order."""
    names = (name for head in seen for part in (head.columns or (), *head.rows) for name in part)
    return list(dict.fromkeys(names))


def _other_delimiter(seen: Sequence[Head]) -> str | None:
    """Returns the message on the first CSV header that has no commas as delimiters, or None."""
    tables = (head.columns for head in seen if head.columns is not None)
    messages = (format_checks.other_delimiter(",".join(columns)) for columns in tables)
    return next(filter(None, messages), None)


def _modalities(
    name: str, seen: Sequence[Head], names: Sequence[str], spec: Spec, proven: bool
) -> Iterable[Noticed]:
    wanted = spec.modalities.names
    unread = _unread(names, spec)
    others = f"found beside them: {_some(unread)}" if unread else "nothing else is there"
    absent = [modality for modality in wanted if modality not in names]
    named = f"{name}: no field is named {' or '.join(absent)}, which the model is to see; {others}"
    if len(absent) == len(wanted):
        yield Noticed(f"{named}; rename fields, or change modalities in the spec", proven)
        return
    if absent:
        yield Noticed(f"{named}; each record is used without {' and '.join(absent)}")
    number = sum(len(head.rows) for head in seen)
    for modality in wanted:
        unsure = modality in absent or number < FEW_ROWS or not all(head.rows for head in seen)
        if not unsure and not any(_has(row, modality) for head in seen for row in head.rows):
            yield Noticed(f"{name}: none of the first {number} records has {modality}")


def _labels(
    name: str, seen: Sequence[Head], names: Sequence[str], spec: Spec, complete: bool
) -> Iterable[Noticed]:
    labels = {label for head in seen for label in _labels_of(head, spec)}
    proven = complete and all(_names_all_labels(head) for head in seen)
    for task, settings in spec.tasks.items():
        if settings.label in labels:
            continue
        others = f"labels there: {_some(sorted(labels))}"
        if not labels:
            others = f"no labels are there, but other fields: {_some(_unread(names, spec))}"
        number = sum(len(head.rows) for head in seen)
        who = f"none of the first {number} records" if number and not proven else "no record"
        remedy = f"correct tasks.{task}.label in the spec, or the records"
        if _SINGULAR in names:
            remedy = (
                f"the field {_SINGULAR} is one by that name alone: set tasks.{task}.label to "
                f"{_SINGULAR} in the spec, or name the field "
                f"{record_columns.LABEL_PREFIX}{settings.label}"
            )
        yield Noticed(
            f"{name}: {who} has the label {settings.label!r} of the task {task}; {others}; "
            f"{remedy}",
            proven,
        )


def _labels_of(head: Head, spec: Spec) -> Iterable[str]:
    """Yields the names of labels in a head."""
    yield from head.label_columns or ()
    for row in (dict.fromkeys(head.columns or (), True), *head.rows):
        labels = row.get("labels")
        if isinstance(labels, Mapping):
            yield from (key for key, value in labels.items() if value is not None)
            continue
        for field, value in row.items():
            if value is not None and record_columns.is_label(field, spec.label_names):
                yield field.removeprefix(record_columns.LABEL_PREFIX)


_CHECKS: Mapping[str, Callable[[Any, Task], object]] = {
    "classification": classes.class_names,
    "regression": lambda value, task: numbers.number(value),
}
"""Check of a single label, which raises `LabelError`, by kind of task; other kinds have none."""


def _forms_of_labels(name: str, seen: Sequence[Head], spec: Spec) -> Iterable[Noticed]:
    """Yields a mismatch for each task whose labels mostly cannot be used, such as lists of classes.

    Only tasks with a check in `_CHECKS` are checked.
    """
    rows = [row for head in seen for row in head.rows]
    for task, settings in spec.tasks.items():
        check = _CHECKS.get(settings.kind)
        if check is None:
            continue
        labels = [value for row in rows if (value := _label(row, settings.label)) is not None]
        flaws: Counter[str] = Counter()
        for value in labels:
            try:
                check(value, settings)
            except classes.LabelError as error:
                flaws[str(error)] += 1
        if 2 * flaws.total() > len(labels):
            (flaw, _) = flaws.most_common(1)[0]
            yield Noticed(
                f"{name}: {flaws.total()} of the first {len(labels)} labels {settings.label!r} of "
                f"the task {task} cannot be used: {flaw}"
            )


def _label(row: Mapping[str, Any], label: str) -> Any:
    """Returns a label of a record, unchecked, or None."""
    labels = row.get("labels")
    if isinstance(labels, Mapping):
        return labels.get(label)
    fields = (
        record_columns.LABEL_PREFIX + label,
        *([label] if record_columns.is_label(label, (label,)) else ()),
    )
    return next((row[field] for field in fields if row.get(field) is not None), None)


def _names_all_labels(head: Head) -> bool:
    """Returns True if no record of the file can have a label that its head lacks."""
    if head.whole:
        return True
    is_open = head.columns is None or "labels" in head.columns
    return head.label_columns is not None or not is_open


def _groups(seen: Sequence[Head], spec: Spec) -> Iterable[Noticed]:
    rows = [row for head in seen for row in head.rows if not _has(row, "split")]
    wanted = sum(getattr(spec.split, split) > 0 for split in SPLITS)
    groups = {str(row["group"]) for row in rows if _has(row, "group")}
    grouped = all(_has(row, "group") for row in rows)
    if spec.split.by == "group" and grouped and len(rows) >= FEW_ROWS and len(groups) < wanted:
        number = f"{len(groups)} group{'' if len(groups) == 1 else 's'}"
        yield Noticed(
            f"the first {len(rows)} records are in {number}, and there are {wanted} splits: all "
            f"records of a group are in one; {summary.split_remedy(len(groups))}"
        )


def _has(row: Mapping[str, Any], field: str) -> bool:
    return row.get(field) not in (None, "")


def _unread(names: Sequence[str], spec: Spec) -> list[str]:
    """Returns the fields that pass through: neither media nor labels, nor id, group or split."""
    known = (*record_columns.NEVER_LABELS, "labels")
    return [
        name
        for name in names
        if name not in known and not record_columns.is_label(name, spec.label_names)
    ]


def _some(names: Sequence[str]) -> str:
    plain = [name if name.isprintable() else repr(name) for name in names[:SHOWN]]
    shown = ", ".join(name[:LONGEST] for name in plain)
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown or "none"
