"""Listing, export, and reading of published scores by other tools, as documented."""

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests import scores
from tests.scores import DATE, PROVENANCE, Work
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import export as publishing_export
from triad_ml.pipelines.publishing import exporters, parts, publish, reading, run_list
from triad_ml.pipelines.publishing.config import ExportConfig, RunsConfig
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.errors import DamagedError, OptionsError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to/read.md"
FIRST = (Work([scores.scored("a", 1), scores.scored("b", 2)], [scores.rejected("z", 3)]),)
SECOND = (
    Work([scores.scored("a", 1, extra={"n": 1, "t": None})], [scores.rejected("z", 3)]),
    Work([scores.scored("c", 1, unit=1, extra={"n": 0.5})]),
    Work([], [scores.rejected("y", 1, unit=2)]),
)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A date with a replaced run, one that counts, and one that was never finished."""
    folder = tmp_path_factory.mktemp("published") / "scores"
    scores.score(scores.run_folder(folder, name="first"), FIRST)
    scores.score(scores.run_folder(folder, name="second"), SECOND)
    scores.commit(scores.run_folder(folder, name="unfinished"), FIRST)
    return folder


# --- triad runs and triad current


def test_runs_are_listed_with_their_state_and_counts(output, capsys):
    assert main.main(["runs", str(output)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    first, second, unfinished = (
        scores.run_folder(output, name=name).run_id for name in ("first", "second", "unfinished")
    )
    assert lines[0] == "date state run created model format read scored rejected".split()
    model = PROVENANCE.model[:12]
    assert {line[2]: [line[1], *line[4:]] for line in lines[1:]} == {
        first: ["replaced", model, "parquet", "3", "2", "1"],
        second: ["published", model, "parquet", "4", "2", "2"],
        unfinished: ["unfinished", "-", "-", "-", "-", "-"],
    }


def test_runs_are_listed_as_json(output, capsys):
    assert main.main(["runs", str(output), "--date", DATE, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["state"]: one["units"] for one in listed} == {
        "published": 3,
        "replaced": 1,
        "unfinished": 1,
    }
    assert [one["counts"] for one in listed if one["state"] == "published"] == [True]


def test_a_folder_without_runs_is_refused(tmp_path):
    for date in (DATE, None):
        with pytest.raises(OptionsError, match=rf"^{tmp_path}: no run is here; name the --output"):
            run_list.run(RunsConfig(str(tmp_path), date))


def test_a_date_without_runs_is_answered_with_those_that_have_some(output):
    said = rf"^{output}: no run of 2020-01-01 is here; name a date that is: {DATE}$"
    with pytest.raises(OptionsError, match=said):
        run_list.run(RunsConfig(str(output), "2020-01-01"))


@pytest.mark.parametrize(("verify", "state"), [(False, "published"), (True, "damaged")])
def test_a_flipped_bit_is_seen_with_verify_and_a_missing_file_always(tmp_path, verify, state):
    run = scores.run_folder(tmp_path)
    scores.score(run, FIRST)
    path = Path(run.path("scores/part-00000.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    (one,) = run_list.run(RunsConfig(str(tmp_path), verify=verify))
    assert one.state == state
    path.unlink()
    (one,) = run_list.run(RunsConfig(str(tmp_path), verify=verify))
    assert one.state == "damaged"


def test_a_pointer_to_nothing_is_a_damaged_run(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.score(run, FIRST)
    Path(run.date_folder, "CURRENT").write_text("0" * 24 + "\n")
    states = {one.run_id: one.state for one in run_list.run(RunsConfig(str(tmp_path)))}
    assert states == {run.run_id: "replaced", "0" * 24: "damaged"}


def test_current_prints_the_files_that_count(output, capsys):
    assert main.main(["current", str(output)]) == 0
    run = scores.run_folder(output, name="second")
    parts = [run.path(f"scores/part-0000{part}.parquet") for part in (0, 1)]
    assert capsys.readouterr().out.splitlines() == parts


def test_current_refuses_a_run_that_lacks_a_file(tmp_path, capsys):
    run = scores.run_folder(tmp_path)
    scores.score(run, FIRST)
    path = Path(run.path("scores/part-00000.parquet"))
    path.unlink()
    assert main.main(["current", str(tmp_path)]) == 20
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"triad: {path}: is missing or is not what the run wrote; ")


# --- triad export-scores


def export(output: Path, file: Path, **more: Any) -> Path:
    publishing_export.run(ExportConfig(str(output), str(file), **more))
    return file


def test_parquet_has_the_rows_and_columns_of_the_parts_that_count(output, tmp_path):
    file = export(output, tmp_path / "all.parquet")
    whole = pa.concat_tables(publish.read_current(str(output)))
    assert pq.read_table(file).equals(whole)
    assert whole["id"].to_pylist() == ["a", "c"]


def test_json_lines_are_those_of_a_part(output, tmp_path):
    file = export(output, tmp_path / "all.jsonl", date=DATE)
    whole = pa.concat_tables(publish.read_current(str(output)))
    assert file.read_bytes() == formats.encode(whole, "jsonl")


def test_csv_has_a_column_for_each_field_and_json_where_their_number_varies(output, tmp_path):
    file = export(output, tmp_path / "all.csv")
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert list(rows[0]) == [
        *("id", "id_int", "category.label", "category.score", "category.distribution"),
        *("topics.label", "topics.score", "topics.distribution", "modalities_used", "issues"),
        *(f"{name}_digest" for name in ("content", "model", "transform", "spec", "code")),
        *("n", "t"),
    ]
    said = [json.loads(line) for line in export(output, tmp_path / "x.jsonl").open()]
    for row, line in zip(rows, said, strict=True):
        assert row["id"] == line["id"]
        assert float(row["category.score"]) == line["category"]["score"]
        assert json.loads(row["category.distribution"]) == line["category"]["distribution"]
        assert json.loads(row["topics.label"]) == line["topics"]["label"]
        assert row["t"] == ""
    assert [row["n"] for row in rows] == ["1.0", "0.5"]


def test_a_run_of_json_lines_is_exported_with_one_type_a_column(tmp_path):
    settings = publish.ScoreSchema(scores.COLUMNS, PROVENANCE, format="jsonl")
    run = scores.run_folder(tmp_path / "scores")
    for unit, work in enumerate(SECOND):
        read = len(work.scored) + len(work.rejected)
        publish.commit_unit(run, unit, work.scored, work.rejected, read, settings)
    publish.seal(run, len(SECOND), publish.Gates(1.0), settings, {})
    publish.publish(run, None)
    table = pq.read_table(export(tmp_path / "scores", tmp_path / "all.parquet"))
    assert table["id"].to_pylist() == ["a", "c"]
    assert table["n"].to_pylist() == [1.0, 0.5]


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(output, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("mine")
    with pytest.raises(OptionsError, match=rf"^{file}: is there already; name another file"):
        export(output, file)
    assert file.read_text() == "mine"
    assert export(output, file, overwrite=True).read_text().startswith("id,")


class Ledger:
    """An exporter to a system that keeps rows by run, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}

    def check(self, target: str, overwrite: bool) -> None:
        if target != "ledger://scores":
            raise OptionsError(f"{target}: no such ledger")

    def export(self, target: str, run: RunFolder, manifest: Manifest, overwrite: bool) -> int:
        tables = [parts.table(run, file) for file in manifest.scores]
        ids = [one for table in tables for one in table["id"].to_pylist()]
        self.rows[manifest.run_id] = ids  # the same run again replaces its own rows
        return len(ids)


def test_another_system_is_one_class_and_one_line_of_the_registry(output, monkeypatch):
    ledger = Ledger()
    monkeypatch.setattr(exporters, "EXPORTERS", {**exporters.EXPORTERS, "ledger://": ledger})
    for _ in range(2):  # an export is idempotent by the run's id
        assert publishing_export.run(ExportConfig(str(output), "ledger://scores"))
    _, manifest = publish.counting(str(output), None)
    (ids,) = ledger.rows.values()
    assert list(ledger.rows) == [manifest.run_id]
    assert len(ids) == sum(file.rows for file in manifest.scores)
    with pytest.raises(OptionsError, match="ledger://others: no such ledger"):
        publishing_export.run(ExportConfig(str(output), "ledger://others"))


def test_a_system_without_an_exporter_is_refused(output):
    with pytest.raises(OptionsError, match="'s3://b/all.csv' is no local file; export it"):
        ExportConfig(str(output), "s3://b/all.csv")


def test_a_damaged_part_leaves_no_file(tmp_path):
    run = scores.run_folder(tmp_path / "scores")
    scores.score(run, SECOND)
    Path(run.path("scores/part-00001.parquet")).write_bytes(b"x")
    with pytest.raises(DamagedError, match="part-00001.parquet: is not what the run wrote"):
        export(tmp_path / "scores", tmp_path / "all.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]


@pytest.mark.parametrize("name", ["all.xlsx", "all", "gs://b/all.csv"])
def test_a_name_that_says_no_format_is_refused(name):
    with pytest.raises(OptionsError, match="--output: "):
        ExportConfig("scores", name)


# --- other tools


def test_no_tool_reads_rows_that_do_not_count_by_listing_the_folder(output):
    """Each of them says that it cannot read it; none gives the rows of all runs together."""
    for folder in (output, output / f"dt={DATE}"):
        with pytest.raises(pa.ArrowInvalid, match="CURRENT"):
            pd.read_parquet(folder)
        with pytest.raises(pa.ArrowInvalid, match="CURRENT"):
            ds.dataset(folder, format="parquet", partitioning="hive")
        with pytest.raises(pl.exceptions.PolarsError):
            pl.read_parquet(folder)
    for pattern in ("dt=*/*.parquet", "**/*.parquet", "*/*/*.parquet"):
        with pytest.raises(duckdb.Error):
            duckdb.sql(
                f"FROM read_parquet('{output}/{pattern}', hive_partitioning=true)"
            ).fetchall()
        with pytest.raises(pl.exceptions.PolarsError):
            pl.read_parquet(f"{output}/{pattern}")


def test_the_folder_of_a_runs_scores_holds_its_scores_alone(output):
    folder = scores.run_folder(output, name="second").path("scores")
    assert pd.read_parquet(folder)["id"].to_list() == ["a", "c"]
    assert pl.read_parquet(folder)["id"].to_list() == ["a", "c"]
    assert duckdb.sql(f"FROM read_parquet('{folder}/*.parquet')").df()["id"].to_list() == ["a", "c"]


def blocks() -> Sequence[tuple[str, str]]:
    """The page's blocks of code, with the language of each."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language in ("python", "sql")]


@pytest.mark.parametrize("place", range(5))
def test_the_lines_of_the_page_read_what_counts(output, tmp_path, place):
    assert len(blocks()) == 5
    language, text = blocks()[place]
    (tmp_path / "scores").symlink_to(output)
    if language == "sql":
        quoted = json.dumps(text)
        text = (
            f"import duckdb\nfor line in {quoted}.split(';\\n'):\n    scores = duckdb.sql(line)\n"
        )
        text += "scores = scores.df()\n"
    text += "print(sorted(scores['id'].to_list() if hasattr(scores['id'], 'to_list') else "
    text += "scores['id'].to_pylist()))\n"
    installed = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the page runs `triad`
    ran = subprocess.run(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env={**os.environ, "PATH": installed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("['a', 'c']\n", "")


def test_the_commands_of_the_page_are_taken(output, tmp_path, monkeypatch, capsys):
    (tmp_path / "scores").symlink_to(output)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        program, *argv = shlex.split(line, comments=True)
        assert (program, main.main(argv)) == ("triad", 0), line
    assert capsys.readouterr().out.splitlines()[-1] == f"scores-of-{DATE}.parquet"
    assert pq.read_table(f"scores-of-{DATE}.parquet")["id"].to_pylist() == ["a", "c"]


# --- reading from Python


def test_the_files_that_count_are_those_of_the_run_that_is_published(output):
    run = scores.run_folder(output, name="second")
    expected = tuple(f"{run.folder}/scores/part-0000{n}.parquet" for n in (0, 1))
    assert reading.published_files(str(output), DATE) == expected
    assert reading.published_files(str(output)) == expected


def test_scores_are_one_table_with_every_column_that_a_part_has(output):
    table = reading.read_scores(str(output), DATE)
    assert table.column("id").to_pylist() == ["a", "c"]
    assert table.column("n").to_pylist() == [1.0, 0.5]
    assert table.to_pandas()["id"].tolist() == ["a", "c"]


def test_only_the_columns_that_are_asked_for_are_read_in_that_order(output):
    assert reading.read_scores(str(output), DATE, ["n", "id"]).to_pydict() == {
        "n": [1.0, 0.5],
        "id": ["a", "c"],
    }
    with pytest.raises(OptionsError, match="no column 'nought'; name some of id, id_int, "):
        reading.read_scores(str(output), DATE, ["nought"])


def test_the_manifest_is_that_of_the_run_that_counts(output):
    manifest = reading.read_manifest(str(output))
    assert manifest.run_id == scores.run_folder(output, name="second").run_id
    assert manifest.counts == {"read": 4, "scored": 2, "rejected": 2}


def test_nothing_is_read_of_a_run_with_a_changed_part(tmp_path):
    run = scores.run_folder(tmp_path / "scores")
    scores.score(run, SECOND)
    part = Path(run.path("scores/part-00001.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedError, match="part-00001.parquet: is missing or is not what"):
        reading.published_files(run.output, DATE)
    with pytest.raises(DamagedError, match="part-00001.parquet: is not what the run wrote"):
        reading.read_scores(run.output, DATE)
    with pytest.raises(OptionsError, match="no scores are published here"):
        reading.read_manifest(str(tmp_path / "elsewhere"))
