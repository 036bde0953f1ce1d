"""Release: a model that is worse than a simpler predictor is refused, or gets a warning."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.serving import bundle
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.storage import json_files, model_store
from triad_ml.pipelines.verification import floor_check, release
from triad_ml.pipelines.verification.config import ReleaseConfig
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.hashing import file_digest

Change = Callable[[dict[str, Any]], object]


def rewritten(model: Path, change: Change) -> dict[str, Any]:
    """Changes the evaluation of a model, as if its training had written it; returns it."""
    document = json.loads((model / bundle.EVALUATION).read_text(encoding="utf-8"))
    change(document)
    json_files.write(model / bundle.EVALUATION, document)
    about = json.loads((model / bundle.ABOUT).read_text(encoding="utf-8"))
    about["told"][bundle.EVALUATION] = file_digest(model / bundle.EVALUATION)
    (model / bundle.ABOUT).write_text(json.dumps(about), encoding="utf-8")
    return dict(document)


def figures(network: float, linear: float) -> Change:
    """Sets the accuracy on the test split of the network and of the best linear model."""

    def change(document: dict[str, Any]) -> None:
        task = document["splits"]["test"]["tasks"]["category"]
        task["as recorded"]["accuracy"]["value"] = network
        for subset, found in task["linear"].items():
            found["accuracy"]["value"] = linear if "+" in subset else linear / 2

    return change


def without_linear(document: dict[str, Any]) -> None:
    """Makes the evaluation that of an earlier version."""
    for split in document["splits"].values():
        for task in split["tasks"].values():
            del task["linear"]


def with_pair(document: dict[str, Any]) -> None:
    """Gives the task a linear model of images and texts."""
    for split in document["splits"].values():
        for task in split["tasks"].values():
            task["linear"]["image+text"] = task["linear"].pop("image+audio+text")


def single(whole: float, high: float, alone: float, n: int = 60) -> Change:
    """Sets the accuracy with all modalities, its interval, and the accuracy with texts alone."""

    def change(document: dict[str, Any]) -> None:
        task = document["splits"]["test"]["tasks"]["category"]
        for subset, found in task["subsets"].items():
            value = {"image+audio+text": whole, "text": alone}.get(subset, 0.0)
            found |= {"n": n, "accuracy": {"value": value, "low": value / 2, "high": high}}

    return change


@pytest.fixture
def own_model(own_model: Path) -> Path:
    """A model that is better with all modalities than with one alone."""
    rewritten(own_model, single(0.7, high=0.8, alone=0.5))
    return own_model


def said(model: Path, limit: float | None) -> str:
    with pytest.raises(GateError) as refused:
        floor_check.check(bundle.load(model), limit)
    return str(refused.value).removeprefix(f"{model}: ")


WORSE = (
    "task category has accuracy 0.677 on the test split, and a linear model of image + text has "
    "0.700; train it with other settings or more records"
)


def test_a_task_below_its_best_linear_model_is_refused_by_a_limit_and_else_warned_of(
    own_model, caplog
):
    rewritten(own_model, with_pair)
    rewritten(own_model, figures(0.677, 0.7))
    assert said(own_model, 0.0) == f"{WORSE}, or release it without --floor-limit"
    floor_check.check(bundle.load(own_model), 0.04)  # 0.023 of 0.7 are a share of 0.033
    assert caplog.messages == []
    floor_check.check(bundle.load(own_model), None)
    assert caplog.messages == [f"{own_model}: {WORSE}"]
    rewritten(own_model, figures(0.7, 0.7))
    floor_check.check(bundle.load(own_model), 0.0)
    assert len(caplog.messages) == 1


def test_a_model_that_was_not_compared_is_refused_by_a_limit_and_else_warned_of(own_model, caplog):
    whole = rewritten(own_model, without_linear)
    earlier = (
        "task category has no linear models to compare with, as if an earlier version had "
        "prepared its data or trained it; preprocess and train it again"
    )
    assert said(own_model, 1.0) == f"{earlier}, or release it without --floor-limit"
    floor_check.check(bundle.load(own_model), None)
    assert caplog.messages == [f"{own_model}: {earlier}"]
    rewritten(own_model, lambda document: document["splits"].clear())
    assert said(own_model, 1.0).startswith("no record compares it with linear models; preprocess")
    (own_model / bundle.EVALUATION).unlink()
    assert said(own_model, 1.0).startswith(
        "there is no evaluation.json with linear models to compare; copy"
    )
    floor_check.check(bundle.load(own_model), None)
    assert len(caplog.messages) == 2
    task = whole["splits"]["test"]["tasks"]["category"]
    empty = {"accuracy": {"value": None}}
    unlabelled = {**task, "as recorded": empty, "linear": {"text": empty}}
    (problem,) = floor_check.problems({"splits": {"eval": {"tasks": {"kind": unlabelled}}}}, None)
    assert problem.text.startswith(
        "task kind is not compared with linear models, because no record of the eval split has its"
    )


def test_a_figure_that_is_better_if_lower_is_compared_as_such():
    def problems(network: float, linear: float, limit: float | None) -> list[str]:
        rmse = {"value": network, "low": network - 0.5, "high": network + 9}
        one = {"kind": "regression", "as recorded": {"rmse": rmse, "n": 30}}
        task = {**one, "linear": {"text": {"rmse": {"value": linear}}}}
        document = {"splits": {"test": {"tasks": {"price": task}}}}
        found = list(floor_check.problems(document, limit))
        assert all(each.clear == (linear < network - 0.5) for each in found)
        return [each.text for each in found]

    assert problems(2.0, 2.5, 0.0) == []
    assert problems(2.5, 2.0, 0.25) == []
    (problem,) = problems(2.6, 2.0, 0.25)
    assert problem.startswith("task price has RMSE 2.600 on the test split, and a linear model of ")
    (problem,) = problems(0.1, 0.0, 1.0)
    assert "has 0.000; train" in problem
    assert len(problems(2.4, 2.0, None)) == 1


def test_a_task_below_its_linear_model_beyond_the_interval_is_refused_without_a_limit(own_model):
    def change(document: dict[str, Any]) -> None:
        figures(0.5, 0.8)(document)
        found = document["splits"]["test"]["tasks"]["category"]["as recorded"]
        found["n"], found["accuracy"]["high"] = 30, 0.7

    rewritten(own_model, change)
    refused = said(own_model, None)
    assert "has accuracy 0.500 on the test split, and a linear model of" in refused
    assert refused.endswith("or more records, or release it with --floor-limit 0.38")
    assert said(own_model, 0.1).endswith(", or release it with a larger --floor-limit 0.38")
    floor_check.check(bundle.load(own_model), 0.38)


def test_a_task_that_one_modality_alone_predicts_better_is_refused_beyond_the_interval(
    own_model, caplog
):
    rewritten(own_model, figures(0.7, 0.7))
    rewritten(own_model, single(0.5, high=0.7, alone=0.8))
    assert said(own_model, None) == (
        "task category has accuracy 0.500 with all modalities of 60 complete records of the test "
        "split, and 0.800 with text alone; check that the other media belong to their records, or "
        "train it with other settings, or release it with --floor-limit 0.38"
    )
    floor_check.check(bundle.load(own_model), 0.38)
    assert caplog.messages == []
    for within in (single(0.5, high=0.85, alone=0.8), single(0.5, high=0.7, alone=0.8, n=29)):
        rewritten(own_model, within)
        floor_check.check(bundle.load(own_model), None)
        assert "and 0.800 with text alone" in caplog.messages.pop()
        caplog.clear()
    rewritten(own_model, single(0.75, high=0.8, alone=0.75))
    floor_check.check(bundle.load(own_model), 0.0)
    assert caplog.messages == []


def test_a_limit_judges_no_single_modality_on_few_complete_records(own_model, caplog):
    rewritten(own_model, figures(0.7, 0.7))
    rewritten(own_model, single(0.5, high=0.7, alone=0.8, n=29))
    floor_check.check(bundle.load(own_model), 0.02)
    assert not any("alone" in line for line in caplog.messages)
    rewritten(own_model, single(0.5, high=0.7, alone=0.8, n=30))
    with pytest.raises(GateError, match="0.800 with text alone"):
        floor_check.check(bundle.load(own_model), 0.02)


def test_a_task_of_one_modality_is_not_compared_with_itself():
    alone = {"text": {"n": 60, "accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}}
    assert evaluation_document.single({"kind": "classification", "subsets": alone}) is None


def test_tasks_of_kinds_without_linear_models_are_not_asked_for_them():
    tags = {"kind": "tagging", "as recorded": {}}
    assert list(floor_check.problems({"splits": {"test": {"tasks": {"names": tags}}}}, 0.0)) == []


def test_a_release_leaves_the_pointer_as_it_is_if_the_limit_refuses_the_model(own_model, capsys):
    rewritten(own_model, figures(0.4, 0.8))
    argv = ["release", str(own_model), "--floor-limit", "0.1"]
    assert main.main(argv) == GateError.exit_code
    assert "task category has accuracy 0.400 on the test split" in capsys.readouterr().err
    assert not (own_model.parent / "CURRENT").exists()
    line = release.run(ReleaseConfig(str(own_model), floor_limit=0.6))
    assert line.startswith(f"{own_model.parent}: model counts (model ")
    assert model_store.read(str(own_model.parent)) == "model"


@pytest.mark.parametrize("limit", [-0.1, 1.5, float("nan")])
def test_a_limit_is_a_share(limit):
    with pytest.raises(OptionsError, match="--floor-limit: must be a share from 0 to 1, got "):
        ReleaseConfig("models/may", floor_limit=limit)
