"""Temperature scaling (Guo et al., 2017): one number by which all logits of a task are divided."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST = 20
"""Smallest number of records with a label by which a temperature is fitted; fewer keep 1."""

_BOUNDS = (0.02, 50.0)
_TINY = float(np.finfo(np.float32).tiny)
_LARGEST_ODDS = 2.0**24
"""Odds of the largest float32 below 1."""


def best(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, multi_label: bool) -> float:
    """Finds the temperature with the smallest negative log-likelihood of the labels.

    The logarithm of the temperature has a standard normal prior, which counts as much as one
    record. So the temperature stays finite even if each prediction is right.

    Args:
        labels: Labels as `metrics.classification` or `metrics.multi_label` take them; records
            without a label, and of unseen classes, are left out.
        probabilities: float32 `[n, classes]`, at temperature 1.
        multi_label: True if a label is a set of classes.

    Returns:
        A number over 0 that float32 holds exactly; 1 if no label is left.
    """
    from scipy import optimize

    loss = (_Sets if multi_label else _Singles)(labels, probabilities)
    if not loss.records:
        return 1.0
    found = optimize.minimize_scalar(
        lambda log: loss(np.exp(log)) + log**2 / 2,
        bounds=np.log(_BOUNDS),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.float32(np.exp(found.x)))


class _Singles:
    """Negative log-likelihood of labels of one class, by temperature."""

    def __init__(self, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> None:
        truth, likely = np.asarray(labels), np.asarray(probabilities, np.float64)
        known = (truth >= 0) & (truth < likely.shape[1])
        self.records = int(known.sum())
        self._logits = np.log(np.maximum(likely[known], _TINY))
        self._true = self._logits[np.arange(self.records), truth[known]]

    def __call__(self, temperature: float) -> float:
        total = np.logaddexp.reduce(self._logits / temperature, axis=1)
        return float((total - self._true / temperature).sum())


class _Sets:
    """Negative log-likelihood of labels that are sets of classes, by temperature."""

    def __init__(self, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> None:
        truth, likely = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
        known = (truth >= 0).all(axis=1)
        self.records = int(known.sum())
        likely = np.maximum(likely[known], _TINY)
        logits = np.log(likely / np.maximum(1.0 - likely, 1.0 / _LARGEST_ODDS))
        # The loss of an absent class is that of a present one with the opposite logit.
        self._logits: Floats = np.where(truth[known, : likely.shape[1]] > 0, logits, -logits)

    def __call__(self, temperature: float) -> float:
        return float(np.logaddexp(0.0, -self._logits / temperature).sum())
