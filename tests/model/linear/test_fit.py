"""Linear models against scikit-learn on plain matrices."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge

from triad_ml.model.linear import fit
from triad_ml.model.linear.blocks import Blocks
from triad_ml.transforms.spec import loading

ROWS = 120
TASKS = loading.parse("""
modalities: {audio: {}, text: {}}
tasks:
  kind: {kind: classification, label: kind}
  marks: {kind: classification, label: marks, multi_label: true}
  price: {kind: regression, label: price}
  names: {kind: tagging, label: names}
""").tasks


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    """Records whose class shows in both modalities, each of which some records lack."""
    random = np.random.default_rng(3)
    kind = np.arange(ROWS) % 3
    audio = random.normal(size=(ROWS, 7)).astype(np.float32)
    audio[:, 0] += kind
    words = np.where(random.random(ROWS) < 0.9, kind, random.integers(0, 3, ROWS))
    text = sparse.random(ROWS, 50, 0.1, random_state=3, format="lil", dtype=np.float32)
    text[np.arange(ROWS), words] = 2.0
    text = sparse.csr_matrix(np.ceil(text.toarray()))
    present = {"audio": np.arange(ROWS) % 5 > 0, "text": np.arange(ROWS) % 7 > 0}
    text = sparse.diags(present["text"].astype(np.float32)) @ text
    marks = np.stack([kind == 0, kind > 0, np.zeros(ROWS)], axis=1).astype(np.float32)
    price = np.stack([np.ones(ROWS), 5.0 * kind + audio[:, 1]], axis=1).astype(np.float32)
    return Blocks(
        {"audio": audio, "text": sparse.csr_matrix(text)},
        present,
        {"kind": kind, "marks": marks, "price": price},
        np.arange(ROWS, dtype=np.int64) // 4,
    )


def scalings(blocks: Blocks) -> dict[str, fit.Scaling]:
    return {name: fit.scaling(blocks.views[name], blocks.present[name]) for name in blocks.views}


def solver(task: str, classes: int) -> fit.Solver:
    return fit.SOLVERS[TASKS[task].kind](TASKS[task], classes)


def dense(matrix: fit.Matrix) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def test_ngrams_are_weighted_as_by_scikit_learn(blocks):
    own = scalings(blocks)["text"]
    found = dense(own.scaled(blocks.views["text"], blocks.present["text"]))
    plain = TfidfTransformer(sublinear_tf=True).fit(blocks.views["text"][blocks.present["text"]])
    expected = plain.transform(blocks.views["text"]).toarray()
    seen = blocks.views["text"][blocks.present["text"]].toarray().any(axis=0)
    np.testing.assert_allclose(found[:, seen], expected[:, seen], atol=1e-12)
    assert (found[:, ~seen] == 0).all()


def test_dense_views_are_z_scored_over_records_that_have_them(blocks):
    found = dense(scalings(blocks)["audio"].scaled(blocks.views["audio"], blocks.present["audio"]))
    rows = found[blocks.present["audio"]] * np.sqrt(7)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(rows.std(axis=0), 1.0, rtol=1e-6)
    assert (found[~blocks.present["audio"]] == 0).all()


@pytest.mark.parametrize("few", [fit.FEW, 0])
def test_models_are_those_of_plain_logistic_regression(blocks, monkeypatch, few):
    monkeypatch.setattr(fit, "FEW", few)
    own = scalings(blocks)
    found = fit.fit(blocks, "kind", solver("kind", 3), own)
    assert list(found) == ["audio", "text", "audio+text"]
    for linear in found.values():
        rows = dense(fit.design(blocks, linear.scalings, linear.strengths))
        seen = np.any([blocks.present[name] for name in linear.scalings], axis=0)
        plain = LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000, tol=1e-8)
        plain.fit(rows[seen], blocks.labels["kind"][seen])
        expected = plain.predict_proba(rows[seen])
        np.testing.assert_allclose(linear.predict(blocks)[seen], expected, atol=0.02)
    right = {
        name: (one.predict(blocks).argmax(axis=1) == blocks.labels["kind"]).mean()
        for name, one in found.items()
    }
    assert right["audio+text"] > max(right["audio"], right["text"])


def test_sets_are_one_regression_a_class_and_constant_classes_are_kept(blocks):
    linear = fit.fit(blocks, "marks", solver("marks", 3), scalings(blocks))["audio+text"]
    predicted = linear.predict(blocks)
    rows = dense(fit.design(blocks, linear.scalings, linear.strengths))
    seen = blocks.present["audio"] | blocks.present["text"]
    plain = LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000, tol=1e-8)
    plain.fit(rows[seen], blocks.labels["marks"][seen, 0])
    np.testing.assert_allclose(predicted[:, 0], plain.predict_proba(rows)[:, 1], atol=0.02)
    assert (predicted[:, 2] < 1e-6).all()


def test_numbers_are_a_ridge_regression(blocks):
    linear = fit.fit(blocks, "price", solver("price", 0), scalings(blocks))["audio+text"]
    rows = dense(fit.design(blocks, linear.scalings, linear.strengths))
    seen = blocks.present["audio"] | blocks.present["text"]
    plain = Ridge(alpha=1.0).fit(rows[seen], blocks.labels["price"][seen, 1])
    np.testing.assert_allclose(linear.predict(blocks), plain.predict(rows), atol=0.02)


def test_strength_is_chosen_on_folds_that_share_no_group(blocks):
    for train, test in fit._folds(blocks.groups):
        assert not set(blocks.groups[train]) & set(blocks.groups[test])
    one_hot = np.eye(ROWS // 4, dtype=np.float32).repeat(4, axis=0)
    kind = np.random.default_rng(1).integers(0, 2, ROWS // 4).repeat(4)
    present = {"audio": np.ones(ROWS, bool)}
    memorizing = Blocks({"audio": one_hot}, present, {"kind": kind}, blocks.groups)
    model = fit.fit(memorizing, "kind", solver("kind", 2), scalings(memorizing))["audio"]
    # A group's own column says its class, and nothing about other groups: no weight helps.
    assert model.strengths["audio"] == min(fit.STRENGTHS)


def test_a_modality_without_labelled_records_is_left_out(blocks):
    none = {**blocks.present, "text": np.zeros(ROWS, bool)}
    without = Blocks(blocks.views, none, blocks.labels, blocks.groups)
    assert list(fit.fit(without, "kind", solver("kind", 3), scalings(without))) == ["audio"]


def test_one_class_and_one_group_are_no_obstacle(blocks):
    same = {"kind": np.ones(ROWS, np.int64)}
    alone = Blocks(blocks.views, blocks.present, same, np.zeros(ROWS, np.int64))
    linear = fit.fit(alone, "kind", solver("kind", 3), scalings(alone))["audio"]
    np.testing.assert_allclose(linear.predict(alone)[:, 1], 1.0)


def test_kinds_without_linear_models_have_no_solver():
    assert {task.kind for task in TASKS.values()} - set(fit.SOLVERS) == {"tagging"}
