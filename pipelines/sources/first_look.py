"""What the heads of the records files say against a spec, before anything heavy is imported."""

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
"""From fewer records nothing is guessed about the others."""

SHOWN = 12
_SINGULAR = "label"
"""A field that people write where a field named as the label, or `labels`, is read."""

LONGEST = 60
"""Names of fields are shown up to here, in characters."""


class Noticed(NamedTuple):
    """One thing that does not fit; `proven` where no record could change it."""

    text: str
    proven: bool = False


def tell(log: logging.Logger, inputs: Sequence[str], what: Spec, with_labels: bool = True) -> None:
    """Looks, and logs a warning for each thing that does not fit.

    Args:
        log: Where to.
        inputs: Patterns of records files.
        what: What reads them.
        with_labels: Whether labels are read.

    Raises:
        OptionsError: For what is proven.
    """
    for noticed in look(inputs, what, with_labels):
        if noticed.proven:
            raise OptionsError(noticed.text)
        log.warning("%s", noticed.text)


def tell_of_folder(log: logging.Logger, folder: str, what: Spec) -> None:
    """Logs what does not fit between a model and the records files in a folder that is streamed.

    No file ends a stream, and what is no folder, such as a topic, is not looked at.
    """
    if "://" not in folder:
        found = heads.read([f"{folder}/*{suffix}" for suffix in heads.SUFFIXES], folder)
        for noticed in compare(folder, found, what, with_labels=False):
            log.warning("%s", noticed.text)


def look(inputs: Sequence[str], what: Spec, with_labels: bool = True) -> list[Noticed]:
    """Compares the heads of the records files with a spec; see `heads.read` and `compare`."""
    return compare(", ".join(inputs), heads.read(inputs), what, with_labels)


def compare(name: str, found: Heads, what: Spec, with_labels: bool = True) -> list[Noticed]:
    """What does not fit between a spec and the heads of records files.

    A table's columns prove what no record of it can have. Of lines only all of them do.

    Args:
        name: Of the inputs.
        found: Their heads.
        what: The spec.
        with_labels: Whether labels are read.
    """
    noticed = [Noticed(text) for text in _not_looked_at(found)]
    seen = [head for head in found.heads if head.columns is not None or head.rows]
    if not seen:
        return noticed
    proven = found.complete and all(head.whole or head.columns is not None for head in seen)
    there = _fields(seen)
    if "id" not in there:
        delimited = _other_delimiter(seen)
        if delimited is not None:  # its columns are not known: nothing more can be said
            return [*noticed, Noticed(f"{name}: {delimited}", proven)]
        said = f"{name}: no field is named id, found: {_some(there)}; name one of them id"
        noticed.append(Noticed(said, proven))
    noticed += _modalities(name, seen, there, what, proven)
    if with_labels:
        noticed += _labels(name, seen, there, what, found.complete)
        noticed += _forms_of_labels(name, seen, what)
        noticed += _groups(seen, what)
    return noticed


def _not_looked_at(found: Heads) -> Iterable[str]:
    if found.remote:
        yield f"{', '.join(found.remote)}: is not looked at before the run; only local files are"
    for head in found.heads:
        if head.broken and not head.rows:
            lines = f"none of the first {head.broken} lines" if head.broken > 1 else "no line"
            yield f"{head.path}: {lines} is a JSON object; write one object on each line"


def _fields(seen: Sequence[Head]) -> list[str]:
    """All names, in their order."""
    names = (name for head in seen for part in (head.columns or (), *head.rows) for name in part)
    return list(dict.fromkeys(names))


def _other_delimiter(seen: Sequence[Head]) -> str | None:
    """What is said of headers of CSV whose cells are not parted by commas."""
    tables = (head.columns for head in seen if head.columns is not None)
    said = (format_checks.other_delimiter(",".join(columns)) for columns in tables)
    return next(filter(None, said), None)


def _modalities(
    name: str, seen: Sequence[Head], there: Sequence[str], what: Spec, proven: bool
) -> Iterable[Noticed]:
    wanted = what.modalities.names
    unread = _unread(there, what)
    others = f"found beside them: {_some(unread)}" if unread else "nothing else is there"
    absent = [modality for modality in wanted if modality not in there]
    named = f"{name}: no field is named {' or '.join(absent)}, which the model is to see; {others}"
    if len(absent) == len(wanted):
        yield Noticed(f"{named}; rename fields, or change modalities in the spec", proven)
        return
    if absent:
        yield Noticed(f"{named}; each record goes on without {' and '.join(absent)}")
    number = sum(len(head.rows) for head in seen)
    for modality in wanted:
        unsure = modality in absent or number < FEW_ROWS or not all(head.rows for head in seen)
        if not unsure and not any(_has(row, modality) for head in seen for row in head.rows):
            yield Noticed(f"{name}: none of the first {number} records has {modality}")


def _labels(
    name: str, seen: Sequence[Head], there: Sequence[str], what: Spec, complete: bool
) -> Iterable[Noticed]:
    found = {label for head in seen for label in _labels_of(head, what)}
    proven = complete and all(_names_all_labels(head) for head in seen)
    for task, settings in what.tasks.items():
        if settings.label in found:
            continue
        others = f"labels there: {_some(sorted(found))}"
        if not found:
            others = f"no labels are there, but other fields: {_some(_unread(there, what))}"
        number = sum(len(head.rows) for head in seen)
        who = f"none of the first {number} records" if number and not proven else "no record"
        remedy = f"correct tasks.{task}.label in the spec, or the records"
        if _SINGULAR in there:
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


def _labels_of(head: Head, what: Spec) -> Iterable[str]:
    """The names of labels that a head has."""
    yield from head.label_columns or ()
    for row in (dict.fromkeys(head.columns or (), True), *head.rows):
        given = row.get("labels")
        if isinstance(given, Mapping):
            yield from (key for key, value in given.items() if value is not None)
            continue
        for field, value in row.items():
            if value is not None and record_columns.is_label(field, what.label_names):
                yield field.removeprefix(record_columns.LABEL_PREFIX)


_CHECKS: Mapping[str, Callable[[Any, Task], object]] = {
    "classification": classes.class_names,
    "regression": lambda value, task: numbers.number(value),
}
"""By kind of task, a check of a label alone, which raises `LabelError`; other kinds have none."""


def _forms_of_labels(name: str, seen: Sequence[Head], what: Spec) -> Iterable[Noticed]:
    """Tells of classes of which most cannot be used: they are lists where one is expected, say."""
    rows = [row for head in seen for row in head.rows]
    for task, settings in what.tasks.items():
        check = _CHECKS.get(settings.kind)
        if check is None:
            continue
        given = [value for row in rows if (value := _label(row, settings.label)) is not None]
        flaws: Counter[str] = Counter()
        for value in given:
            try:
                check(value, settings)
            except classes.LabelError as error:
                flaws[str(error)] += 1
        if 2 * flaws.total() > len(given):
            (flaw, _) = flaws.most_common(1)[0]
            yield Noticed(
                f"{name}: {flaws.total()} of the first {len(given)} labels {settings.label!r} of "
                f"the task {task} cannot be used: {flaw}"
            )


def _label(row: Mapping[str, Any], label: str) -> Any:
    """A label of a record as it stands, where there is one."""
    given = row.get("labels")
    if isinstance(given, Mapping):
        return given.get(label)
    fields = (
        record_columns.LABEL_PREFIX + label,
        *([label] if record_columns.is_label(label, (label,)) else ()),
    )
    return next((row[field] for field in fields if row.get(field) is not None), None)


def _names_all_labels(head: Head) -> bool:
    """Whether no record of the file can have other labels than its head."""
    if head.whole:
        return True
    is_open = head.columns is None or "labels" in head.columns
    return head.label_columns is not None or not is_open


def _groups(seen: Sequence[Head], what: Spec) -> Iterable[Noticed]:
    rows = [row for head in seen for row in head.rows if not _has(row, "split")]
    wanted = sum(getattr(what.split, split) > 0 for split in SPLITS)
    groups = {str(row["group"]) for row in rows if _has(row, "group")}
    grouped = all(_has(row, "group") for row in rows)
    if what.split.by == "group" and grouped and len(rows) >= FEW_ROWS and len(groups) < wanted:
        number = f"{len(groups)} group{'' if len(groups) == 1 else 's'}"
        yield Noticed(
            f"the first {len(rows)} records are in {number}, and there are {wanted} splits: all "
            f"records of a group are in one; {summary.split_remedy(len(groups))}"
        )


def _has(row: Mapping[str, Any], field: str) -> bool:
    return row.get(field) not in (None, "")


def _unread(there: Sequence[str], what: Spec) -> list[str]:
    """The fields that are neither media nor labels."""
    known = (*record_columns.NEVER_LABELS, "labels")
    return [f for f in there if f not in known and not record_columns.is_label(f, what.label_names)]


def _some(names: Sequence[str]) -> str:
    plain = [name if name.isprintable() else repr(name) for name in names[:SHOWN]]
    shown = ", ".join(name[:LONGEST] for name in plain)
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown or "none"
