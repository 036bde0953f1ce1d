"""Final summary of a training: figures of the test split, and the next commands."""

from typing import Any

from triad_ml.pipelines.runtime.summary import Sentence
from triad_ml.pipelines.training import ending


def warnings(sentences: list[Sentence]) -> list[str]:
    return [one.text for one in sentences if one.warns]


def measured(n: int, unseen: int = 0) -> dict[str, Any]:
    figure = {"value": 0.6771, "low": 0.601, "high": 0.7512}
    found = {"n": n, "unseen": unseen, "accuracy": figure, "macro_f1": {**figure, "value": 0.5}}
    return {"tasks": {"kind": {"kind": "classification", "as recorded": found}}}


def test_a_training_says_its_test_figures_and_the_next_commands():
    document = {"splits": {"eval": measured(9), "test": measured(164, unseen=2)}}
    assert ending.sentences(document, "models/a") == [
        Sentence(
            "kind: accuracy 0.677 (0.60-0.75), macro-F1 0.500 (0.60-0.75); 95% intervals, 164 "
            "records of the test split, of which 2 are unseen in training"
        ),
        Sentence("next: triad parity --model models/a --input RECORDS"),
        Sentence(
            "next: triad score --model models/a --input RECORDS --output SCORES --date YYYY-MM-DD"
        ),
    ]


def with_linear(value: float, network: float = 0.6771) -> dict[str, Any]:
    split = measured(164)
    split["tasks"]["kind"]["as recorded"]["accuracy"]["value"] = network
    weak, strong = ({"accuracy": {"value": one}} for one in (0.1, value))
    split["tasks"]["kind"]["linear"] = {"image": weak, "image+text": strong}
    return {"splits": {"test": split}}


def test_a_network_is_compared_with_the_best_linear_model():
    better = ending.sentences(with_linear(0.5), "m")
    assert warnings(better) == []
    text = "kind: a linear model of image + text has accuracy {} on the same records"
    assert better[1] == Sentence(text.format("0.500"))
    (only,) = warnings(ending.sentences(with_linear(0.7), "m"))
    assert only == (
        f"{text.format('0.700')}, and is better than the network; try model.fusion: sum, a "
        "pretrained image_encoder, or more records"
    )
    assert warnings(ending.sentences(with_linear(0.6771), "m")) == []


def test_a_training_says_how_a_task_is_calibrated_or_why_it_is_not():
    split = measured(164)
    split["tasks"]["kind"]["as recorded"]["calibration"] = {"ece": 0.0312}
    found = {"value": 1.4142, "records": 80, "ece_before": 0.0811}
    split["tasks"]["kind"]["temperature"] = found
    assert ending.sentences({"splits": {"test": split}}, "m")[1] == Sentence(
        "kind: temperature 1.41, fitted to 80 records of the eval split; expected calibration "
        "error 0.081 before, 0.031 after"
    )
    split["tasks"]["kind"]["temperature"] = {"value": 1.0, "records": 19, "ece_before": None}
    assert ending.sentences({"splits": {"test": split}}, "m")[1] == Sentence(
        "kind: probabilities are not calibrated: 19 records of the eval split have the label, and "
        "a temperature needs 20"
    )


def test_a_training_without_a_test_split_says_so():
    assert warnings(ending.sentences({"splits": {"eval": measured(9)}}, "m")) == [
        "no record is in the test split: the figures are of eval, which chose the epoch"
    ]
    (only,) = warnings(ending.sentences({"splits": {}}, "m"))
    assert only.startswith("nothing measures the model: no record is in the test or the eval split")
    (only,) = warnings(ending.sentences({"splits": {"test": measured(0)}}, "m"))
    assert only == "kind: no record of the test split has its label"
