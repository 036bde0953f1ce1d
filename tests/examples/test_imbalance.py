"""Paired comparison of the treatments of rare classes in the benchmark."""

import gzip
import json
import math

import pytest

from benchmarks import imbalance
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.tasks import GENERATED

NOTHING = {(split, seed): {"accuracy": 0.1 * split} for split in range(3) for seed in range(3)}


def test_differences_are_of_pairs_and_their_interval_is_of_splits():
    gains = {0: 0.01, 1: 0.02, 2: 0.03}
    method = {
        (split, seed): {"accuracy": figures["accuracy"] + gains[split] + 0.001 * (seed - 1)}
        for (split, seed), figures in NOTHING.items()
    }
    found = imbalance.compared(method, NOTHING, "accuracy")
    assert found.difference == pytest.approx(0.02)
    assert found.half == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    assert (found.better, found.pairs) == (9, 9)


def test_pairs_that_only_one_side_has_do_not_count():
    method = {(0, 0): {"accuracy": 0.5}, (9, 9): {"accuracy": 1.0}}
    found = imbalance.compared(method, NOTHING, "accuracy")
    assert (found.difference, found.better, found.pairs) == (0.5, 1, 1)
    assert math.isnan(found.half)


def test_the_methods_are_those_of_the_spec_and_begin_with_the_three_to_compare():
    assert imbalance.LINEAR == ("none", *reversed(GENERATED))
    for task, methods in imbalance.METHODS.items():
        for method in set(methods) - {*GENERATED}:
            treated = {"thresholds": "f1"} if method == "thresholds" else {"imbalance": method}
            section = {**imbalance.TASKS[task], **treated}
            spec = loading.parse(
                json.dumps({**imbalance.COMMANDS, "tasks": {task: section}}), "commands"
            )
            assert {key: getattr(spec.tasks[task], key) for key in treated} == treated


def test_commands_are_chosen_by_group_and_know_the_kinds_of_their_slots(tmp_path):
    rows = [
        {
            "id": f"c{one}",
            "group": f"g{one // 2}",
            "text": "play song by me",
            "labels": {"intent": "a", "slots": [[5, 9, "what"], [13, 15, "who"], [0, 4, "what"]]},
        }
        for one in range(8)
    ]
    with gzip.open(tmp_path / "commands.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    written = imbalance.write_commands(
        tmp_path / "commands.jsonl.gz", 1, tmp_path / "records.jsonl", limit=4
    )
    found = [json.loads(row) for row in written.read_text(encoding="utf-8").splitlines()]
    assert len(found) == 4
    assert len({row["group"] for row in found}) == 2
    for row in found:
        assert row["labels"] == {"slots": rows[0]["labels"]["slots"], "kinds": ["what", "who"]}
