"""Evaluation document: exact metrics, bootstrap intervals, and valid JSON."""

import io
import itertools
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics as reference

from triad_ml.model.evaluation import document
from triad_ml.model.tasks.classification.metrics import classification, multi_label
from triad_ml.transforms.spec.tasks import ClassificationTask

CLASSES = ("cat", "dog", "eel")
SINGLE = ClassificationTask(kind="classification", label="category")
SETS = ClassificationTask(kind="classification", label="tags", multi_label=True)


def one_hot(predicted: list[int], num_classes: int = 3, confidence: float = 0.8) -> np.ndarray:
    rest = (1 - confidence) / (num_classes - 1)
    probabilities = np.full((len(predicted), num_classes), rest, np.float32)
    probabilities[np.arange(len(predicted)), predicted] = confidence
    return probabilities


def drawn(n: int, num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(num_classes), n).astype(np.float32)
    labels = np.where(
        generator.random(n) < 0.6,
        probabilities.argmax(axis=1),
        generator.integers(0, num_classes, n),
    )
    return labels, probabilities


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)


def assert_json(value: Any) -> None:
    json.loads(json.dumps(value, allow_nan=False))


class TestClassification:
    def test_counts_of_a_hand_made_case_are_exact(self) -> None:
        result = classification([0, 0, 1, 1, 2, -1], one_hot([0, 1, 1, 1, 0, 2]), CLASSES)
        assert result["n"] == 5
        assert result["accuracy"]["value"] == pytest.approx(3 / 5)
        assert result["confusion"] == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
        assert result["majority"] == pytest.approx(2 / 5)
        cat, dog, eel = result["per_class"]
        assert cat == {"class": "cat", "precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2}
        assert dog["precision"] == pytest.approx(2 / 3)
        assert dog["recall"] == 1
        assert eel == {"class": "eel", "precision": None, "recall": 0, "f1": 0, "n": 1}
        assert result["macro_f1"]["value"] == pytest.approx((0.5 + 0.8 + 0) / 3)

    def test_agrees_with_scikit_learn_on_drawn_labels(self) -> None:
        labels, probabilities = drawn(400, 3)
        result = classification(labels, probabilities, CLASSES)
        predicted = probabilities.argmax(axis=1)
        assert result["macro_f1"]["value"] == pytest.approx(
            reference.f1_score(labels, predicted, average="macro")
        )
        assert result["log_loss"] == pytest.approx(
            reference.log_loss(labels, _normalised(probabilities), labels=[0, 1, 2]), rel=1e-5
        )
        assert result["confusion"] == reference.confusion_matrix(labels, predicted).tolist()

    def test_an_unseen_class_counts_as_wrong_and_has_no_row(self) -> None:
        result = classification([0, 3, 7], one_hot([0, 0, 1]), CLASSES)
        assert (result["n"], result["unseen"]) == (3, 2)
        assert result["accuracy"]["value"] == pytest.approx(1 / 3)
        assert result["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
        assert result["per_class"][0]["precision"] == 0.5
        assert result["log_loss"] == pytest.approx(-np.log(0.8), rel=1e-5)

    def test_macro_f1_is_over_the_classes_that_occur_in_the_labels(self) -> None:
        result = classification([0, 0, 1], one_hot([0, 2, 1]), CLASSES)
        assert result["macro_f1"]["value"] == pytest.approx((2 / 3 + 1) / 2)

    @pytest.mark.parametrize("labels", [[], [-1, -1]])
    def test_without_labels_everything_is_none_and_nothing_nan(self, labels: list[int]) -> None:
        result = classification(labels, one_hot([0] * len(labels)), CLASSES)
        assert result["n"] == 0
        assert result["accuracy"] == {"value": None, "low": None, "high": None}
        assert result["macro_f1"] == {"value": None, "low": None, "high": None}
        assert result["log_loss"] is None
        assert result["majority"] is None
        assert result["calibration"]["ece"] is None
        assert_json(result)

    def test_a_single_class_gives_a_perfect_score_and_valid_json(self) -> None:
        result = classification([0, 0], np.ones((2, 1), np.float32), ("only",))
        assert result["accuracy"] == {"value": 1, "low": 1, "high": 1}
        assert_json(result)

    def test_two_classes_have_ranking_metrics_of_the_second(self) -> None:
        labels, probabilities = drawn(200, 2)
        result = classification(labels, probabilities, CLASSES[:2])
        assert result["roc_auc"] == pytest.approx(
            reference.roc_auc_score(labels, probabilities[:, 1])
        )
        assert result["average_precision"] == pytest.approx(
            reference.average_precision_score(labels, probabilities[:, 1])
        )

    def test_ranking_metrics_are_none_where_one_of_two_classes_is_absent(self) -> None:
        result = classification([1, 1], one_hot([1, 0], 2), CLASSES[:2])
        assert (result["roc_auc"], result["average_precision"]) == (None, None)
        assert "roc_auc" not in classification([1], one_hot([1]), CLASSES)

    def test_calibration_bins_hold_every_record_once(self) -> None:
        labels, probabilities = drawn(300, 3)
        calibration = classification(labels, probabilities, CLASSES)["calibration"]
        assert len(calibration["bins"]) == 15
        assert sum(one["n"] for one in calibration["bins"]) == 300
        for one in calibration["bins"]:
            if one["n"]:
                assert one["low"] <= one["confidence"] <= one["high"] + 1e-6
            else:
                assert (one["confidence"], one["accuracy"]) == (None, None)

    def test_calibration_error_is_the_gap_between_confidence_and_accuracy(self) -> None:
        result = classification([0, 0, 1, 1], one_hot([0] * 4), CLASSES)
        assert result["calibration"]["ece"] == pytest.approx(0.3, abs=1e-6)
        certain = classification([0], one_hot([0], confidence=1.0), CLASSES)
        assert certain["calibration"]["bins"][14]["n"] == 1

    def test_an_interval_is_the_quantiles_of_resampled_records(self) -> None:
        labels, probabilities = drawn(250, 3, seed=3)
        result = classification(labels, probabilities, CLASSES, resamples=4000)
        generator = np.random.default_rng(99)
        right = probabilities.argmax(axis=1) == labels
        plain = right[generator.integers(0, 250, (4000, 250))].mean(axis=1)
        low, high = np.quantile(plain, (0.025, 0.975))
        assert result["accuracy"]["low"] == pytest.approx(low, abs=0.008)
        assert result["accuracy"]["high"] == pytest.approx(high, abs=0.008)

    def test_a_macro_f1_interval_is_the_quantiles_of_resampled_records(self) -> None:
        labels, probabilities = drawn(120, 3, seed=4)
        result = classification(labels, probabilities, CLASSES, resamples=4000)
        generator = np.random.default_rng(98)
        predicted = probabilities.argmax(axis=1)
        plain = []
        for _ in range(600):
            rows = generator.integers(0, 120, 120)
            f1 = reference.f1_score(labels[rows], predicted[rows], average="macro")
            plain.append(f1)
        low, high = np.quantile(plain, (0.025, 0.975))
        assert result["macro_f1"]["low"] == pytest.approx(low, abs=0.02)
        assert result["macro_f1"]["high"] == pytest.approx(high, abs=0.02)

    def test_a_seed_decides_the_interval(self) -> None:
        labels, probabilities = drawn(60, 3)
        first, again, other = (
            classification(labels, probabilities, CLASSES, seed=seed)["macro_f1"]
            for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_a_probability_that_is_not_finite_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not finite"):
            classification([0], [[np.nan, 0.5, 0.5]], CLASSES)

    def test_shapes_that_disagree_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"shape \(1, 3\), but labels and classes say \(2, 3"):
            classification([0, 1], one_hot([0]), CLASSES)


class TestMultiLabel:
    TRUTH = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [-1, -1, -1], [0, 0, 0]])
    LIKELY = np.array(
        [[0.9, 0.2, 0.6], [0.1, 0.4, 0.3], [0.8, 0.7, 0.1], [0.9, 0.9, 0.9], [0.3, 0.1, 0.2]],
        np.float32,
    )

    def test_counts_of_a_hand_made_case_are_exact(self) -> None:
        result = multi_label(self.TRUTH, self.LIKELY, CLASSES)
        assert result["n"] == 4
        assert result["accuracy"]["value"] == pytest.approx(3 / 4)
        assert result["micro_f1"]["value"] == pytest.approx(8 / 9)
        assert result["macro_f1"]["value"] == pytest.approx((1 + 2 / 3 + 1) / 3)
        assert result["mean_average_precision"]["value"] == pytest.approx(1)
        assert result["per_class"][1] == {
            "class": "dog",
            "precision": 1,
            "recall": 0.5,
            "f1": pytest.approx(2 / 3),
            "n": 2,
        }
        assert_json(result)

    def test_a_set_with_an_unseen_class_is_wrong_and_counted(self) -> None:
        truth = [[1, 0, 0], [1, 0, 1], [0, 0, 1], [-1, -1, -1]]  # the last column is unseen classes
        likely = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.2], [0.9, 0.9]]
        result = multi_label(truth, likely, ("cat", "dog"))
        assert (result["n"], result["unseen"]) == (3, 2)
        assert result["accuracy"]["value"] == pytest.approx(1 / 3)
        assert result["micro_f1"]["value"] == pytest.approx(2 * 2 / (2 + 4))
        assert result["macro_f1"]["value"] == 1
        assert result["majority"] == pytest.approx(1 / 3)
        assert_json(result)

    def test_where_no_class_is_unseen_the_further_column_changes_nothing(self) -> None:
        wide = np.pad(self.TRUTH, [(0, 0), (0, 1)])
        wide[(self.TRUTH < 0).all(axis=1)] = -1
        plain = multi_label(self.TRUTH, self.LIKELY, CLASSES)
        assert multi_label(wide, self.LIKELY, CLASSES) == plain

    def test_the_threshold_is_inclusive(self) -> None:
        result = multi_label([[1]], [[0.25]], ("a",), threshold=0.25)
        assert result["accuracy"]["value"] == 1

    def test_agrees_with_scikit_learn_also_where_probabilities_tie(self) -> None:
        generator = np.random.default_rng(5)
        likely = generator.integers(0, 5, (200, 4)) / 4
        truth = (generator.random((200, 4)) < likely).astype(int)
        result = multi_label(truth, likely, ("a", "b", "c", "d"))
        predicted = likely >= 0.5
        for name, average in (("micro_f1", "micro"), ("macro_f1", "macro")):
            assert result[name]["value"] == pytest.approx(
                reference.f1_score(truth, predicted, average=average)
            )
        assert result["mean_average_precision"]["value"] == pytest.approx(
            reference.average_precision_score(truth, likely, average="macro")
        )
        for name in ("accuracy", "micro_f1", "macro_f1", "mean_average_precision"):
            one = result[name]
            assert one["low"] < one["value"] < one["high"]

    def test_a_precision_interval_is_the_quantiles_of_resampled_records(self) -> None:
        generator = np.random.default_rng(6)
        likely = generator.random((80, 2))
        truth = (generator.random((80, 2)) < likely).astype(int)
        one = multi_label(truth, likely, ("a", "b"))["mean_average_precision"]
        plain = []
        for _ in range(600):
            rows = generator.integers(0, 80, 80)
            plain.append(
                reference.average_precision_score(truth[rows], likely[rows], average="macro")
            )
        low, high = np.quantile(plain, (0.025, 0.975))
        assert one["low"] == pytest.approx(low, abs=0.02)
        assert one["high"] == pytest.approx(high, abs=0.02)

    @pytest.mark.parametrize("rows", [0, 2])
    def test_without_labels_everything_is_none_and_nothing_nan(self, rows: int) -> None:
        result = multi_label(np.full((rows, 3), -1), np.ones((rows, 3)), CLASSES)
        assert result["n"] == 0
        assert result["mean_average_precision"] == {"value": None, "low": None, "high": None}
        assert_json(result)

    def test_empty_sets_everywhere_have_no_f1_but_an_accuracy(self) -> None:
        result = multi_label(np.zeros((3, 3)), np.zeros((3, 3)), CLASSES)
        assert result["accuracy"]["value"] == 1
        assert result["micro_f1"]["value"] is None
        assert result["macro_f1"]["value"] is None
        assert_json(result)


class TestDocument:
    def test_the_seven_subsets_are_named_in_the_order_of_modalities(self) -> None:
        assert document.SUBSETS == (
            "image",
            "audio",
            "text",
            "image+audio",
            "image+text",
            "audio+text",
            "image+audio+text",
        )

    def test_masks_hide_the_other_modalities_of_the_spec_alone(self) -> None:
        assert document.masks(("image", "text")) == {
            "image": {"image": True, "text": False},
            "text": {"image": False, "text": True},
            "image+text": {"image": True, "text": True},
        }
        assert list(document.masks(("audio", "text", "image"))) == list(document.SUBSETS)

    def test_subsets_are_measured_on_complete_records_alone(self) -> None:
        result = document.evaluate_task(
            SINGLE,
            CLASSES,
            [0, 1, 2, -1],
            one_hot([0, 1, 0, 0]),
            {"text": one_hot([1, 1, 2, 0]), "image": one_hot([0, 0, 1, 0])},
            [True, True, False, True],
        )
        assert result["classes"] == list(CLASSES)
        assert (result["kind"], result["multi_label"]) == ("classification", False)
        assert result["as recorded"]["n"] == 3
        assert list(result["subsets"]) == ["image", "text"]
        assert result["subsets"]["image"]["n"] == 2
        assert result["subsets"]["text"]["accuracy"]["value"] == 0.5
        assert_json(result)

    def test_a_task_is_measured_by_data_set_where_several_have_labels(self) -> None:
        def measured(labels: list[int], datasets: list[str] | None) -> dict[str, Any]:
            said = one_hot([0, 1, 0, 0])
            return document.evaluate_task(
                SINGLE, CLASSES, labels, said, {}, [True] * 4, datasets=datasets
            )

        result = measured([0, 1, 2, 0], ["a", "b", "a", "b"])
        found = {name: one["accuracy"]["value"] for name, one in result["datasets"].items()}
        assert found == {"a": 0.5, "b": 1.0}
        assert_json(result)
        for labels, datasets in [
            ([0, -1, 2, -1], ["a", "b", "a", "b"]),  # one of them has no label
            ([0, 1, 2, 0], ["a"] * 4),
            ([0, 1, 2, 0], None),
        ]:
            assert "datasets" not in measured(labels, datasets)

    def test_a_multi_label_task_is_measured_as_sets(self) -> None:
        truth = np.array([[1, 0, 0], [0, 1, 1]])
        result = document.evaluate_task(
            SETS, CLASSES, truth, truth.astype(np.float32), {}, [True, True]
        )
        assert result["as recorded"]["micro_f1"]["value"] == 1
        assert "confusion" not in result["as recorded"]

    def test_thresholds_decide_sets_of_the_network_and_not_those_of_linear_models(self) -> None:
        truth = np.array([[1, 0, 0], [0, 1, 0]])
        said = np.array([[0.3, 0.1, 0.1], [0.1, 0.6, 0.1]], np.float32)
        result = document.evaluate_task(
            SETS,
            CLASSES,
            truth,
            said,
            {"image": said},
            [True, True],
            linear={"image": said},
            thresholds=(0.25, 0.5, 0.5),
        )
        parts = result["as recorded"], result["subsets"]["image"], result["linear"]["image"]
        assert [one["accuracy"]["value"] for one in parts] == [1, 1, 0.5]
        assert [one["threshold"] for one in parts] == [[0.25, 0.5, 0.5], [0.25, 0.5, 0.5], 0.5]
        assert_json(result)

    def test_an_unknown_subset_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"unknown subsets \['video'\]"):
            document.evaluate_task(
                SINGLE, CLASSES, [0], one_hot([0]), {"video": one_hot([0])}, [True]
            )

    def test_a_document_holds_splits_and_their_tasks(self) -> None:
        assert document.document({"test": {"a": {"kind": "classification"}}}) == {
            "splits": {"test": {"tasks": {"a": {"kind": "classification"}}}}
        }
        with pytest.raises(ValueError, match=r"unknown splits \['night'\]"):
            document.document({"night": {}})

    def test_the_table_has_a_row_for_each_task_and_subset(self) -> None:
        tasks = {
            name: document.evaluate_task(
                SINGLE,
                CLASSES,
                [0, 1, 2],
                one_hot([0, 1, 1]),
                {subset: one_hot([0, 1, 1]) for subset in document.SUBSETS},
                [True, True, False],
            )
            for name in ("category", "mood")
        }
        table = document.table(document.document({"test": tasks}))
        assert table.row_count == 2 * 8
        console = Console(file=io.StringIO(), width=120)
        console.print(table)
        printed = console.file.getvalue()  # type: ignore[attr-defined]
        lines = printed.splitlines()
        first = next(line for line in lines if "category" in line)
        assert "as recorded" in first
        assert "0.667 (0.00-1.00)" in first
        assert len([line for line in lines if "image + audio + text" in line]) == 2

    def test_the_table_of_a_split_that_was_not_evaluated_is_empty(self) -> None:
        assert document.table(document.document({}), "eval").row_count == 0

    def test_figures_without_value_are_a_dash(self) -> None:
        assert document.interval_text({"value": None, "low": None, "high": None}) == "–"

    @pytest.mark.parametrize(("n", "num_classes"), itertools.product((1, 7), (1, 2, 5)))
    def test_every_small_document_is_valid_json(self, n: int, num_classes: int) -> None:
        labels, probabilities = drawn(n, num_classes)
        classes = [f"c{i}" for i in range(num_classes)]
        task = document.evaluate_task(
            SINGLE, classes, labels, probabilities, {"image": probabilities}, np.zeros(n, bool)
        )
        assert_json(document.document({"test": {"category": task}}))
