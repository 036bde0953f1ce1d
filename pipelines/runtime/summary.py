"""Final summary of a command: sentences on records, media and splits, and their logging."""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import Flaw, Reason


class Sentence(NamedTuple):
    """Sentence of the summary.

    Attributes:
        text: One fact.
        warns: True if the user should act on it.
    """

    text: str
    warns: bool = False


class MediaLoss(Protocol):
    """Count of the media of one modality; its text states the number of media used."""

    @property
    def lost(self) -> int: ...

    @property
    def commonest(self) -> Flaw: ...


def say(log: logging.Logger, sentences: Iterable[Sentence]) -> None:
    """Logs each sentence on one line, with level WARNING if it warns, else INFO."""
    for sentence in sentences:
        log.log(logging.WARNING if sentence.warns else logging.INFO, "%s", sentence.text)


def records(read: int, kept: int, verb: str, reasons: Mapping[str, int]) -> list[Sentence]:
    """Returns sentences on the records read, kept and rejected, with a remedy for each reason.

    Args:
        read: Number of all records.
        kept: Number of records that are not rejected.
        verb: Participle for the kept records, such as `scored`.
        reasons: Numbers of rejected records by `Reason`.
    """
    rejected = sum(reasons.values())
    text = f"{many(read, 'record')} read, {kept} {verb}, {rejected} rejected"
    if not read:
        text += "; the files hold none: look whether they are those that were meant"
    return [Sentence(text, warns=not read), *rejections(read, reasons)]


def rejections(read: int, reasons: Mapping[str, int]) -> list[Sentence]:
    """Returns a sentence for each reason of rejection, the commonest first, with a remedy."""
    return [
        Sentence(f"rejected as {reason}: {count} of {read}; {_remedy(reason)}", warns=True)
        for reason, count in _ranked(reasons)
    ]


def media(counts: Mapping[str, MediaLoss]) -> list[Sentence]:
    """Returns a sentence for each modality on its media, with a remedy if some are not used."""
    return [
        Sentence(f"{name}: {count}; {remedies.OF_FLAW[count.commonest]}", warns=True)
        if count.lost
        else Sentence(f"{name}: {count}")
        for name, count in counts.items()
    ]


def split_remedy(groups: int | None) -> str:
    """Returns the remedy for a split without records.

    Args:
        groups: Number of groups if there are fewer groups than splits, else None.
    """
    if groups is not None:
        return "set split.by: id in the spec, or give records more groups or a split of their own"
    return "raise its share of split in the spec, add records, or give some a split of their own"


def where(rejected: int, place: str) -> list[Sentence]:
    """Returns a sentence that names the file of rejected records, if there are any."""
    return [Sentence(f"rejected records: {place}")] if rejected else []


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _remedy(name: str) -> str:
    return remedies.OF_REASON[Reason(name)]


def many(number: int, noun: str, plural: str = "s") -> str:
    """Formats a number with its noun: `1 record`, `2 records`."""
    return f"{number} {noun}{'' if number == 1 else plural}"
