"""Published folders with odd passthrough columns, as other tools read them."""

import dataclasses
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from tests import scores
from tests.scores import SETTINGS, Work
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.tables import formats

ROOT = Path(__file__).resolve().parents[3]
BIG = 2**53 + 1
ODD = {"dt": 19991231, "run": "r1", "window": 7, "_hidden": "x", "Id": 1.5, "price": 2}
WORKS = (
    Work([scores.scored("10", 0, extra={**ODD, "order": BIG})]),
    Work([scores.scored("9", 0, unit=1, extra={**ODD, "order": 0.5})]),
)


@pytest.fixture
def run(tmp_path: Path) -> publish.RunFolder:
    run = scores.run_folder(tmp_path)
    scores.score(run, WORKS)
    return run


def with_duckdb(pattern: str) -> list[dict[str, Any]]:
    found = duckdb.sql(f"select * from read_parquet('{pattern}', hive_partitioning = true)")
    return found.to_arrow_table().to_pylist()


def with_polars(pattern: str) -> list[dict[str, Any]]:
    return polars.scan_parquet(pattern, hive_partitioning=True).collect().to_dicts()


def with_pyarrow(pattern: str) -> list[dict[str, Any]]:
    folder = pattern.partition("/dt=")[0]
    files = sorted(str(path) for path in Path(folder).glob("dt=*/_runs/run=*/scores/*.parquet"))
    found = pyarrow.dataset.dataset(files, partitioning="hive", partition_base_dir=folder)
    return found.to_table().to_pylist()


@pytest.mark.parametrize("reader", [with_duckdb, with_polars, with_pyarrow])
def test_folders_and_columns_never_disagree(run, reader):
    rows = {row["id"]: row for row in reader(f"{run.output}/dt=*/_runs/run=*/scores/*.parquet")}
    assert {(str(row["dt"]), row["run"]) for row in rows.values()} == {(run.date, run.run_id)}
    renamed = {f"extra_{name}": value for name, value in ODD.items() if name != "price"}
    for record_id, order in (("10", str(BIG)), ("9", "0.5")):
        row = rows[record_id]
        assert {name: row[name] for name in renamed} == renamed
        assert (row["id_int"], row["price"], row["order"]) == (int(record_id), 2, order)


def test_a_value_is_never_changed_by_that_of_another_unit_and_the_run_says_what_it_decided(
    tmp_path, caplog
):
    with caplog.at_level(logging.WARNING):
        manifest = scores.score(scores.run_folder(tmp_path), WORKS)
    said = {column["name"]: column for column in manifest.schema}
    assert said["order"] == {
        "name": "order",
        "type": "string",
        "kind": "number",
        "kinds": "float, long",
    }
    assert said["extra_dt"]["key"] == "dt"
    lines = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert lines == [
        "column 'Id' passes through as 'extra_Id': its name is taken",
        "column '_hidden' passes through as 'extra__hidden': its name is taken",
        "column 'dt' passes through as 'extra_dt': its name is taken",
        "column 'run' passes through as 'extra_run': its name is taken",
        "column 'window' passes through as 'extra_window': its name is taken",
        "column 'order' has values of several kinds (float, long): it is one of texts, exact "
        "decimals",
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_a_run_decides_does_not_depend_on_the_order_of_its_units(tmp_path, order):
    works = [WORKS[i] for i in order]
    moved = [
        Work([dataclasses.replace(row, position=dataclasses.replace(row.position, unit=unit))])
        for unit, work in enumerate(works)
        for row in work.scored
    ]
    run = scores.run_folder(tmp_path)
    manifest = scores.score(run, moved)
    assert dict(_orders(run, manifest)) == {"10": str(BIG), "9": "0.5"}


@pytest.mark.parametrize("format", formats.FORMATS)
def test_json_lines_say_the_same_as_parquet(tmp_path, format):
    run = scores.run_folder(tmp_path)
    manifest = scores.score(run, WORKS, settings=dataclasses.replace(SETTINGS, format=format))
    assert dict(_orders(run, manifest)) == {"10": str(BIG), "9": "0.5"}


def _orders(run: publish.RunFolder, manifest: publish.Manifest) -> Iterator[tuple[str, str]]:
    for file in manifest.scores:
        for row in formats.read(run.path(file.path)).to_pylist():
            yield row["id"], row["order"]


def test_the_joins_of_the_documentation_find_each_integer_id(tmp_path, monkeypatch):
    scores.score(scores.run_folder(tmp_path / "scores"), WORKS)
    pq.write_table(
        pa.table({"id": [9, 10, 11], "shelf": ["a", "b", "c"]}), tmp_path / "table.parquet"
    )
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "reference/columns.md").read_text(encoding="utf-8")
    with_sql, with_pandas = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {}
    exec(with_sql, found)
    assert [row[0] for row in found["joined"].fetchall()] == [9, 10]
    exec(with_pandas, found)
    assert found["merged"][["id", "shelf", "id_text"]].to_dict("records") == [
        {"id": 9, "shelf": "a", "id_text": "9"},
        {"id": 10, "shelf": "b", "id_text": "10"},
    ]
