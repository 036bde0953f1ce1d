"""Passthrough columns of a folder that a stream writes: one schema for all of its files."""

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
"""In the sink's folder; readers of tables leave out what begins with an underscore."""

TEXT_PREFIX = f"{columns.TRIAD_PREFIX}text."
"""Before the name of a column: where its values are that are of another kind, as texts."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Column:
    """A passthrough column of a sink, the same in all of its files.

    Attributes:
        name: Of the column.
        kind: What the first value decided.
        key: Of the records; of a column of texts that of the column beside it.
    """

    name: str
    kind: Kind
    key: str


def table(folder: str, scored: Sequence[Scored], settings: ScoreSchema) -> pa.Table:
    """See `rows.score_table`; with the passthrough columns that the folder's files have.

    A column has the kind of its first value for ever. A value of another kind, which would change
    the column's type, is in the column `TEXT_PREFIX` and its name as a text. A new column is added;
    files that were written before do not have it. What a column is stands in one small file in
    `FOLDER`, which the first of several writers makes and nobody changes: so it holds over restarts
    and for writers at the same time.

    Once the folder has `passthrough.MOST_COLUMNS`, what further keys hold is in `columns.OTHERS`,
    as JSON. Writers at the same time may each add as many as there was room for.

    Raises:
        StorageError: Where the columns cannot be read or written.
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
    """The keys that have columns, by column, and those for which there is no room.

    Columns that are new are put into `known`. A key that no row has a value for is in neither: some
    value has yet to say what it is.
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
    taken = sum(one != columns.OTHERS and not one.startswith(TEXT_PREFIX) for one in known)
    room = max(0, passthrough.MOST_COLUMNS - taken)
    kept = passthrough.kept({key: counts[key] for key in kinds}, room)
    for key in sorted(kept):
        name, said = names[key]
        known[name] = _established(folder, Column(name, kinds[key], said))
        own[name] = key
    return own, frozenset(kinds.keys() - kept)


def _known(folder: str) -> dict[str, Column]:
    paths = atomic.list_files(f"{folder}/{FOLDER}")
    found = [_read(path) for path in paths if path.endswith(".json")]
    return {column.name: column for column in found}


@functools.lru_cache(maxsize=4096)
def _read(path: str) -> Column:
    return Column(**json.loads(atomic.read_bytes(path)))


def _established(folder: str, column: Column) -> Column:
    """The column as the sink has it: this one, or what another writer made of it meanwhile."""
    digest = hashlib.sha256(column.name.encode()).hexdigest()[:24]
    path = f"{folder}/{FOLDER}/{digest}.json"
    content = json.dumps(dataclasses.asdict(column), ensure_ascii=False, indent=1) + "\n"
    if not atomic.write_new(path, content.encode()):
        return _read(path)
    _log.info("%s: a new column %r, of %s", folder, column.name, column.kind)
    return column


@functools.lru_cache(maxsize=4096)
def _say_misfit(folder: str, column: Column, beside: str) -> None:
    """Says it once a process."""
    _log.warning(
        "%s: column %r is of %s, but values of other kinds have come: they are texts in column %r",
        *(folder, column.name, column.kind, beside),
    )
