"""Runs of MLflow: a model is registered in a real tracking database, and read back."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs_pages import ROOT
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.training.tracking import run
from triad_ml.pipelines.training.tracking.config import TrackConfig
from triad_ml.transforms.errors import GateError, OptionsError, StorageError


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new database of runs; its artifacts are in the current folder."""
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/runs.db"


def test_a_model_is_registered_once_with_its_settings_figures_and_files(
    own_model: Path, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    digest = json.loads((own_model / "triad.json").read_text())["digests"]["model"]
    experiment = client.create_experiment("nightly")
    cut_off = client.create_run(experiment, tags={"triad.model": digest}).info.run_id
    report = tmp_path / "report.html"
    report.write_text("a page")
    argv = ["track", str(own_model), "--mlflow", uri, "--experiment", "nightly"]
    assert main.main([*argv, "--report", str(report)]) == 0
    (found,) = client.search_runs([experiment])
    said = f"nightly: run {found.info.run_id} has model {digest[:12]}\n"
    assert capsys.readouterr().out == said
    assert found.info.run_id != cut_off
    assert found.info.status == "FINISHED"
    assert found.data.tags["triad.model"] == digest
    assert found.data.params["training.epochs"] == "2"
    assert found.data.params["tasks.category.kind"] == "classification"
    assert found.data.params["model.image_filters"] == "[8]"

    evaluated = json.loads((own_model / "evaluation.json").read_text())
    test = evaluated["splits"]["test"]["tasks"]["category"]
    metrics = found.data.metrics
    accuracy = test["as recorded"]["accuracy"]["value"]
    assert metrics["test/category/as recorded/accuracy"] == accuracy
    both = test["subsets"]["image+text"]["macro_f1"]["value"]
    assert metrics["test/category/image text/macro_f1"] == both
    with (own_model / "history.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    history = client.get_metric_history(found.info.run_id, "history/loss")
    assert [(one.step, one.value) for one in history] == list(enumerate(losses, start=1))

    kept = Path(client.download_artifacts(found.info.run_id, ""))
    for file in (one for one in own_model.rglob("*") if one.is_file()):
        assert (kept / "model" / file.relative_to(own_model)).read_bytes() == file.read_bytes()
    assert (kept / "report" / "report.html").read_text() == "a page"

    assert run.run(TrackConfig(str(own_model), uri, "nightly")) == (
        f"nightly: run {found.info.run_id} has this model already"
    )
    assert len(client.search_runs([experiment])) == 1


def test_what_cannot_be_registered_is_refused_in_one_line(own_model: Path, uri: str) -> None:
    with pytest.raises(OptionsError, match=r"--report: none\.html: is no file; name one"):
        run.run(TrackConfig(str(own_model), uri, report="none.html"))
    with pytest.raises(StorageError, match="--mlflow nowhere://x: .*the model is unchanged") as no:
        run.run(TrackConfig(str(own_model), "nowhere://x"))
    assert "\n" not in str(no.value)
    (own_model / "analysis.json").write_bytes(b"{}")
    with pytest.raises(GateError, match="is not the file that was exported"):
        run.run(TrackConfig(str(own_model), uri))
    assert not Path("runs.db").exists()


def test_a_database_without_its_package_is_refused_in_one_line(
    own_model: Path, uri: str, tmp_path: Path
) -> None:
    program = (
        "import sys\nsys.modules['alembic'] = None\n"
        "from triad_ml.pipelines.cli import main\nsys.exit(main.main(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "track", str(own_model), "--mlflow", uri],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 12, ran.stderr
    assert f"triad: --mlflow {uri}: a database needs the whole package of MLflow" in ran.stderr


@pytest.mark.parametrize(
    "uri", ["https://me:secret@tracker", "https://tracker?db=runs&Password=secret"]
)
def test_a_password_in_the_uri_is_refused_without_being_said(uri: str) -> None:
    with pytest.raises(OptionsError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        TrackConfig("model", uri)
    assert "secret" not in str(refused.value)


def test_without_the_package_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    with pytest.raises(OptionsError, match="MLflow is not installed; pip install 'mlflow-skinny"):
        run.run(TrackConfig("model", "sqlite:///runs.db"))
