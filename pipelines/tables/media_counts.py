"""Counts of media and of lost media by modality, and the limits on lost media."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord, Flaw, Reason, Rejected
from triad_ml.transforms.spec.modalities import ISSUES_LIMIT
from triad_ml.transforms.spec.spec import Spec

FEWEST_LOST = 2
"""Smallest number of lost media that can refuse a run: a single file may always be broken."""


@dataclasses.dataclass(frozen=True)
class MediaCount:
    """Counts of the records with a medium of one modality.

    Attributes:
        had: Number of records with a medium, rejected ones included.
        flaws: Number of these records whose medium is not used, by `Flaw`.
    """

    had: int = 0
    flaws: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Number of media that are not used."""
        return sum(self.flaws.values())

    @property
    def share(self) -> float:
        """Share of media that are not used, in [0, 1]; 0 if there are no media."""
        return self.lost / self.had if self.had else 0.0

    @property
    def commonest(self) -> Flaw:
        """Most frequent flaw; of equally frequent ones the first in the order of `Flaw`."""
        return max(Flaw, key=lambda flaw: self.flaws.get(flaw, 0))

    def __str__(self) -> str:
        if not self.had:
            return "no record has one"
        if not self.lost:
            return f"all {self.had} used"
        ranked = sorted(self.flaws.items(), key=lambda pair: (-pair[1], pair[0]))
        flaws = ", ".join(f"{flaw} {number}" for flaw, number in ranked)
        return f"{self.lost} of {self.had} not used ({self.share:.1%}): {flaws}"

    def plus(self, other: "MediaCount") -> "MediaCount":
        """Returns the sum of both counts."""
        return MediaCount(self.had + other.had, dict(Counter(self.flaws) + Counter(other.flaws)))


Media = Mapping[str, MediaCount]
"""Counts by modality, in the order of `MODALITIES`."""


def counted(
    names: Iterable[str], used: Mapping[str, int], issues: Mapping[str, int]
) -> dict[str, MediaCount]:
    """Makes the counts by modality.

    Args:
        names: Modalities to count.
        used: Number of records that use their medium, by modality.
        issues: Number of media that are not used, by issue `"<modality>: <flaw>"`.
    """
    flaws: dict[str, dict[str, int]] = {name: {} for name in MODALITIES if name in set(names)}
    for issue, count in sorted(issues.items()):
        modality, _, flaw = issue.partition(": ")
        if modality in flaws and count:
            flaws[modality][flaw] = count
    return {
        name: MediaCount(used.get(name, 0) + sum(by_flaw.values()), by_flaw)
        for name, by_flaw in flaws.items()
    }


def added(one: Media, other: Media) -> dict[str, MediaCount]:
    """Returns the sums of both counts by modality."""
    names = [name for name in MODALITIES if name in one or name in other]
    none = MediaCount()
    return {name: one.get(name, none).plus(other.get(name, none)) for name in names}


def to_json(media: Media) -> dict[str, dict[str, Any]]:
    """Converts counts to their form in manifests."""
    return {name: {"had": count.had, "flaws": dict(count.flaws)} for name, count in media.items()}


def from_json(media: Mapping[str, Mapping[str, Any]]) -> dict[str, MediaCount]:
    """Parses the counts of a manifest."""
    return {name: MediaCount(count["had"], count["flaws"]) for name, count in media.items()}


def flaws_of(details: Iterable[str]) -> Counter[str]:
    """Counts the issues in the details of records that are rejected as unreadable."""
    return Counter(issue for detail in details for issue in detail.split("; ") if issue)


def of_outcomes(
    names: Iterable[str], outcomes: Iterable[CanonicalRecord | Rejected]
) -> dict[str, MediaCount]:
    """Counts the media of canonical records and of those rejected as unreadable."""
    used: Counter[str] = Counter()
    issues: Counter[str] = Counter()
    for outcome in outcomes:
        if isinstance(outcome, CanonicalRecord):
            used.update(outcome.present)
            issues.update(outcome.issues)
        elif outcome.reason == Reason.UNREADABLE:
            issues.update(flaws_of([outcome.detail]))
    return counted(names, used, issues)


@dataclasses.dataclass(frozen=True)
class IssuesLimits:
    """Largest shares of media that may be lost, in [0, 1].

    Attributes:
        default: Limit of modalities that are not in `own`.
        own: Limits of single modalities.
    """

    default: float = ISSUES_LIMIT
    own: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, spec: Spec, limit: float | None) -> Self:
        """Returns the limits of a spec, or the limit of `--issues-limit` for all modalities.

        Args:
            spec: Spec, whose modalities may have limits.
            limit: Value of `--issues-limit`, or None.
        """
        if limit is not None:
            return cls(limit)
        limits = {
            name: getattr(spec.modalities, name).issues_limit for name in spec.modalities.names
        }
        return cls(own={name: limit for name, limit in limits.items() if limit is not None})

    def of_modality(self, name: str) -> float:
        """Returns the limit of one modality."""
        return self.own.get(name, self.default)

    def over(self, media: Media) -> list[str]:
        """Returns the modalities over their limit, sorted by share of lost media, largest first.

        A modality with less than `FEWEST_LOST` lost media is never over its limit.
        """
        exceeding = [
            name
            for name, count in media.items()
            if count.lost >= FEWEST_LOST and count.share > self.of_modality(name)
        ]
        return sorted(exceeding, key=lambda name: -media[name].share)

    def refusal(self, media: Media) -> str | None:
        """Returns an error line on the modalities over their limit; None if none is.

        The line has the shares, the most frequent flaws and the remedies.
        """
        exceeding = self.over(media)
        if not exceeding:
            return None
        shares = ", ".join(self.said(name, media[name]) for name in exceeding)
        remedy = ", and ".join(_remedies(media[name] for name in exceeding))
        return f"{shares}; nothing is published: {remedy}, or raise --issues-limit"

    def said(self, name: str, count: MediaCount) -> str:
        """Describes a modality over its limit: its share, its most frequent flaw and the limit."""
        most = count.commonest
        return (
            f"{name}: {count.lost} of {count.had} media are not used ({count.share:.1%}; most "
            f"often: {most}, {count.flaws[most]}), over the limit of {self.of_modality(name):.1%}"
        )


def _remedies(counts: Iterable[MediaCount]) -> Sequence[str]:
    return list(dict.fromkeys(remedies.OF_FLAW[count.commonest] for count in counts))
