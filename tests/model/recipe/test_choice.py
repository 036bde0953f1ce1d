"""Choice of a recipe by planted predictions."""

import numpy as np
import pytest

from triad_ml.model.linear import fit
from triad_ml.model.recipe import choice
from triad_ml.model.recipe.choice import Evidence
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

SPEC: Spec = loading.parse("""
modalities: {text: {}}
tasks:
  kind: {kind: classification, label: kind}
  marks: {kind: classification, label: marks, multi_label: true}
  price: {kind: regression, label: price}
""")
ROWS = 300
RANDOM = np.random.default_rng(7)
LABELS = RANDOM.integers(0, 3, ROWS)


def said(right: np.ndarray, sure: float = 0.9) -> np.ndarray:
    """Probabilities of a model that is sure of the label where it is right, else of another."""
    chosen = np.where(right, LABELS, (LABELS + 1) % 3)
    probabilities = np.full((ROWS, 3), (1 - sure) / 2, np.float32)
    probabilities[np.arange(ROWS), chosen] = sure
    return probabilities


def chosen(network, linear, names=("network", "linear", "blend"), labels=LABELS):
    task = SPEC.tasks["kind"]
    solver = fit.solver_of(task, 3)
    assert solver is not None
    counted = solver.labelled(labels)
    evidence = Evidence("planted records", labels, counted, network, linear)
    return choice.chosen(task, ["a", "b", "c"], solver, evidence, names)


GOOD, BAD = RANDOM.random(ROWS) < 0.95, RANDOM.random(ROWS) < 0.4
FIRST = np.arange(ROWS) % 2 == 0


@pytest.mark.parametrize(
    ("network", "linear", "name", "shares"),
    [
        (said(GOOD), said(BAD), "network", {0.0}),
        (said(BAD), said(GOOD), "linear", {1.0}),
        # Each knows one half, and is unsure of the other.
        (
            np.where(FIRST[:, np.newaxis], said(GOOD), np.float32(1 / 3)),
            np.where(FIRST[:, np.newaxis], np.float32(1 / 3), said(GOOD)),
            "blend",
            set(choice.SHARES),
        ),
    ],
)
def test_the_lowest_loss_wins(network, linear, name, shares):
    recipe = chosen(network, linear)
    assert recipe.name == name
    assert recipe.share in shares
    assert recipe.losses[name] == min(recipe.losses.values())
    assert (recipe.measured, recipe.records, recipe.figure) == ("planted records", ROWS, "accuracy")
    right = (network.argmax(axis=1) == LABELS).mean()
    assert recipe.figures["network"] == pytest.approx(right)


def test_classes_that_a_fold_has_not_seen_do_not_count():
    solver = fit.solver_of(SPEC.tasks["kind"], 3)
    learned = solver.learned(np.array([0, 1, 2, -1, 3]), np.array([0, 0, 2, -1, 3]))
    assert learned.tolist() == [True, False, True, False, False]


def test_a_blend_that_the_spec_names_has_the_best_share():
    recipe = chosen(said(GOOD), said(BAD), ["blend"])
    assert (recipe.name, recipe.share) == ("blend", min(choice.SHARES))


def test_records_without_a_known_label_do_not_count():
    labels = LABELS.copy()
    labels[:100] = -1
    labels[100:150] = 3  # a class that training has not seen
    assert chosen(said(GOOD), said(BAD), labels=labels).records == 150
    nothing = np.full(ROWS, -1)
    assert chosen(said(GOOD), said(BAD), labels=nothing) == choice.ALONE["blend"]


@pytest.mark.parametrize("task", ["marks", "price"])
def test_sets_and_numbers_are_compared_too(task):
    solver = fit.solver_of(SPEC.tasks[task], 3)
    labels = {
        "marks": np.stack([np.eye(4)[one] for one in LABELS]),
        "price": np.stack([np.ones(ROWS), LABELS], axis=1),
    }[task]
    right = {"marks": said(GOOD), "price": LABELS + np.float32(0.1)}[task]
    wrong = {"marks": said(BAD), "price": LABELS + np.float32(1)}[task]
    evidence = Evidence("planted records", labels, solver.labelled(labels), wrong, right)
    recipe = choice.chosen(SPEC.tasks[task], ["a", "b", "c"], solver, evidence)
    assert recipe.name == "linear"
    assert set(recipe.figures) == {"network", "linear", "blend"}
