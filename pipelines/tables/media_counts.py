"""How many records come with a medium, how many lose it, and how many of them may."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord, Flaw, Reason, Rejected
from triad_ml.transforms.spec.modalities import ISSUES_LIMIT
from triad_ml.transforms.spec.spec import Spec

FEWEST_LOST = 2
"""One lost medium refuses no run: a single file may be broken whatever the share."""


@dataclasses.dataclass(frozen=True)
class MediaCount:
    """Records that come with a medium of one modality.

    Attributes:
        had: Their number, of kept and of rejected records.
        flaws: How many of them lose it, by `Flaw`.
    """

    had: int = 0
    flaws: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Media that are not used."""
        return sum(self.flaws.values())

    @property
    def share(self) -> float:
        """The share of media that are not used; 0 where there are none."""
        return self.lost / self.had if self.had else 0.0

    @property
    def commonest(self) -> Flaw:
        """The flaw that costs most media; of equals the first in the order of `Flaw`."""
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
        """Both together."""
        return MediaCount(self.had + other.had, dict(Counter(self.flaws) + Counter(other.flaws)))


Media = Mapping[str, MediaCount]
"""By modality, in the order of `MODALITIES`."""


def counted(
    names: Iterable[str], used: Mapping[str, int], issues: Mapping[str, int]
) -> dict[str, MediaCount]:
    """Counts by modality.

    Args:
        names: The modalities that are looked at.
        used: Records that use their medium, by modality.
        issues: How often each `"<modality>: <flaw>"` cost a medium.
    """
    flaws: dict[str, dict[str, int]] = {name: {} for name in MODALITIES if name in set(names)}
    for issue, count in sorted(issues.items()):
        modality, _, flaw = issue.partition(": ")
        if modality in flaws and count:
            flaws[modality][flaw] = count
    return {
        name: MediaCount(used.get(name, 0) + sum(found.values()), found)
        for name, found in flaws.items()
    }


def added(one: Media, other: Media) -> dict[str, MediaCount]:
    """Both together."""
    names = [name for name in MODALITIES if name in one or name in other]
    none = MediaCount()
    return {name: one.get(name, none).plus(other.get(name, none)) for name in names}


def to_json(media: Media) -> dict[str, dict[str, Any]]:
    """As it stands in manifests."""
    return {name: {"had": count.had, "flaws": dict(count.flaws)} for name, count in media.items()}


def from_json(said: Mapping[str, Mapping[str, Any]]) -> dict[str, MediaCount]:
    """From a manifest."""
    return {name: MediaCount(count["had"], count["flaws"]) for name, count in said.items()}


def flaws_of(details: Iterable[str]) -> Counter[str]:
    """The issues in the details of records that are rejected as unreadable."""
    return Counter(issue for detail in details for issue in detail.split("; ") if issue)


def of_outcomes(
    names: Iterable[str], outcomes: Iterable[CanonicalRecord | Rejected]
) -> dict[str, MediaCount]:
    """Counts the media of records that were made canonical, rejected ones among them."""
    used: Counter[str] = Counter()
    issues: Counter[str] = Counter()
    for one in outcomes:
        if isinstance(one, CanonicalRecord):
            used.update(one.present)
            issues.update(one.issues)
        elif one.reason == Reason.UNREADABLE:
            issues.update(flaws_of([one.detail]))
    return counted(names, used, issues)


@dataclasses.dataclass(frozen=True)
class IssuesLimits:
    """The largest share of media that may be lost.

    Attributes:
        default: Of each modality that has no limit of its own.
        own: By modality, where it has one.
    """

    default: float = ISSUES_LIMIT
    own: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, what: Spec, given: float | None) -> Self:
        """What is given on the command line wins over the spec's limits.

        Args:
            what: Whose modalities may have limits of their own.
            given: `--issues-limit`, where it was given.
        """
        if given is not None:
            return cls(given)
        limits = {
            name: getattr(what.modalities, name).issues_limit for name in what.modalities.names
        }
        return cls(own={name: limit for name, limit in limits.items() if limit is not None})

    def of_modality(self, name: str) -> float:
        """The limit of one modality."""
        return self.own.get(name, self.default)

    def over(self, media: Media) -> list[str]:
        """The modalities that lose more than they may, the one that loses most first.

        A modality that loses less than `FEWEST_LOST` media is never among them.
        """
        found = [
            name
            for name, count in media.items()
            if count.lost >= FEWEST_LOST and count.share > self.of_modality(name)
        ]
        return sorted(found, key=lambda name: -media[name].share)

    def refusal(self, media: Media) -> str | None:
        """What is over a limit, why most often, and what to do, in one line; None if nothing is."""
        found = self.over(media)
        if not found:
            return None
        said = ", ".join(self.said(name, media[name]) for name in found)
        does = ", and ".join(_remedies(media[name] for name in found))
        return f"{said}; nothing is published: {does}, or raise --issues-limit"

    def said(self, name: str, count: MediaCount) -> str:
        """What a modality loses, why most often, and what it may lose."""
        most = count.commonest
        return (
            f"{name}: {count.lost} of {count.had} media are not used ({count.share:.1%}; most "
            f"often: {most}, {count.flaws[most]}), over the limit of {self.of_modality(name):.1%}"
        )


def _remedies(counts: Iterable[MediaCount]) -> Sequence[str]:
    return list(dict.fromkeys(remedies.OF_FLAW[count.commonest] for count in counts))
