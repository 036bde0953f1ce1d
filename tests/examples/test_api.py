"""Examples of the Python API run, and their scores equal those of `triad score`."""

import ast
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.yaml import main as beam_yaml

import triad_ml
from examples import api, own_beam_pipeline

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "triad.ipynb"


@pytest.fixture
def published(workplace: Path) -> list[dict[str, Any]]:
    """The published scores of the workplace, as rows."""
    triad_ml.score(model="model", inputs=["records/*.jsonl"], output="scores", date=api.DATE)
    return plain(triad_ml.read_scores("scores", columns=["id", "category", "content_digest"]))


def plain(table: Any) -> list[dict[str, Any]]:
    """The rows of a table by id, with maps as dicts."""
    rows = table.sort_by("id").to_pylist()
    for row in rows:
        row["category"]["distribution"] = dict(row["category"]["distribution"])
    return rows


def lines(pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(Path().glob(pattern)):
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def test_the_example_of_the_api_trains_publishes_and_scores(workplace, capsys):
    api.main(".")
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("published: scores/dt=2026-11-24/_runs/run=")
    assert out[1] == "scored: 120 rejected: 0"
    assert out[-1].startswith("mine by its text alone: Prediction(label=")


def test_an_own_pipeline_gives_the_published_scores_bit_for_bit(published):
    own_beam_pipeline.main(
        ["--model", "model", "--input", "records/records.jsonl", "--output", "out"]
    )
    found = sorted(lines("out/scored*.jsonl"), key=lambda row: str(row["id"]))
    assert [{name: row[name] for name in published[0]} for row in found] == published
    assert list(lines("out/rejected*.jsonl")) == []


def test_beam_yaml_gives_them_too_without_a_download(published):
    names = {"model": "model", "records": "records", "output": "out"}
    beam_yaml.run(
        [
            f"--yaml_pipeline_file={ROOT / 'examples' / 'scores.yaml'}",
            "--runner=FnApiRunner",
            f"--jinja_variables={json.dumps(names)}",
        ]
    )
    columns = ["id", "category", "content_digest"]
    tables = [pq.read_table(path, columns=columns) for path in Path().glob("out/scored*")]
    assert plain(pa.concat_tables(tables)) == published


def test_the_notebook_runs_in_a_fresh_interpreter(workplace, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("IPYTHONDIR", str(workplace / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(workplace / "jupyter"))
    book = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(workplace)}}
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=resources)
    client.execute()
    results = [
        output.data["text/plain"]
        for cell in book.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    ]
    assert ast.literal_eval(results[0]) == {"read": 120, "rejected": 0, "scored": 120}
    assert results[-1] == "[('a', 'Scored'), ('b', 'Rejected')]"


def test_the_notebook_is_committed_without_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)
