"""Generated rows for linear models."""

import numpy as np
from scipy import sparse

from triad_ml.model.linear import fit
from triad_ml.model.linear.blocks import Blocks
from triad_ml.model.training.generated import blocks as generated_blocks
from triad_ml.transforms.spec import loading

COUNTS = (40, 30, 8)
CLASSES = len(COUNTS)


def made_blocks(seed=0):
    """Records with a dense view of each class around a corner, and a sparse view of noise."""
    random = np.random.default_rng(seed)
    ids = random.permutation(np.repeat(np.arange(CLASSES), COUNTS))
    sound = (random.normal(size=(len(ids), 5)) + 4 * np.eye(5)[ids]).astype(np.float32)
    words = sparse.random(len(ids), 50, 0.1, "csr", np.float32, random)
    present = random.random(len(ids)) < 0.9
    return Blocks(
        {"audio": sound, "text": words},
        {"audio": present, "text": np.ones(len(ids), bool)},
        {"kind": ids, "other": np.ones((len(ids), 3), np.float32)},
        np.arange(1, len(ids) + 1),
    )


def test_rows_of_rare_classes_are_appended_with_one_modality_and_one_label(tmp_path):
    before = made_blocks()
    after = generated_blocks.enlarged(before, "kind", CLASSES, "noise", 0, tmp_path)
    rows = len(before.groups)
    more = len(after.groups) - rows
    assert more > 0
    assert after.labels["kind"][rows:].tolist() == [2] * more
    assert (after.labels["other"][rows:] == -1).all()
    assert after.present["audio"][rows:].all()
    assert not after.present["text"][rows:].any()
    assert after.views["text"].shape == (rows + more, 50)
    assert after.views["text"][rows:].nnz == 0
    np.testing.assert_array_equal(after.views["audio"][:rows], before.views["audio"])
    assert after.views["audio"][rows:].mean(axis=0).argmax() == 2
    assert (after.groups[rows:] == generated_blocks.GROUP).all()


def test_a_linear_model_fits_the_enlarged_rows_with_the_settings_of_the_others(tmp_path):
    before = made_blocks()
    task = loading.parse(
        "modalities: {text: }\ntasks: {kind: {kind: classification, label: kind}}"
    ).tasks["kind"]
    solver = fit.solver_of(task, CLASSES)
    scalings = {
        name: fit.scaling(before.views[name], before.present[name]) for name in before.views
    }
    first = fit.fit(before, "kind", solver, scalings)["audio"]
    after = generated_blocks.enlarged(before, "kind", CLASSES, "noise", 0, tmp_path)
    chosen = after.present["audio"]
    rows = fit.design(after, first.scalings, first.strengths)[chosen]
    weights = solver.fit(rows, after.labels["kind"][chosen], 1.0)
    found = fit.Linear(first.scalings, first.strengths, weights, solver, first.loss)
    test = made_blocks(seed=1)
    right = found.predict(test).argmax(axis=1) == test.labels["kind"]
    assert right[test.present["audio"]].mean() > 0.9
