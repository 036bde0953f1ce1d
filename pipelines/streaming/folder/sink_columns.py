"""Passthrough columns of a stream's sink folder: one schema for all of its files."""

import collections
import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Collection, Sequence

import pyarrow as pa

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import passthrough
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.passthrough import Kind
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records import columns
from triad_ml.transforms.records.values import Scored

FOLDER = "_columns"
"""Name of the folder of column files in the sink's folder; readers of tables skip names that begin
with an underscore."""

TEXT_PREFIX = f"{columns.TRIAD_PREFIX}text."
"""Prefix of the column that holds, as text, values of another kind than their column's."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Column:
    """Passthrough column of a sink, the same in all of its files.

    Attributes:
        name: Name of the column.
        kind: Kind of its values, which the first value decided.
        key: Name of the records' field; for a column of `TEXT_PREFIX`, the field of its main
            column.
    """

    name: str
    kind: Kind
    key: str


def table(folder: str, scored: Sequence[Scored], settings: ScoreSchema) -> pa.Table:
    """Builds the table of scores with the passthrough columns that the folder's files have.

    The kind of a column is that of its first value and never changes. A value of another kind,
    which would change the column's type, is stored as text in the column `TEXT_PREFIX` + name. New
    columns are added; files that were written before lack them. Each column is recorded in one
    small file in `FOLDER`, which the first of several writers creates and none changes, so the
    schema holds across restarts and concurrent writers.

    Once the folder has `passthrough.MOST_COLUMNS` columns, the values of further keys are stored
    as JSON in the column `columns.OTHERS`. Concurrent writers may each add as many columns as
    there was room for.

    Args:
        folder: Folder of the sink.
        scored: Records of the table's rows.
        settings: Common properties of all rows.

    Raises:
        StorageError: If the columns cannot be read or written.
    """
    known = _known(folder)
    kept, further = _divided(folder, known, scored, settings.columns)
    arrays: dict[str, pa.Array] = {}
    for name, key in sorted(kept.items()):
        values = [row.extra.get(key) for row in scored]
        column = known[name]
        fitting = [passthrough.fits(value, column.kind) for value in values]
        own = [value if fits else None for value, fits in zip(values, fitting, strict=True)]
        arrays[name] = passthrough.array_of(own, column.kind)
        if not all(fitting):
            beside = f"{TEXT_PREFIX}{name}"
            if beside not in known:
                known[beside] = _established(folder, Column(beside, "string", column.key))
            others = [None if fits else v for v, fits in zip(values, fitting, strict=True)]
            arrays[beside] = passthrough.array_of(others, "string")
            _say_misfit(folder, column, beside)
    if further:
        if columns.OTHERS not in known:
            whole = Column(columns.OTHERS, "json", columns.OTHERS)
            known[columns.OTHERS] = _established(folder, whole)
            _log.warning("%s: %s", folder, passthrough.TOO_MANY)
        arrays[columns.OTHERS] = passthrough.array_of(
            tables_rows.other_values(scored, further), "json"
        )
    result = settings.score_table([dataclasses.replace(row, extra={}) for row in scored])
    for name in sorted(known):
        column = known[name]
        field = pa.field(name, passthrough.TYPES[column.kind])
        array = arrays.get(name)
        result = result.append_column(
            field, pa.nulls(len(scored), field.type) if array is None else array
        )
    return result


def _divided(
    folder: str, known: dict[str, Column], scored: Sequence[Scored], tasks: Collection[str]
) -> tuple[dict[str, str], frozenset[str]]:
    """Returns the keys that have columns, by column name, and the keys for which there is no room.

    New columns are added to `known`. A key without a value in any row is in neither result, since
    only a value decides a column's kind.
    """
    counts = collections.Counter(key for row in scored for key in row.extra)
    names = {key: tables_rows.extra_name(key, tasks) for key in sorted(counts)}
    own = {name: key for key, (name, _) in names.items() if name in known}
    kinds: dict[str, Kind] = {}
    for key in names.keys() - set(own.values()):
        field, _ = passthrough.field("", [row.extra.get(key) for row in scored])
        kind = passthrough.kind_of(field)
        if kind is not None and kind != "null":
            kinds[key] = kind
    taken = sum(name != columns.OTHERS and not name.startswith(TEXT_PREFIX) for name in known)
    room = max(0, passthrough.MOST_COLUMNS - taken)
    kept = passthrough.kept({key: counts[key] for key in kinds}, room)
    for key in sorted(kept):
        name, shown_key = names[key]
        known[name] = _established(folder, Column(name, kinds[key], shown_key))
        own[name] = key
    return own, frozenset(kinds.keys() - kept)


def _known(folder: str) -> dict[str, Column]:
    paths = atomic.list_files(f"{folder}/{FOLDER}")
    recorded = [_read(path) for path in paths if path.endswith(".json")]
    return {column.name: column for column in recorded}


@functools.lru_cache(maxsize=4096)
def _read(path: str) -> Column:
    return Column(**json.loads(atomic.read_bytes(path)))


def _established(folder: str, column: Column) -> Column:
    """Records a column; returns it, or the one that another writer has recorded meanwhile."""
    digest = hashlib.sha256(column.name.encode()).hexdigest()[:24]
    path = f"{folder}/{FOLDER}/{digest}.json"
    content = json.dumps(dataclasses.asdict(column), ensure_ascii=False, indent=1) + "\n"
    if not atomic.write_new(path, content.encode()):
        return _read(path)
    _log.info("%s: a new column %r, of %s", folder, column.name, column.kind)
    return column


@functools.lru_cache(maxsize=4096)
def _say_misfit(folder: str, column: Column, beside: str) -> None:
    """Logs once per process that values of another kind are stored as text."""
    _log.warning(
        "%s: column %r is of %s, but values of other kinds have come: they are texts in column %r",
        *(folder, column.name, column.kind, beside),
    )
