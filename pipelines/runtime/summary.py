"""Final summary of a command: sentences on records, media and splits, and their logging."""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import Flaw, Reason


class Sentence(NamedTuple):
    """One fact; `warns` where somebody should do something about it."""

    text: str
    warns: bool = False


class MediaLoss(Protocol):
    """Count of the media of one modality; as a text it says how many of them are used."""

    @property
    def lost(self) -> int: ...

    @property
    def commonest(self) -> Flaw: ...


def say(log: logging.Logger, sentences: Iterable[Sentence]) -> None:
    """Logs each sentence on a line of its own: warnings as such, the others for information."""
    for sentence in sentences:
        log.log(logging.WARNING if sentence.warns else logging.INFO, "%s", sentence.text)


def records(read: int, kept: int, verb: str, reasons: Mapping[str, int]) -> list[Sentence]:
    """Counts the records that were read, kept and rejected, and says for each reason what to do.

    Args:
        read: All of them.
        kept: Those that are not rejected.
        verb: What became of the kept ones, such as `scored`.
        reasons: Rejected records by `Reason`.
    """
    rejected = sum(reasons.values())
    said = f"{many(read, 'record')} read, {kept} {verb}, {rejected} rejected"
    if not read:
        said += "; the files hold none: look whether they are those that were meant"
    return [Sentence(said, warns=not read), *rejections(read, reasons)]


def rejections(read: int, reasons: Mapping[str, int]) -> list[Sentence]:
    """Counts the rejected records by reason, the commonest first, with a remedy each."""
    return [
        Sentence(f"rejected as {reason}: {count} of {read}; {_remedy(reason)}", warns=True)
        for reason, count in _ranked(reasons)
    ]


def media(counts: Mapping[str, MediaLoss]) -> list[Sentence]:
    """Counts the media of each modality and those not used, with the reason and a remedy."""
    return [
        Sentence(f"{name}: {count}; {remedies.OF_FLAW[count.commonest]}", warns=True)
        if count.lost
        else Sentence(f"{name}: {count}")
        for name, count in counts.items()
    ]


def split_remedy(groups: int | None) -> str:
    """Names the ways by which a split gets records; `groups` where they are fewer than splits."""
    if groups is not None:
        return "set split.by: id in the spec, or give records more groups or a split of their own"
    return "raise its share of split in the spec, add records, or give some a split of their own"


def where(rejected: int, place: str) -> list[Sentence]:
    """Names the place of the rejected records, if there are any."""
    return [Sentence(f"rejected records: {place}")] if rejected else []


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _remedy(name: str) -> str:
    return remedies.OF_REASON[Reason(name)]


def many(number: int, noun: str, plural: str = "s") -> str:
    """Counts a noun: `1 record`, `2 records`."""
    return f"{number} {noun}{'' if number == 1 else plural}"
