"""Passthrough columns: values of any Arrow type, from a caller's Parquet to published scores."""

import datetime
import decimal
import io
import json
import uuid
from typing import Any

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies

from tests import scores
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.columnar import parquet
from triad_ml.pipelines.sources.columnar import values as columnar_values
from triad_ml.pipelines.tables import ScoresFormat, formats
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.records.values import Provenance, RawRecord

NEVER = 8_640_000_000_000_000  # the last time of JavaScript, in milliseconds
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
INT64 = strategies.integers(-(2**63), 2**63 - 1)
# Parquet has no seconds: what does not fit milliseconds cannot be written.
SECONDS = strategies.integers(-(2**63) // 1000 + 1, 2**63 // 1000 - 1)


def timestamps(unit: str, zone: str | None) -> tuple[pa.DataType, Any]:
    return pa.timestamp(unit, zone), SECONDS if unit == "s" else INT64


TYPES: dict[str, tuple[pa.DataType, Any]] = {
    "bool": (pa.bool_(), strategies.booleans()),
    "int8": (pa.int8(), strategies.integers(-128, 127)),
    "int64": (pa.int64(), INT64),
    "uint64": (pa.uint64(), strategies.integers(0, 2**64 - 1)),
    "float16": (pa.float16(), strategies.floats(width=16)),
    "float32": (pa.float32(), strategies.floats(width=32)),
    "float64": (pa.float64(), strategies.floats()),
    "decimal": (
        pa.decimal256(50, 7),
        strategies.decimals(-(10**40), 10**40, allow_nan=False, places=7),
    ),
    "string": (pa.string(), strategies.text()),
    "large_string": (pa.large_string(), strategies.text()),
    "string_view": (pa.string_view(), strategies.text()),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), strategies.sampled_from(["a", "é"])),
    "binary": (pa.binary(), strategies.binary()),
    "large_binary": (pa.large_binary(), strategies.binary()),
    "binary_view": (pa.binary_view(), strategies.binary()),
    "fixed_binary": (pa.binary(3), strategies.binary(min_size=3, max_size=3)),
    "uuid": (pa.uuid(), strategies.binary(min_size=16, max_size=16)),
    "date32": (pa.date32(), strategies.integers(-(2**31), 2**31 - 1)),
    "time32": (pa.time32("ms"), strategies.integers(0, 86_400_000 - 1)),
    "time64_us": (pa.time64("us"), strategies.integers(0, 86_400 * 10**6 - 1)),
    "time64_ns": (pa.time64("ns"), strategies.integers(0, 86_400 * 10**9 - 1)),
    "list": (pa.list_(pa.int64()), strategies.lists(INT64, max_size=3)),
    "large_list": (pa.large_list(pa.string()), strategies.lists(strategies.text(), max_size=3)),
    "struct": (
        pa.struct([("n", pa.int64()), ("t", pa.list_(pa.string()))]),
        strategies.fixed_dictionaries(
            {"n": strategies.none() | INT64, "t": strategies.lists(strategies.text(), max_size=2)}
        ),
    ),
    **{f"timestamp_{unit}": timestamps(unit, None) for unit in PER_SECOND},
    **{f"timestamp_{unit}_zone": timestamps(unit, "Europe/Berlin") for unit in PER_SECOND},
    **{f"duration_{unit}": (pa.duration(unit), SECONDS) for unit in PER_SECOND},
}


def passed(column: pa.Array) -> pa.ChunkedArray:
    """The published column of a caller's one, by way of a Parquet file and the scores' file."""
    (made,) = tables(column)
    return made.column("x")


def tables(*columns: pa.Array, form: ScoresFormat = "parquet") -> list[pa.Table]:
    return [formats.decode(formats.encode(_scored(column), form), form) for column in columns]


def _scored(column: pa.Array) -> pa.Table:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": column}), file)
    rows = []
    for batch in pq.ParquetFile(io.BytesIO(file.getvalue())).iter_batches():
        rows += [{"x": value} for value in columnar_values.values(batch.column("x"))]
    scored = [scores.scored(f"r{i}", i, extra=values) for i, values in enumerate(rows)]
    return tables_rows.score_table(scored, scores.COLUMNS, Provenance(*"mtscv"))


def expected(name: str, kind: pa.DataType, stored: Any, out: pa.DataType, found: Any) -> bool:
    """Whether a value of the output says what was stored."""
    if stored is None or stored != stored:
        return found is None
    if name == "uuid":
        return uuid.UUID(found).bytes == stored
    if name == "decimal" or (name == "uint64" and pa.types.is_string(out)):
        return decimal.Decimal(found) == stored
    if name in ("list", "large_list", "struct"):
        return json.loads(found) == stored
    if pa.types.is_duration(kind):
        seconds = decimal.Decimal(found.replace("PT", "").removesuffix("S"))
        return seconds * PER_SECOND[kind.unit] == stored
    if pa.types.is_time(kind):
        clock, _, fraction = found.partition(".")
        hours, minutes, seconds = map(int, clock.split(":"))
        nanoseconds = (hours * 3600 + minutes * 60 + seconds) * 10**9 + int(f"{fraction:0<9}")
        return nanoseconds == stored * (10**9 // PER_SECOND[kind.unit])
    if pa.types.is_timestamp(kind) and isinstance(found, str):
        text = found.removesuffix("+00:00")
        assert (text != found) == (kind.tz is not None)
        whole, _, fraction = text.partition(".")
        since = int(np.datetime64(whole, "s").astype(np.int64)) * 10**9 + int(f"{fraction:0<9}")
        return since == stored * (10**9 // PER_SECOND[kind.unit])
    if pa.types.is_timestamp(kind):
        zone = datetime.UTC if kind.tz else None
        since = found - datetime.datetime(1970, 1, 1, tzinfo=zone)
        return since // datetime.timedelta(microseconds=1) * PER_SECOND[kind.unit] == stored * 10**6
    if name == "date32" and isinstance(found, str):
        return int(np.datetime64(found, "D").astype(np.int64)) == stored
    if name == "date32":
        return (found - datetime.date(1970, 1, 1)).days == stored
    return bool(found == stored)


@pytest.mark.parametrize("name", TYPES)
def test_each_value_of_any_arrow_type_passes_by_value_or_by_its_text(name):
    kind, values = TYPES[name]

    @hypothesis.settings(deadline=None, max_examples=15)
    @hypothesis.given(stored=strategies.lists(strategies.none() | values, min_size=1, max_size=6))
    def passes(stored: list[Any]) -> None:
        hypothesis.assume(any(value is not None and value == value for value in stored))
        plain = pa.binary(16) if name == "uuid" else kind
        array = pa.array(
            [np.float16(v) if name == "float16" and v is not None else v for v in stored], plain
        )
        if name == "uuid":
            array = pa.ExtensionArray.from_storage(kind, array)
        out = passed(array)
        assert len(out) == len(stored)
        for value, found in zip(stored, out.to_pylist(), strict=True):
            assert expected(name, kind, value, out.type, found), (value, found)

    passes()


def test_a_time_that_python_has_keeps_its_type_and_one_that_never_comes_is_a_text():
    soon = pa.array([1_000, None], pa.timestamp("ms"))
    assert passed(soon).type == pa.timestamp("us")
    assert passed(pa.array([1_000, NEVER], pa.timestamp("ms"))).to_pylist() == [
        "1970-01-01T00:00:01",
        "275760-09-13T00:00:00",
    ]


def test_a_record_is_read_whatever_its_times_and_its_uuid_is_its_id(tmp_path):
    ids = pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([uuid.UUID(int=1).bytes], pa.binary(16))
    )
    columns = {"id": ids, "text": ["x"], "expires": pa.array([NEVER], pa.timestamp("ms"))}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    (unit,) = units.plan(units.list_inputs([str(path)]))
    (record,) = parquet.read(unit, ())
    assert isinstance(record, RawRecord)
    assert record.id == "00000000-0000-0000-0000-000000000001"
    assert record.extra == {"expires": "275760-09-13T00:00:00"}


@pytest.mark.parametrize(
    ("column", "expected_value"),
    [
        (pa.array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int64())), {"a": 1, "b": 2}),
        (pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())), [["a", 1], ["a", 2]]),
        (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), [[1, "x"]]),
        (
            pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"]),
            [["x", 1], ["x", 2]],
        ),
        (pa.array([[1]], pa.list_(pa.timestamp("ns"))), ["1970-01-01T00:00:00.000000001"]),
        (pa.array([[1]], pa.list_(pa.duration("s"))), ["PT1S"]),
        (
            pa.array([{"at": NEVER}], pa.struct([("at", pa.timestamp("ms"))])),
            {"at": "275760-09-13T00:00:00"},
        ),
        (
            pa.ListArray.from_arrays(
                [0, 1],
                pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))),
            ),
            ["00000000-0000-0000-0000-000000000000"],
        ),
    ],
)
def test_what_is_nested_passes_as_json(column, expected_value):
    assert json.loads(passed(column)[0].as_py()) == expected_value


@pytest.mark.parametrize("form", formats.FORMATS)
def test_json_lines_hold_what_parquet_holds(form):
    column = pa.array([2**53 + 1, None], pa.int64())
    (made,) = tables(column, form=form)
    assert made.column("x").to_pylist() == [2**53 + 1, None]
