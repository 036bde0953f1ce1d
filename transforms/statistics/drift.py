"""How far the statistics of one set of records are from those of another."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

FEWEST = 30
"""A feature with fewer values on either side is not compared."""

SHARE_THRESHOLD = 0.1
HISTOGRAM_THRESHOLD = 0.1


@dataclasses.dataclass(frozen=True)
class Drift:
    """One feature that is not what it was.

    Attributes:
        feature: As in the statistics, such as `audio.above_4khz`.
        measure: `l_infinity`, the largest difference between shares of a value, or
            `jensen_shannon`, the divergence of two histograms, in bits: 0 is equal, 1 disjoint.
        value: What was measured.
        threshold: What it is over: a fixed part, and what chance alone gives at these counts.
        detail: What changed, in a few words.
    """

    feature: str
    measure: str
    value: float
    threshold: float
    detail: str


def drift(training: Mapping[str, Any], tonight: Mapping[str, Any]) -> list[Drift]:
    """Compares two summaries of `statistics.combine`, each pooled over its splits.

    A feature that only one side has is left to the `<modality>.state` features, which both have.

    Returns:
        The features over their threshold, the furthest first.
    """
    found = []
    for kind, compare in (("categorical", _shares), ("numeric", _histograms)):
        before, after = _pooled(training, kind), _pooled(tonight, kind)
        for feature in sorted(before.keys() & after.keys()):
            result = compare(feature, before[feature], after[feature])
            if result is not None and result.value > result.threshold:
                found.append(result)
    return sorted(found, key=lambda one: (one.threshold - one.value, one.feature))


def _pooled(document: Mapping[str, Any], kind: str) -> dict[str, list[Mapping[str, Any]]]:
    features: dict[str, list[Mapping[str, Any]]] = {}
    for split in document["splits"].values():
        for feature, value in split[kind].items():
            features.setdefault(feature, []).append(value)
    return features


def _shares(
    feature: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Drift | None:
    old, new = _values(before), _values(after)
    old_total, new_total = sum(old.values()), sum(new.values())
    if min(old_total, new_total) < FEWEST:
        return None
    differences = {
        value: new.get(value, 0) / new_total - old.get(value, 0) / old_total for value in old | new
    }
    value = max(sorted(differences), key=lambda one: abs(differences[one]))
    then, now = old.get(value, 0) / old_total, new.get(value, 0) / new_total
    chance = 2 * math.sqrt(0.25 * (1 / old_total + 1 / new_total))  # two deviations at the widest
    return Drift(
        feature,
        "l_infinity",
        abs(differences[value]),
        SHARE_THRESHOLD + chance,
        f"{value}: {then:.1%} then, {now:.1%} now",
    )


def _values(parts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in parts:
        for value, count in part["counts"].items():
            counts[value] = counts.get(value, 0) + count
        if part["other"]:
            counts["(other)"] = counts.get("(other)", 0) + part["other"]
    return counts


def _histograms(
    feature: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Drift | None:
    if any(part["edges"] != before[0]["edges"] for part in (*before, *after)):
        return None  # written by versions with other bins
    old = [sum(column) for column in zip(*(part["counts"] for part in before), strict=True)]
    new = [sum(column) for column in zip(*(part["counts"] for part in after), strict=True)]
    if min(sum(old), sum(new)) < FEWEST:
        return None
    used = sum(1 for pair in zip(old, new, strict=True) if any(pair))
    # The divergence of two samples of one distribution, to first order, is a chi-square / (8 n).
    chance = (used - 1) / (8 * math.log(2)) * (1 / sum(old) + 1 / sum(new))
    detail = f"mean {_mean(before):.4g} then, {_mean(after):.4g} now ({before[0]['unit']})"
    return Drift(
        feature,
        "jensen_shannon",
        jensen_shannon(old, new),
        HISTOGRAM_THRESHOLD + 2 * chance,
        detail,
    )


def _mean(parts: Sequence[Mapping[str, Any]]) -> float:
    count = math.fsum(part["count"] for part in parts)
    return math.fsum(part["mean"] * part["count"] for part in parts) / count


def jensen_shannon(old: Sequence[int], new: Sequence[int]) -> float:
    """The Jensen-Shannon divergence of two histograms over the same bins, in bits."""
    old_total, new_total = sum(old), sum(new)
    terms = []
    for old_count, new_count in zip(old, new, strict=True):
        p, q = old_count / old_total, new_count / new_total
        middle = (p + q) / 2
        terms += [share * math.log2(share / middle) / 2 for share in (p, q) if share]
    return max(0.0, math.fsum(terms))
