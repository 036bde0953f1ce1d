"""Scores and rejected records as Arrow tables, and those as Parquet or JSON Lines."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import passthrough, storage
from transforms.errors import StorageError
from transforms.records import Prediction, Provenance, Rejected, Scored, Tagged, Text

Format = Literal["parquet", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "jsonl")

POSITION = "triad.position"
"""Where each record came from: a column of a run's units, never published."""

EVENT_TIME = "triad.event_time"
"""When each record was sent or written: a column of a stream's output."""

_DISTRIBUTION = pa.map_(pa.string(), pa.float32())
_TEXTS = pa.list_(pa.string())
_PLACES = (("start", pa.int32()), ("end", pa.int32()), ("label", pa.string()))
_SPANS = pa.list_(pa.struct([*_PLACES, ("score", pa.float32())]))
_FIXED = ("id", "modalities_used", "issues", "content_digest", POSITION, EVENT_TIME)
_REJECTED = ("id", "source", "stage", "reason", "detail", "payload_digest")


def score_table(
    scored: Sequence[Scored],
    classes: Mapping[str, tuple[str, ...]],
    multi_label: frozenset[str],
    provenance: Provenance,
    tagging: frozenset[str] = frozenset(),
    generation: frozenset[str] = frozenset(),
    explained: tuple[str, ...] = (),
) -> pa.Table:
    """One row per scored record, in the order given.

    Args:
        scored: With a prediction for each task.
        classes: By task, in the order of the columns: names of the entries of a distribution.
        multi_label: The tasks whose label is a list.
        provenance: Stands in each row.
        tagging: The tasks that give spans.
        generation: The tasks that give texts.
        explained: The modalities whose shares are columns; predictions then have explanations.

    Returns:
        Columns `id`, one struct per task (`label`, `score`: float32, `distribution`: map of class
        to float32, and on request `explanation`: `label`, `baseline` and one share a modality; of a
        tagging task `spans`: list of structs `start`, `end`, `label`, `score`, and `score`; of a
        generation task `text` and `score`), `modalities_used`, `issues`, `content_digest`,
        `model_digest`, `transform_digest`, `spec_digest`, `code_digest`, then the passthrough
        columns by name. One whose name is taken begins with `extra_`.
    """
    columns: dict[str, pa.Array] = {
        "id": pa.array([passthrough.clean(row.id) for row in scored], pa.string())
    }
    for task, names in classes.items():
        said = [row.predictions[task] for row in scored]
        if task in tagging:
            columns[task] = _tagged([one for one in said if isinstance(one, Tagged)])
        elif task in generation:
            columns[task] = _texts([one for one in said if isinstance(one, Text)])
        else:
            predictions = [one for one in said if isinstance(one, Prediction)]
            columns[task] = _predictions(predictions, names, task in multi_label, explained)
    columns["modalities_used"] = pa.array([list(row.modalities_used) for row in scored], _TEXTS)
    columns["issues"] = pa.array([list(row.issues) for row in scored], _TEXTS)
    columns["content_digest"] = pa.array([row.content_digest for row in scored], pa.string())
    columns |= _digest_columns(provenance, len(scored))
    table = pa.table(columns)
    for field, array in _extra(scored, {*_FIXED, *columns}):
        table = table.append_column(field, array)
    return table


def rejected_table(rejected: Sequence[Rejected], provenance: Provenance) -> pa.Table:
    """One row per rejected record, in the order given: all columns are strings."""
    rows = [
        (row.id, str(row.position), row.stage, str(row.reason), row.detail, row.payload_digest)
        for row in rejected
    ]
    values = list(zip(*rows, strict=True)) or [()] * len(_REJECTED)
    columns = {
        name: pa.array([passthrough.clean(value) for value in column], pa.string())
        for name, column in zip(_REJECTED, values, strict=True)
    }
    version = pa.repeat(provenance.version, len(rows))
    return pa.table({**columns, **_digest_columns(provenance, len(rows)), "code_version": version})


def described(schema: pa.Schema) -> tuple[dict[str, str], ...]:
    """Columns in their order, for a manifest: `name`, `type`, `kind` of a passthrough column."""
    kinds = [passthrough.kind_of(field) for field in schema]
    return tuple(
        {"name": field.name, "type": str(field.type), **({"kind": kind} if kind else {})}
        for field, kind in zip(schema, kinds, strict=True)
    )


def write(table: pa.Table, path: str, format: Format) -> None:
    """Writes a table: whole, or not at all. Equal tables give equal bytes."""
    storage.put(path, encode(table, format))


def read(path: str) -> pa.Table:
    """Reads what `write` wrote, by the suffix of the path.

    JSON Lines hold no types: from them, bytes and times come back as texts, and a table without
    rows has no columns.
    """
    format = format_of(path)
    content = storage.read_bytes(path)
    try:
        return decode(content, format)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(
            f"{path}: not a whole .{format} file; restore it or run again with a new output"
        ) from error


def format_of(path: str) -> Format:
    """The format of a part, by the suffix of its path.

    Raises:
        StorageError: It has another one.
    """
    for format in FORMATS:
        if path.endswith(f".{format}"):
            return format
    raise StorageError(f"{path}: neither .parquet nor .jsonl; name a part that a run wrote")


def encode(table: pa.Table, format: Format) -> bytes:
    """The bytes of a file that holds the table; equal tables give equal bytes."""
    if format == "jsonl":
        return "".join(f"{line}\n" for line in map(_line, _rows(table))).encode("utf-8")
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.combine_chunks(),
        sink,
        compression="zstd",
        compression_level=3,
        row_group_size=1 << 16,
        version="2.6",
        data_page_version="1.0",
        use_dictionary=True,
        write_statistics=True,
        store_schema=True,
    )
    return bytes(sink.getvalue())


def decode(content: bytes, format: Format, columns: Sequence[str] | None = None) -> pa.Table:
    """The table that `encode` made bytes of, see `read`; on request only some columns of it.

    Raises:
        ValueError: Or ArrowException, where the content is no such file.
    """
    if format == "parquet":
        return pq.read_table(pa.BufferReader(content), columns=columns)
    rows = [json.loads(line) for line in content.decode("utf-8").split("\n") if line]
    names = columns or list(rows[0] if rows else ())
    return pa.table({name: _inferred(name, [row[name] for row in rows]) for name in names})


def _digest_columns(provenance: Provenance, count: int) -> dict[str, pa.Array]:
    return {
        f"{name}_digest": pa.repeat(digest, count) for name, digest in provenance.digests.items()
    }


def _predictions(
    predictions: Sequence[Prediction],
    classes: tuple[str, ...],
    multi_label: bool,
    explained: tuple[str, ...],
) -> pa.StructArray:
    count = len(predictions)
    probabilities = np.zeros((count, len(classes)), np.float32)
    if predictions:
        np.stack([p.distribution for p in predictions], out=probabilities, casting="same_kind")
    labels = [list(p.label) if multi_label else p.label for p in predictions]
    columns = {
        "label": pa.array(labels, _TEXTS if multi_label else pa.string()),
        "score": pa.array(np.array([p.score for p in predictions], np.float32)),
        "distribution": _distributions(probabilities, classes),
    }
    if explained:
        columns["explanation"] = _explanations(predictions, explained)
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def _explanations(predictions: Sequence[Prediction], modalities: tuple[str, ...]) -> pa.StructArray:
    said = [one.explanation for one in predictions if one.explanation is not None]
    if len(said) != len(predictions):
        raise AssertionError(f"{len(predictions) - len(said)} predictions have no explanation")
    columns = {
        "label": pa.array([one.label for one in said], pa.string()),
        "baseline": pa.array(np.array([one.baseline for one in said], np.float32)),
        **{
            name: pa.array(np.array([one.shares[name] for one in said], np.float32))
            for name in modalities
        },
    }
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def _tagged(tagged: Sequence[Tagged]) -> pa.StructArray:
    spans = [[span._asdict() for span in one.spans] for one in tagged]
    scores = np.array([one.score for one in tagged], np.float32)
    arrays = [pa.array(spans, _SPANS), pa.array(scores)]
    return pa.StructArray.from_arrays(arrays, names=["spans", "score"])


def _texts(written: Sequence[Text]) -> pa.StructArray:
    scores = np.array([one.score for one in written], np.float32)
    arrays = [pa.array([one.text for one in written], pa.string()), pa.array(scores)]
    return pa.StructArray.from_arrays(arrays, names=["text", "score"])


def _distributions(probabilities: npt.NDArray[np.float32], classes: tuple[str, ...]) -> pa.MapArray:
    """Maps of class to probability from `[rows, classes]`."""
    count, width = probabilities.shape
    keys = pa.array(classes, pa.string()).take(pa.array(np.tile(np.arange(width), count)))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return pa.MapArray.from_arrays(offsets, keys, pa.array(probabilities.ravel()), _DISTRIBUTION)


def _extra(scored: Sequence[Scored], reserved: set[str]) -> list[tuple[pa.Field, pa.Array]]:
    keys = {key for row in scored for key in row.extra}
    named = sorted((passthrough.column_name(passthrough.clean(key), reserved), key) for key in keys)
    return [passthrough.field(name, [row.extra.get(key) for row in scored]) for name, key in named]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    columns = [json_values(column.combine_chunks()) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def json_values(array: pa.Array) -> list[Any]:
    """The values of a column as JSON has them, in Python; of floats the shortest digits."""
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        fields = [json_values(array.field(name)) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)]
    if pa.types.is_map(array.type):
        pairs = list(zip(array.keys.to_pylist(), json_values(array.items), strict=True))
        return [dict(pairs[a:b]) for a, b in itertools.pairwise(array.offsets.to_pylist())]
    if pa.types.is_list(array.type) and pa.types.is_struct(array.type.value_type):
        structs, edges = json_values(array.values), array.offsets.to_pylist()
        return [structs[a:b] for a, b in itertools.pairwise(edges)]
    if pa.types.is_float32(array.type):
        # The shortest digits that give the same float32, not those of the nearest float64.
        digits = array.to_numpy(zero_copy_only=False).astype(str)
        return [passthrough.json_value(float(text)) for text in digits]
    return [passthrough.json_value(value) for value in array.to_pylist()]


def _inferred(name: str, values: list[Any]) -> pa.Array:
    if isinstance(values[0], dict) and "spans" in values[0] if values else False:
        return pa.array(values, pa.struct([("spans", _SPANS), ("score", pa.float32())]))
    if isinstance(values[0], dict) and "text" in values[0] if values else False:
        return pa.array(values, pa.struct([("text", pa.string()), ("score", pa.float32())]))
    if isinstance(values[0], dict) if values else False:
        label = _TEXTS if isinstance(values[0]["label"], list) else pa.string()
        items = [{**v, "distribution": list(v["distribution"].items())} for v in values]
        fields = [("label", label), ("score", pa.float32()), ("distribution", _DISTRIBUTION)]
        if "explanation" in values[0]:
            shares = [(key, pa.float32()) for key in values[0]["explanation"] if key != "label"]
            fields.append(("explanation", pa.struct([("label", pa.string()), *shares])))
        return pa.array(items, pa.struct(fields))
    if name in ("modalities_used", "issues"):
        return pa.array(values, _TEXTS)
    return passthrough.field(name, values)[1]
