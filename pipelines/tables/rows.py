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
"""Where each record came from: a column of a run's units, never published."""

EVENT_TIME = "triad.event_time"
"""When each record was sent or written: a column of a stream's output."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def score_table(
    scored: Sequence[Scored], columns: Mapping[str, ScoreColumn], provenance: Provenance
) -> pa.Table:
    """One row per scored record, in the order given.

    Args:
        scored: With an answer for each task.
        columns: By task, in the order of the columns.
        provenance: Stands in each row.

    Returns:
        Columns `id`, `id_int` (int64: the id where it is one, else null), one struct per task (see
        `columns.COLUMNS`), `modalities_used`, `issues`, `content_digest`, `model_digest`,
        `transform_digest`, `spec_digest`, `code_digest`, then the passthrough columns by name. One
        whose name is taken begins with `extra_`, see `columns.is_taken`. What is in none of the
        most frequent `passthrough.MOST_COLUMNS` is in `columns.OTHERS`, as JSON.
    """
    ids = [plain_values.clean(row.id) for row in scored]
    made: dict[str, pa.Array] = {
        "id": pa.array(ids, pa.string()),
        "id_int": pa.array([_integer(one) for one in ids], pa.int64()),
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
    return pa.Table.from_arrays([*made.values(), *(one for _, one in extra)], schema=schema)


def rejected_table(rejected: Sequence[Rejected], provenance: Provenance) -> pa.Table:
    """One row per rejected record, in the order given: all columns are strings."""
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
    """Columns in their order, for a manifest: `name` and `type`.

    Passthrough columns have a `kind`; `kinds` where their values are of several; and `key`, what
    records call it, where the column has another name.
    """
    return tuple(_described(field) for field in schema)


def _described(field: pa.Field) -> dict[str, str]:
    said = {"name": field.name, "type": str(field.type)}
    kind, kinds = passthrough.kind_of(field), passthrough.kinds_of(field)
    key = passthrough.key_of(field)
    if kind:
        said["kind"] = kind
    if len(kinds) > 1:
        said["kinds"] = ", ".join(kinds)
    if key is not None:
        said["key"] = key
    return said


def _integer(record_id: str) -> int | None:
    """The id as an integer of 64 bits, where its text is exactly that of one."""
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
            name, [row.extra.get(key) for row in scored], said if said != name else None
        )
        for name, said, key in named
    ]
    if len(kept) < len(counts):
        others = other_values(scored, counts.keys() - kept)
        columns.append(passthrough.field(names.OTHERS, others))
    return columns


def other_values(scored: Sequence[Scored], keys: Collection[str]) -> list[dict[str, Any] | None]:
    """By row, for `columns.OTHERS`, the passthrough values of keys that have no columns."""
    others = (
        {plain_values.clean(key): value for key, value in row.extra.items() if key in keys}
        for row in scored
    )
    return [other or None for other in others]


def extra_name(key: str, tasks: Collection[str]) -> tuple[str, str]:
    """The column of a passthrough key, and the key as text."""
    said = plain_values.clean(key)
    return passthrough.column_name(said, tasks), said
