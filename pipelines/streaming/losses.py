"""Losses of a stream: rejected records by reason, unused media by modality and flaw."""

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
"""Number of last batches over which media losses are summed."""

_REASON, _USED, _ISSUE = "rejected/", "used/", "issue/"


@dataclasses.dataclass(frozen=True)
class Losses:
    """Counts of rejected records and unused media, in a batch or a stream.

    Attributes:
        reasons: Number of rejected records by `Reason`.
        used: Number of records whose medium is used, by modality.
        issues: Number of media that are not used, by `"<modality>: <flaw>"`.
    """

    reasons: Mapping[str, int] = dataclasses.field(default_factory=dict)
    used: Mapping[str, int] = dataclasses.field(default_factory=dict)
    issues: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, scored: Iterable[Scored], rejected: Sequence[Rejected]) -> Self:
        """Counts the outcome of a batch."""
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
        """Reads the losses from `counters` of a finished job; names may have further prefixes."""

        def named(prefix: str) -> dict[str, int]:
            split = ((name.partition(prefix), count) for name, count in counters.items())
            return {rest: count for (_, separator, rest), count in split if separator}

        return cls(named(_REASON), named(_USED), named(_ISSUE))

    def counters(self) -> dict[str, int]:
        """Returns the values of a job's counters by name."""
        parts = ((_REASON, self.reasons), (_USED, self.used), (_ISSUE, self.issues))
        return {f"{prefix}{name}": n for prefix, counts in parts for name, n in counts.items()}

    def plus(self, other: "Losses") -> "Losses":
        """Returns the sum of both losses."""
        return Losses(
            dict(Counter(self.reasons) + Counter(other.reasons)),
            dict(Counter(self.used) + Counter(other.used)),
            dict(Counter(self.issues) + Counter(other.issues)),
        )

    def media(self, names: Iterable[str]) -> dict[str, media_counts.MediaCount]:
        """Returns by modality how many records had the medium and how many lost it."""
        return media_counts.counted(names, self.used, self.issues)


def count(scored: Sequence[Scored], rejected: Sequence[Rejected]) -> Losses:
    """Counts the outcome of records in Beam's metrics of the namespace `Stream`."""
    counter = Metrics.counter
    counter("Stream", "scored").inc(len(scored))
    counter("Stream", "rejected").inc(len(rejected))
    lost = Losses.of(scored, rejected)
    for name, number in lost.counters().items():
        counter("Stream", name).inc(number)
    return lost


class Window:
    """Sliding window of batches: warns once each time a modality loses too many of its media."""

    def __init__(self, batches: int = WINDOW_BATCHES) -> None:
        self._last: collections.deque[Media] = collections.deque(maxlen=batches)
        self._over: set[str] = set()

    def add(self, media: Media, limits: IssuesLimits) -> list[str]:
        """Adds the media of one more batch.

        Returns:
            One line for each modality that exceeds its limit since this batch.
        """
        self._last.append(media)
        whole: Media = {}
        for batch in self._last:
            whole = media_counts.added(whole, batch)
        over = limits.over(whole)
        lines = [
            f"of the last {len(self._last)} batches: {limits.said(name, whole[name])}; "
            f"{remedies.OF_FLAW[whole[name].commonest]}"
            for name in over
            if name not in self._over
        ]
        self._over = set(over)
        return lines
