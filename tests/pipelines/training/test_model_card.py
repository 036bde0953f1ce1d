"""Model card: what the training knows, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.serving import bundle
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.training import model_card

Parts = list[dict[str, Any]]


@pytest.fixture
def parts(trained: Path) -> Parts:
    """What the card is written from: `triad.json`, the data's manifest, and the evaluation."""
    names = (bundle.ABOUT, bundle.DATA_MANIFEST, bundle.EVALUATION)
    return [json.loads((trained / name).read_text(encoding="utf-8")) for name in names]


def lines(parts: Parts) -> list[str]:
    return model_card.text(*parts).splitlines()


def test_a_training_writes_the_card_of_its_model(trained: Path, parts: Parts) -> None:
    written = (trained / bundle.MODEL_CARD).read_text(encoding="utf-8")
    assert written == model_card.text(*parts)
    found = written.splitlines()
    assert found[0] == f"# Model {parts[0]['digests']['model'][:12]}"
    assert [line for line in found if line.startswith("## ")] == [
        "## Intended use",
        "## Training data",
        "## Evaluation",
        "## Limitations",
        "## Origin",
    ]
    assert "- Reads image, audio, text; any of them may be missing in a record." in found
    steps = parts[0]["training"]["steps"]
    assert any(line.endswith(f" of 2; {steps} steps, seed 0.") for line in found)
    classes = ", ".join(f"`{one}`" for one in parts[0]["classes"]["category"])
    assert f"- `category`, classification of the label `category`: {classes}." in found
    assert f"- SHA-256 of the model: `{parts[0]['digests']['model']}`." in found


def test_its_figures_are_those_of_the_evaluation(parts: Parts) -> None:
    task = parts[2]["splits"]["test"]["tasks"]["category"]
    recorded = task[evaluation_document.AS_RECORDED]
    figures = " | ".join(
        evaluation_document.interval_text(recorded[key]) for key in ("accuracy", "macro_f1")
    )
    row = f"| as recorded | {recorded['n']} | {figures} |"
    found = lines(parts)
    assert found[found.index("| category | records | accuracy | macro-F1 |") + 2] == row
    rows = [line for line in found if line.startswith("| ")]
    assert len(rows) == 2 + len(task["subsets"]) + len(task["linear"])


def test_it_says_what_limits_the_model(parts: Parts) -> None:
    about, data, evaluated = parts
    task = evaluated["splits"]["test"]["tasks"]["category"]
    recorded = task[evaluation_document.AS_RECORDED]
    for place, one in enumerate(recorded["per_class"]):
        one["n"] = 9 if place == 1 else 10
    recorded["calibration"]["ece"] = 0.1234
    recorded["accuracy"]["value"] = 0.5
    for one in task["linear"].values():
        one["accuracy"]["value"] = 0.25
    task["linear"]["image+text"] = {
        **recorded,
        "accuracy": {"value": 0.75, "low": 0.7, "high": 0.8},
    }
    data["media"]["audio"] = {"had": 100, "flaws": {"broken": 3}}
    data["counts"]["read"] = 120
    rare, classes = recorded["per_class"][1]["class"], len(task["classes"])
    found = lines([about, data, evaluated])
    for line in (
        f"- `category`: 1 of {classes} classes have fewer than 10 test records, so their figures "
        f"say little: `{rare}`.",
        "- `category`: the expected calibration error is 0.123.",
        "- `category`: a linear model of image + text is better, with accuracy 0.750 for 0.500.",
        "- audio: 100 of 120 records have one, 3 not used (broken).",
        "- 23 of 120 records have no audio that can be used.",
    ):
        assert line in found


def test_without_a_test_split_it_says_which_records_measured_the_model(parts: Parts) -> None:
    splits = parts[2]["splits"]
    del splits["test"]
    found = lines(parts)
    assert any(line.startswith("Figures of the eval split, which also chose") for line in found)
    missing = "- No record is in the test split, so no figure is of records that decided nothing."
    assert missing in found
    splits.clear()
    nothing = "Nothing measures this model: no record is in the test or the eval split."
    assert nothing in lines(parts)


def test_data_of_an_earlier_version_have_a_card_without_what_they_do_not_count(
    parts: Parts,
) -> None:
    about, data, evaluated = parts
    whole = lines(parts)
    needed = {name: value for name, value in data.items() if name in dataset.REQUIRED}
    found = lines([about, needed, evaluated])
    assert set(found) < set(whole)
    assert any("records read: " in line for line in set(whole) - set(found))


def test_names_of_the_user_stay_on_their_line(parts: Parts) -> None:
    about, data, evaluated = parts
    about["classes"]["category"] = ["a|b`\n# c", "d"]
    about["spec"]["tasks"]["category"]["label"] = "one\n## two"
    found = lines([about, data, evaluated])
    assert ("- `category`, classification of the label `one ## two`: `a/b' # c`, `d`.") in found
    assert not any(line.startswith(("# c", "## two")) for line in found)
