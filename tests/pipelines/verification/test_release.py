"""Release: a model that is worse than a linear model gets a warning, or is refused by a limit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    assert problem.startswith(
        "task kind is not compared with linear models, because no record of the eval split has its"
    )


def test_a_figure_that_is_better_if_lower_is_compared_as_such():
    def problems(network: float, linear: float, limit: float) -> list[str]:
        one = {"kind": "regression", "as recorded": {"rmse": {"value": network}}}
        task = {**one, "linear": {"text": {"rmse": {"value": linear}}}}
        document = {"splits": {"test": {"tasks": {"price": task}}}}
        return list(floor_check.problems(document, limit))

    assert problems(2.0, 2.5, 0.0) == []
    assert problems(2.5, 2.0, 0.25) == []
    (problem,) = problems(2.6, 2.0, 0.25)
    assert problem.startswith("task price has RMSE 2.600 on the test split, and a linear model of ")
    (problem,) = problems(0.1, 0.0, 1.0)
    assert "has 0.000; train" in problem


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
