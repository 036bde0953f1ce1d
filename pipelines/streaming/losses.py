"""What a stream does not score or use: records by reason, media by modality and flaw."""

import collections
import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from apache_beam.metrics import Metrics

from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.media_counts import IssuesLimits, Media
from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import Reason, Rejected, Scored

WINDOW_BATCHES = 20
"""So many last batches are looked at together."""

_REASON, _USED, _ISSUE = "rejected/", "used/", "issue/"


@dataclasses.dataclass(frozen=True)
class Losses:
    """Of a batch or of a stream.

    Attributes:
        reasons: Rejected records by `Reason`.
        used: Records that use their medium, by modality.
        issues: Media that are not used, as `"<modality>: <flaw>"`.
    """

    reasons: Mapping[str, int] = dataclasses.field(default_factory=dict)
    used: Mapping[str, int] = dataclasses.field(default_factory=dict)
    issues: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, scored: Iterable[Scored], rejected: Sequence[Rejected]) -> Self:
        """Counts what a batch gave."""
        used: Counter[str] = Counter()
        issues: Counter[str] = Counter()
        for row in scored:
            used.update(row.modalities_used)
            issues.update(row.issues)
        unreadable = (row.detail for row in rejected if row.reason == Reason.UNREADABLE)
        issues.update(media_counts.flaws_of(unreadable))
        return cls(Counter(str(row.reason) for row in rejected), used, issues)

    @classmethod
    def of_counters(cls, counters: Mapping[str, int]) -> Self:
        """What `counters` of a finished job say; each name may stand behind other words."""

        def named(prefix: str) -> dict[str, int]:
            found = ((name.partition(prefix), count) for name, count in counters.items())
            return {rest: count for (_, separator, rest), count in found if separator}

        return cls(named(_REASON), named(_USED), named(_ISSUE))

    def counters(self) -> dict[str, int]:
        """By name, what a job counts."""
        parts = ((_REASON, self.reasons), (_USED, self.used), (_ISSUE, self.issues))
        return {f"{prefix}{name}": n for prefix, found in parts for name, n in found.items()}

    def plus(self, other: "Losses") -> "Losses":
        """Both together."""
        return Losses(
            dict(Counter(self.reasons) + Counter(other.reasons)),
            dict(Counter(self.used) + Counter(other.used)),
            dict(Counter(self.issues) + Counter(other.issues)),
        )

    def media(self, names: Iterable[str]) -> dict[str, media_counts.MediaCount]:
        """By modality, the records that came with a medium and those that lost it."""
        return media_counts.counted(names, self.used, self.issues)


def count(scored: Sequence[Scored], rejected: Sequence[Rejected]) -> Losses:
    """Counts what became of records, in Beam's metrics of the namespace `Stream`."""
    counter = Metrics.counter
    counter("Stream", "scored").inc(len(scored))
    counter("Stream", "rejected").inc(len(rejected))
    lost = Losses.of(scored, rejected)
    for name, number in lost.counters().items():
        counter("Stream", name).inc(number)
    return lost


class Window:
    """Tells once when a modality loses too many of its media, until it does no more."""

    def __init__(self, batches: int = WINDOW_BATCHES) -> None:
        self._last: collections.deque[Media] = collections.deque(maxlen=batches)
        self._over: set[str] = set()

    def add(self, media: Media, limits: IssuesLimits) -> list[str]:
        """Takes the media of one more batch.

        Returns:
            A line for each modality that is over its limit since this batch.
        """
        self._last.append(media)
        whole: Media = {}
        for one in self._last:
            whole = media_counts.added(whole, one)
        over = limits.over(whole)
        told = [
            f"of the last {len(self._last)} batches: {limits.said(name, whole[name])}; "
            f"{remedies.OF_FLAW[whole[name].commonest]}"
            for name in over
            if name not in self._over
        ]
        self._over = set(over)
        return told
