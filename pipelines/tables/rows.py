"""Rows of scores and rejected records as Arrow tables."""

import collections
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from triad_ml.pipelines.tables import passthrough, plain_values
from triad_ml.pipelines.tables.columns import TEXTS, ScoreColumn
from triad_ml.transforms.records import columns as names
from triad_ml.transforms.records.values import Provenance, Rejected, Scored

POSITION = "triad.position"
"""Name of the column with each record's position, in the units of a run; it is not published."""

MEASURES = "triad.measures"
"""Name of the column with the measures of a sampled record's media, as JSON, in the units of a run;
it is not published."""

UNPUBLISHED = (POSITION, MEASURES)
"""Columns of a unit's scores that are not published."""

EVENT_TIME = "triad.event_time"
"""Name of the column with each record's event time, in the output of a stream."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def score_table(
    scored: Sequence[Scored], columns: Mapping[str, ScoreColumn], provenance: Provenance
) -> pa.Table:
    """Makes a table with one row for each scored record, in the same order.

    Args:
        scored: Scored records, with a prediction for each task.
        columns: Score columns by task, in their order in the table.
        provenance: Digests that each row has.

    Returns:
        Columns `id`, `id_int` (int64: the id if its text is that of an integer, else null), one
        struct for each task (see `columns.COLUMNS`), `modalities_used`, `issues`, `content_digest`,
        `model_digest`, `transform_digest`, `spec_digest`, `code_digest`, then the passthrough
        columns, sorted by name. A passthrough column whose name is taken begins with `extra_`, see
        `passthrough.column_name`. Only the `passthrough.MOST_COLUMNS` most frequent keys have
        columns; the values of the others are in the column `names.OTHERS`, as JSON.
    """
    ids = [plain_values.clean(row.id) for row in scored]
    made: dict[str, pa.Array] = {
        "id": pa.array(ids, pa.string()),
        "id_int": pa.array([_integer(record_id) for record_id in ids], pa.int64()),
    }
    for task, column in columns.items():
        made[task] = column.encode([row.predictions[task] for row in scored])
    made["modalities_used"] = pa.array([list(row.modalities_used) for row in scored], TEXTS)
    made["issues"] = pa.array([list(row.issues) for row in scored], TEXTS)
    made["content_digest"] = pa.array([row.content_digest for row in scored], pa.string())
    made |= _digest_columns(provenance, len(scored))
    fields = [pa.field(name, array.type) for name, array in made.items()]
    extra = _extra(scored, columns)
    schema = pa.schema([*fields, *(field for field, _ in extra)])
    return pa.Table.from_arrays([*made.values(), *(array for _, array in extra)], schema=schema)


def rejected_table(rejected: Sequence[Rejected], provenance: Provenance) -> pa.Table:
    """Makes a table with one row for each rejected record, in the same order; all are strings."""
    rows = [
        (row.id, str(row.position), row.stage, str(row.reason), row.detail, row.payload_digest)
        for row in rejected
    ]
    own = names.REJECTED[: -len(names.DIGESTS) - 1]
    values = list(zip(*rows, strict=True)) or [()] * len(own)
    columns = {
        name: pa.array([plain_values.clean(value) for value in column], pa.string())
        for name, column in zip(own, values, strict=True)
    }
    version = pa.repeat(provenance.version, len(rows))
    return pa.table({**columns, **_digest_columns(provenance, len(rows)), "code_version": version})


def described(schema: pa.Schema) -> tuple[dict[str, str], ...]:
    """Describes the columns of a table, in their order, for a manifest.

    Each entry has `name` and `type`. That of a passthrough column also has its `kind`, its `kinds`
    if the values are of several, and `key`, the name of the field in records, if it differs from
    the column's.
    """
    return tuple(_described(field) for field in schema)


def _described(field: pa.Field) -> dict[str, str]:
    entry = {"name": field.name, "type": str(field.type)}
    kind, kinds = passthrough.kind_of(field), passthrough.kinds_of(field)
    key = passthrough.key_of(field)
    if kind:
        entry["kind"] = kind
    if len(kinds) > 1:
        entry["kinds"] = ", ".join(kinds)
    if key is not None:
        entry["key"] = key
    return entry


def _integer(record_id: str) -> int | None:
    """Returns the id as a 64-bit integer if its text is exactly that of one, else None."""
    if not _INTEGER.fullmatch(record_id):
        return None
    number = int(record_id)
    return number if -(2**63) <= number < 2**63 else None


def _digest_columns(provenance: Provenance, count: int) -> dict[str, pa.Array]:
    return {
        f"{name}_digest": pa.repeat(digest, count) for name, digest in provenance.digests.items()
    }


def _extra(scored: Sequence[Scored], tasks: Collection[str]) -> list[tuple[pa.Field, pa.Array]]:
    counts = collections.Counter(key for row in scored for key in row.extra)
    kept = passthrough.kept(counts)
    named = sorted((*extra_name(key, tasks), key) for key in kept)
    columns = [
        passthrough.field(
            name, [row.extra.get(key) for row in scored], text if text != name else None
        )
        for name, text, key in named
    ]
    if len(kept) < len(counts):
        others = other_values(scored, counts.keys() - kept)
        columns.append(passthrough.field(names.OTHERS, others))
    return columns


def other_values(scored: Sequence[Scored], keys: Collection[str]) -> list[dict[str, Any] | None]:
    """Returns, for each row, the passthrough values of these keys, for the column `names.OTHERS`.

    A row without such values has None.
    """
    others = (
        {plain_values.clean(key): value for key, value in row.extra.items() if key in keys}
        for row in scored
    )
    return [other or None for other in others]


def extra_name(key: str, tasks: Collection[str]) -> tuple[str, str]:
    """Returns the name of a passthrough key's column, and the key as text that UTF-8 can hold."""
    text = plain_values.clean(key)
    return passthrough.column_name(text, tasks), text
