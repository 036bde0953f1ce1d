"""Final summary of a preprocessing: records, media, labels and splits, with remedies."""

import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from triad_ml.pipelines.preprocessing.dataset import REJECTED
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.runtime.summary import Sentence, many
from triad_ml.pipelines.tables import media_counts
from triad_ml.transforms.duplicates import document as duplicates_document
from triad_ml.transforms.records.values import SPLITS, CanonicalRecord, Rejected

FEW_RECORDS = 10
"""Smallest number of records of a split without a warning."""

SHOWN = 5
"""Largest number of class names in a sentence; the others are counted."""

_WITHOUT = {
    "train": "a model learns little from it",
    "eval": "nothing tells when to stop training",
    "test": "nothing measures the model",
}
_TOGETHER = (
    "set split: {keep_together: near_duplicates} in the spec, and give both the same split where "
    "they name theirs"
)
_OWN = "they name their splits: give both the same one"
_FEW = {
    "train": "too few to learn much from",
    "eval": "too few to tell when to stop training",
    "test": "too few to measure the model",
}


def sentences(manifest: Mapping[str, Any], output: str) -> list[Sentence]:
    """Describes a preprocessing by its manifest.

    Entries that manifests of earlier versions lack are left out.
    """
    counts = manifest["counts"]
    split = manifest["spec"]["split"]
    kept = sum(counts[name] for name in SPLITS)
    verb = f"kept ({', '.join(f'{name} {counts[name]}' for name in SPLITS)})"
    return [
        *summary.records(counts["read"], kept, verb, manifest["rejected"]),
        *summary.where(counts["rejected"], os.path.join(output, REJECTED)),
        *summary.media(media_counts.from_json(manifest.get("media", {}))),
        *copies(manifest.get("copies", {})),
        *labels(manifest.get("labels", {})),
        *alignment(manifest.get("alignment", {})),
        *splits(counts, split, manifest.get("few_groups")),
        *duplicates(
            manifest.get("duplicates", {}),
            os.path.join(output, duplicates_document.NAME),
            bool(split.get("keep_together")),
        ),
        Sentence(f"next: triad train --data {shlex.quote(output)} --output MODEL"),
    ]


def copies(changes: Mapping[str, int]) -> list[Sentence]:
    """Describes the copies of training records, by the change of their audio."""
    if not changes:
        return []
    each = ", ".join(f"{name} {number}" for name, number in changes.items())
    total = sum(changes.values())
    text = f"train: also {many(total, 'record')} with changed audio ({each}), copies of others"
    return [Sentence(text, warns=not total)]


def labels(tasks: Mapping[str, Mapping[str, Any]]) -> list[Sentence]:
    """Describes the labels of each task, and warns about those that train or measure nothing.

    Args:
        tasks: Counts of labels by task, from `preprocessing.summary.labels`.
    """
    lines = []
    for task, entry in tasks.items():
        split = ", ".join(f"{name} {entry['records'][name]}" for name in SPLITS)
        number = sum(entry["records"].values())
        classes = "" if entry["classes"] is None else f", {many(entry['classes'], 'class', 'es')}"
        name = entry["label"]
        text = f"{task}: {many(number, 'record')} with the label {name!r} ({split}){classes}"
        lines.append(Sentence(text))
        lines += [
            Sentence(f"{task}: {many(count, 'label')} cannot be used: {flaw}", warns=True)
            for flaw, count in entry["unusable"].items()
        ]
        lines += [
            Sentence(
                f"{task}: {' and '.join(map(repr, same))} are {len(same)} classes, and one value "
                "written in several ways (pandas writes whole numbers of a column with gaps as "
                "1.0); write it alike",
                warns=True,
            )
            for same in entry.get("alike", ())
        ]
        for name, unseen in entry["unseen"].items():
            whose = "its" if unseen["classes"] == 1 else "their"
            lines.append(
                Sentence(
                    f"{task}: {many(unseen['classes'], 'class', 'es')} in {name} that training "
                    f"never sees ({_some(unseen['names'], unseen['classes'])}): {whose} "
                    f"{many(unseen['records'], 'label')} cannot be predicted; add such records to "
                    "train, or change the spec's split",
                    warns=True,
                )
            )
    return lines


def splits(
    counts: Mapping[str, int], shares: Mapping[str, Any], groups: int | None
) -> list[Sentence]:
    """Warns about splits with too few records to learn from or to measure with.

    Args:
        counts: Number of records by split.
        shares: Section `split` of the spec.
        groups: Number of groups if it is below that of the splits, else None.
    """
    lines = []
    for name in SPLITS:
        if counts[name] >= FEW_RECORDS or (not counts[name] and not shares[name]):
            continue
        number = many(counts[name], "record") if counts[name] else "no record"
        why = f" (all records are in {many(groups, 'group')})" if groups is not None else ""
        lines.append(
            Sentence(
                f"the {name} split has {number}{why}: "
                f"{_FEW[name] if counts[name] else _WITHOUT[name]}; {summary.split_remedy(groups)}",
                warns=True,
            )
        )
    return lines


def duplicates(
    found: Mapping[str, Mapping[str, Any]], place: str, kept_together: bool
) -> list[Sentence]:
    """Describes near-duplicates, and warns about those in different splits.

    Args:
        found: Numbers of near-duplicates by modality, from `preprocessing.summary.duplicates`.
        place: Path of the file that names them.
        kept_together: True if the spec keeps near-duplicates together, so that records with a split
            of their own alone can leak.
    """
    compared = {name: one for name, one in found.items() if one["compared"]}
    each = ", ".join(
        f"{name} {one['alike']} of {one['compared']}" for name, one in compared.items()
    )
    lines = [Sentence(f"near-duplicates: {each}; see {place}")] if compared else []
    for name, one in found.items():
        leaks = {split: number for split, number in one["leaks"].items() if number}
        if leaks:
            numbers = " and ".join(f"{number} of {split}" for split, number in leaks.items())
            remedy = _OWN if kept_together else _TOGETHER
            pair = one["pairs"][0]
            first, second = (f"{i!r} ({s})" for i, s in (pair["first"], pair["second"]))
            lines.append(
                Sentence(
                    f"{name}: leaks: {numbers} have a near-duplicate in an earlier split, such as "
                    f"{first} and {second}, so scores on them are too good; {remedy}",
                    warns=True,
                )
            )
        if one["crowded"]:
            lines.append(
                Sentence(
                    f"{name}: {one['crowded']} media are like so many others that only the nearest "
                    "ones were compared; further near-duplicates of them may be missing",
                    warns=True,
                )
            )
        if one["over"]:
            lines.append(
                Sentence(
                    f"{name}: only the first {one['compared']} media were compared, and "
                    f"{one['over']} were not; preprocess parts of the records to compare them",
                    warns=True,
                )
            )
    return lines


def alignment(tasks: Mapping[str, Mapping[str, int]]) -> list[Sentence]:
    """Describes the counts of aligned spans and texts, see `preprocessing.summary.alignment`."""
    return [
        Sentence(f"{task}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
        for task, counts in tasks.items()
    ]


def looked_at(
    names: Sequence[str], outcomes: Sequence[CanonicalRecord | Rejected], verb: str
) -> list[Sentence]:
    """Describes records that were read and made canonical in this process.

    Args:
        names: Modalities whose media are counted.
        outcomes: Canonical and rejected records.
        verb: Verb for the records that are not rejected, such as "kept".
    """
    kept = sum(isinstance(outcome, CanonicalRecord) for outcome in outcomes)
    rejected = (outcome for outcome in outcomes if isinstance(outcome, Rejected))
    reasons = Counter(str(record.reason) for record in rejected)
    return [
        *summary.records(len(outcomes), kept, verb, reasons),
        *summary.media(media_counts.of_outcomes(names, outcomes)),
    ]


def _some(names: Sequence[str], number: int) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if number <= SHOWN else f"{shown} and {number - SHOWN} more"
