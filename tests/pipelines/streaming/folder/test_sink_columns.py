"""One schema for a sink's files, for any columns and kinds of values in any order."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import polars
import pyarrow.dataset
import pytest
from hypothesis import strategies

from tests.scores import SETTINGS, scored
from triad_ml.pipelines.streaming import rows as streaming_rows
from triad_ml.pipelines.streaming.folder import sink_columns
from triad_ml.pipelines.streaming.folder.sink import FileSink
from triad_ml.pipelines.tables import passthrough
from triad_ml.transforms.records import columns

TEXT = "triad.text.x"


def write(folder: Path, *batches: list[dict[str, Any]], first: int = 0) -> None:
    """Writes one file for each batch of passthrough values."""
    sink = FileSink(str(folder), SETTINGS)
    for number, batch in enumerate(batches, start=first):
        rows = [scored(f"{number}-{i}", i, extra=extra) for i, extra in enumerate(batch)]
        sink.write(number, "d" * 12, rows, [])


def with_duckdb(folder: Path) -> list[dict[str, Any]]:
    files = f"read_parquet('{folder}/scores/*/*.parquet', union_by_name = true)"
    return duckdb.sql(f"select * from {files} order by id").to_arrow_table().to_pylist()


def with_polars(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(str(path) for path in folder.glob("scores/*/*.parquet"))
    return polars.concat(map(polars.read_parquet, paths), how="diagonal").sort("id").to_dicts()


def with_pyarrow(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("scores/*/*.parquet"))
    schema = pyarrow.unify_schemas([pyarrow.parquet.read_schema(path) for path in paths])
    return pyarrow.dataset.dataset(paths, schema=schema).to_table().sort_by("id").to_pylist()


@pytest.mark.parametrize("reader", [with_duckdb, with_polars, with_pyarrow])
def test_files_stay_readable_together_when_a_column_changes_its_kind_or_comes_later(
    tmp_path, reader
):
    write(tmp_path, [{"x": 1}], [{"x": "a"}, {"x": 2}], [{"x": 0.5, "y": True}], [{}])
    rows = [{name: row[name] for name in ("x", TEXT, "y")} for row in reader(tmp_path)]
    assert rows == [
        {"x": 1, TEXT: None, "y": None},
        {"x": None, TEXT: "a", "y": None},
        {"x": 2, TEXT: None, "y": None},
        {"x": None, TEXT: "0.5", "y": True},
        {"x": None, TEXT: None, "y": None},
    ]


def test_what_the_first_value_decided_holds_after_a_restart(tmp_path):
    write(tmp_path, [{"x": 1}])
    sink_columns._read.cache_clear()  # as in a new process
    write(tmp_path, [{"x": "a"}], first=1)
    rows = with_duckdb(tmp_path)
    assert [(row["x"], row[TEXT]) for row in rows] == [(1, None), (None, "a")]


def test_of_two_writers_at_once_the_first_decides_for_both(tmp_path):
    first = sink_columns.Column("x", "int", "x")
    assert sink_columns._established(str(tmp_path), first) == first
    second = sink_columns.Column("x", "string", "x")
    assert sink_columns._established(str(tmp_path), second) == first


def test_columns_and_misfits_are_said_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger=sink_columns.__name__):
        write(tmp_path, [{"x": 1, "dt": "d"}], [{"x": "a"}], [{"x": "b"}])
    assert [record.getMessage().removeprefix(f"{tmp_path}: ") for record in caplog.records] == [
        "a new column 'extra_dt', of string",
        "a new column 'x', of int",
        "a new column 'triad.text.x', of string",
        "column 'x' is of int, but values of other kinds have come: they are texts in column "
        "'triad.text.x'",
    ]


def test_a_column_without_a_value_waits_for_its_first(tmp_path):
    write(tmp_path, [{"x": None}], [{"x": 7}])
    assert [row["x"] for row in with_duckdb(tmp_path)] == [None, 7]


def test_beyond_the_cap_what_further_keys_hold_is_json_and_the_columns_stay(tmp_path, caplog):
    most = passthrough.MOST_COLUMNS
    first = [{"often": 1, f"k{n:04d}": n} for n in range(most)]
    write(tmp_path, first, [{"often": "a", "k0000": 7, "late": [1], "later": None}], [{"often": 2}])
    (wide, late, last) = (
        pyarrow.parquet.read_table(path) for path in sorted(tmp_path.glob("scores/*/*.parquet"))
    )
    extra = [name for name in wide.column_names if name.startswith("k")]
    assert extra == [f"k{n:04d}" for n in range(most - 1)]
    assert wide.column("often").to_pylist() == [1] * most
    beyond = wide.column(columns.OTHERS).to_pylist()
    assert beyond == [*[None] * (most - 1), f'{{"k{most - 1:04d}": {most - 1}}}']
    (row,) = late.to_pylist()
    found = {name: row[name] for name in ("often", "triad.text.often", "k0000", columns.OTHERS)}
    assert found == {
        "often": None,
        "triad.text.often": "a",
        "k0000": 7,
        columns.OTHERS: '{"late": [1]}',
    }
    assert last.schema == late.schema
    said = [one.getMessage() for one in caplog.records if passthrough.TOO_MANY in one.getMessage()]
    assert said == [f"{tmp_path}: {passthrough.TOO_MANY}"]


def test_the_same_batch_again_leaves_the_same_files(tmp_path):
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    write(tmp_path, [{"x": 1, "y": [1]}], [{"x": "a"}])
    before = contents()
    write(tmp_path, [{"x": "a"}], first=1)
    assert contents() == before


VALUES = (
    strategies.none()
    | strategies.integers(-(2**70), 2**70)
    | strategies.floats(allow_nan=False)
    | strategies.booleans()
    | strategies.text(strategies.characters(exclude_categories=("Cs",)), max_size=4)
    | strategies.binary(max_size=4)
    | strategies.datetimes()
    | strategies.lists(strategies.integers(0, 3), max_size=2)
)


@hypothesis.given(batches=strategies.lists(strategies.lists(VALUES, min_size=1), min_size=1))
@hypothesis.settings(deadline=None, max_examples=40)
def test_no_value_is_lost_and_all_files_have_one_type(tmp_path_factory, batches):
    folder = str(tmp_path_factory.mktemp("sink"))
    types = set()
    for batch in batches:
        rows = [scored(str(i), i, extra={"x": value}) for i, value in enumerate(batch)]
        made = sink_columns.table(folder, rows, SETTINGS)
        if "x" not in made.column_names:
            assert batch == [None] * len(batch)
            continue
        types.add(str(made.schema.field("x").type))
        own = made.column("x").to_pylist()
        beside = made.column(TEXT).to_pylist() if TEXT in made.column_names else [None] * len(own)
        for value, found, text in zip(batch, own, beside, strict=True):
            assert [found, text].count(None) == (2 if value is None else 1)
            if found is not None and not isinstance(found, str):
                assert found == value
    assert len(types) <= 1


def test_a_row_of_a_topic_depends_on_no_other_row():
    values = [1, 2**53 + 1, 0.5, "a", b"\0", [1], None, 2**70]
    rows = [scored(str(i), i, extra={"x": value}) for i, value in enumerate(values)]
    rows.append(scored("last", 9, extra={"y": 1}))
    lines = [json.loads(line) for line in streaming_rows.scored_lines(rows, SETTINGS)]
    assert [line["x"] for line in lines[:-1]] == [
        *(1, 2**53 + 1, 0.5, "a", "AA==", "[1]", None, str(2**70))
    ]
    assert "x" not in lines[-1]
    assert [streaming_rows.scored_lines([row], SETTINGS)[0] for row in rows] == [
        json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() for line in lines
    ]


def test_json_lines_of_a_folder_have_one_schema_too(tmp_path):
    settings = dataclasses.replace(SETTINGS, format="jsonl")
    sink = FileSink(str(tmp_path), settings)
    for number, value in enumerate([1, "a"]):
        sink.write(number, "d" * 12, [scored("r", extra={"x": value})], [])
    first, second = sorted(tmp_path.glob("scores/*/*.jsonl"))
    assert json.loads(first.read_text())["x"] == 1
    row = json.loads(second.read_text())
    assert (row["x"], row[TEXT]) == (None, "a")
