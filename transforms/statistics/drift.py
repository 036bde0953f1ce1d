"""Distances between two statistics, and the drift that exceeds chance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from triad_ml.transforms.spec.drift import Drift
from triad_ml.transforms.statistics.document import Histogram, Part, Shares
from triad_ml.transforms.statistics.measures import DRAWN

JENSEN_SHANNON, L_INFINITY = "Jensen-Shannon", "L-infinity"

ALPHA = 1e-3
"""Probability with which a distance exceeds that of chance although nothing drifts."""

EXPECTED = 20
"""Smallest number of records of a class to be expected for the class to count as vanished."""

_FREQUENT = 5
"""Smallest number of records with a word that was drawn from their texts for it to be compared."""
_SPARSE = 10
_SPARSE_WEIGHT = 0.4
_OTHERS = "(others)"

_Counts = npt.NDArray[np.float64]


class Distance(NamedTuple):
    """Distance of one feature.

    Attributes:
        feature: Name of the feature; `prediction.TASK` compares predicted classes with labels.
        measure: `JENSEN_SHANNON` of histograms or `L_INFINITY` of shares.
        distance: Distance, in [0, 1].
        beyond: Part of it that exceeds chance, at the sizes of both samples.
        value: Value whose share differs most beyond chance; "" for histograms.
        shares: Shares of this value in both; means of both for histograms.
        vanished: True if a class that had to be expected is missing altogether.
    """

    feature: str
    measure: str
    distance: float
    beyond: float
    value: str
    shares: tuple[float, float]
    vanished: bool = False


class Finding(NamedTuple):
    """A feature whose drift exceeds its limit."""

    found: Distance
    limit: float

    def __str__(self) -> str:
        one, (before, now) = self.found, self.found.shares
        if one.vanished:
            return f"{one.feature}: no record has {one.value!r} any more, before {before:.1%}"
        said = f"mean {before:.4g}, now {now:.4g}"
        if one.measure == L_INFINITY:
            said = f"share of {one.value!r} {before:.1%}, now {now:.1%}"
        return (
            f"{one.feature}: {said} ({one.measure} {one.distance:.3f}, beyond chance "
            f"{one.beyond:.3f}, limit {self.limit:g})"
        )


def findings(distances: Sequence[Distance], limits: Drift) -> list[Finding]:
    """Returns the features that drift beyond their limits, the largest drift first."""
    beyond = (Finding(one, limits.of_feature(one.feature)) for one in distances)
    drifted = [one for one in beyond if one.found.vanished or one.found.beyond > one.limit]
    return sorted(drifted, key=lambda one: (-one.found.beyond, one.found.feature))


def distances(before: Part, now: Part) -> list[Distance]:
    """Measures the distance of each feature that both statistics have, by name.

    If only the labels of a task are known in `before`, and its scores in `now`, they are compared
    as `prediction.TASK`.

    Args:
        before: Statistics to compare with, such as those of the training split.
        now: Statistics of the records that may have drifted.
    """
    found = [
        of_histograms(feature, histogram, now.numeric[feature])
        for feature, histogram in before.numeric.items()
        if feature in now.numeric
    ]
    found += [
        of_shares(feature, shares, now.categorical[feature])
        for feature, shares in before.categorical.items()
        if feature in now.categorical and shares.total and now.categorical[feature].total
    ]
    found += _predictions(before.categorical, now.categorical)
    return sorted(found, key=lambda one: one.feature)


def of_histograms(feature: str, before: Histogram, now: Histogram) -> Distance:
    """Measures the Jensen-Shannon divergence of two histograms with the same edges."""
    left, right = (np.array(one.counts, np.float64) for one in (before, now))
    distance = jensen_shannon(left, right)
    beyond = max(0.0, distance - chance_of_histograms(left, right))
    return Distance(feature, JENSEN_SHANNON, distance, beyond, "", (before.mean, now.mean))


def of_shares(feature: str, before: Shares, now: Shares) -> Distance:
    """Measures the largest difference between the shares of any value in both.

    Of words that were drawn from texts only those that are frequent before are compared, and all
    others as one, because the share of rare words depends on the size of the sample.
    """
    if feature in DRAWN:
        values = [value for value, count in before.counts.items() if count >= _FREQUENT]
    else:
        values = sorted({**before.counts, **now.counts})
    left, right = (_aligned(one, values) for one in (before, now))
    p, q = left / left.sum(), right / right.sum()
    differences = np.abs(p - q)
    beyond = differences - chance_of_shares(left, right)
    worst = int(beyond.argmax())
    names = [*values, _OTHERS]
    is_class = feature.partition(".")[0] in ("label", "score") and feature.count(".") == 1
    gone = _vanished(left, right)[:-1] if is_class else np.zeros(0, bool)
    vanished = bool(gone.any())
    if vanished:
        worst = int(np.where(gone, p[:-1], 0).argmax())
    shares = (float(p[worst]), float(q[worst]))
    distance = float(differences.max())
    return Distance(
        feature, L_INFINITY, distance, max(0.0, float(beyond.max())), names[worst], shares, vanished
    )


def jensen_shannon(left: _Counts, right: _Counts) -> float:
    """Returns the Jensen-Shannon divergence of two histograms, to base 2, in [0, 1].

    It is the mean of the Kullback-Leibler divergences of both from their mean (Lin, 1991), as
    TensorFlow Data Validation computes it.
    """
    p, q = left / left.sum(), right / right.sum()
    mean = (p + q) / 2
    divergence = (special.rel_entr(p, mean) + special.rel_entr(q, mean)).sum() / 2
    return min(1.0, max(0.0, float(divergence) / math.log(2)))


def chance_of_histograms(left: _Counts, right: _Counts) -> float:
    """Returns the divergence that only the share `ALPHA` of pairs of equal sources exceeds.

    With n and m values and k filled bins, 8 ln 2 times the divergence, over 1/n + 1/m, is about a
    chi-squared variable with k - 1 degrees of freedom. Bins with few values diverge more than that
    by up to 40 %, so each counts as 0.4 degrees more.
    """
    both = left + right
    filled, sparse = np.count_nonzero(both), np.count_nonzero((both > 0) & (both < _SPARSE))
    freedom = filled - 1 + _SPARSE_WEIGHT * sparse
    if filled < 2:
        return 0.0
    size = 1 / left.sum() + 1 / right.sum()
    return float(special.chdtri(freedom, ALPHA) * size / (8 * math.log(2)))


def chance_of_shares(left: _Counts, right: _Counts) -> _Counts:
    """Returns, by value, the difference that chance seldom exceeds: for any value with `ALPHA`.

    That is a quantile of the normal distribution, for all values together (Bonferroni), and the
    term of Bernstein's inequality for values with few records.
    """
    n, m = left.sum(), right.sum()
    share = (left + right) / (n + m)
    z = -float(special.ndtri(ALPHA / (2 * len(left))))
    rare = z * z / 3 * max(1 / n, 1 / m)
    deviations: _Counts = z * np.sqrt(share * (1 - share) * (1 / n + 1 / m)) + rare
    return deviations


def _vanished(left: _Counts, right: _Counts) -> npt.NDArray[np.bool_]:
    """Returns, by value, True if no record has it now, and many had to be expected."""
    expected = left / left.sum() * right.sum()
    gone: npt.NDArray[np.bool_] = (right == 0) & (left >= EXPECTED) & (expected >= EXPECTED)
    return gone


def _aligned(shares: Shares, values: Sequence[str]) -> _Counts:
    counts = [shares.counts.get(value, 0) for value in values]
    return np.array([*counts, shares.total - sum(counts)], np.float64)


def _predictions(before: Mapping[str, Shares], now: Mapping[str, Shares]) -> Iterator[Distance]:
    for feature, shares in now.items():
        kind, _, task = feature.partition(".")
        labels = before.get(f"label.{task}")
        if kind == "score" and feature not in before and labels and labels.total and shares.total:
            yield of_shares(f"prediction.{task}", labels, shares)
