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
from triad_ml.transforms.records.values import SPLITS, CanonicalRecord, Rejected

FEW_RECORDS = 10
"""A split with fewer records measures nothing; one without records is said on its own."""

SHOWN = 5
"""So many names of classes are shown, the others are counted."""

_WITHOUT = {
    "train": "a model learns little from it",
    "eval": "nothing tells when to stop training",
    "test": "nothing measures the model",
}
_FEW = {
    "train": "too few to learn much from",
    "eval": "too few to tell when to stop training",
    "test": "too few to measure the model",
}


def sentences(manifest: Mapping[str, Any], output: str) -> list[Sentence]:
    """Describes a preprocessing by its manifest, but for counts that earlier versions lack."""
    counts = manifest["counts"]
    split = manifest["spec"]["split"]
    kept = sum(counts[name] for name in SPLITS)
    verb = f"kept ({', '.join(f'{name} {counts[name]}' for name in SPLITS)})"
    return [
        *summary.records(counts["read"], kept, verb, manifest["rejected"]),
        *summary.where(counts["rejected"], os.path.join(output, REJECTED)),
        *summary.media(media_counts.from_json(manifest.get("media", {}))),
        *labels(manifest.get("labels", {})),
        *alignment(manifest.get("alignment", {})),
        *splits(counts, split, manifest.get("few_groups")),
        Sentence(f"next: triad train --data {shlex.quote(output)} --output MODEL"),
    ]


def labels(tasks: Mapping[str, Mapping[str, Any]]) -> list[Sentence]:
    """Counts the labels of each task, and names those that train or measure nothing.

    Args:
        tasks: See `preprocessing.summary.labels`.
    """
    said = []
    for task, found in tasks.items():
        split = ", ".join(f"{name} {found['records'][name]}" for name in SPLITS)
        number = sum(found["records"].values())
        classes = "" if found["classes"] is None else f", {many(found['classes'], 'class', 'es')}"
        name = found["label"]
        text = f"{task}: {many(number, 'record')} with the label {name!r} ({split}){classes}"
        said.append(Sentence(text))
        said += [
            Sentence(f"{task}: {many(count, 'label')} cannot be used: {flaw}", warns=True)
            for flaw, count in found["unusable"].items()
        ]
        said += [
            Sentence(
                f"{task}: {' and '.join(map(repr, same))} are {len(same)} classes, and one value "
                "written in several ways (pandas writes whole numbers of a column with gaps as "
                "1.0); write it alike",
                warns=True,
            )
            for same in found.get("alike", ())
        ]
        for name, unseen in found["unseen"].items():
            whose = "its" if unseen["classes"] == 1 else "their"
            said.append(
                Sentence(
                    f"{task}: {many(unseen['classes'], 'class', 'es')} in {name} that training "
                    f"never sees ({_some(unseen['names'], unseen['classes'])}): {whose} "
                    f"{many(unseen['records'], 'label')} cannot be predicted; add such records to "
                    "train, or change the spec's split",
                    warns=True,
                )
            )
    return said


def splits(
    counts: Mapping[str, int], what: Mapping[str, Any], groups: int | None
) -> list[Sentence]:
    """Names the splits with too few records to learn from or to measure with.

    Args:
        counts: Records by split.
        what: The spec's `split`.
        groups: How many groups all records are in, where they are fewer than splits; else None.
    """
    said = []
    for name in SPLITS:
        if counts[name] >= FEW_RECORDS or (not counts[name] and not what[name]):
            continue
        number = many(counts[name], "record") if counts[name] else "no record"
        why = f" (all records are in {many(groups, 'group')})" if groups is not None else ""
        said.append(
            Sentence(
                f"the {name} split has {number}{why}: "
                f"{_FEW[name] if counts[name] else _WITHOUT[name]}; {summary.split_remedy(groups)}",
                warns=True,
            )
        )
    return said


def alignment(found: Mapping[str, Mapping[str, int]]) -> list[Sentence]:
    """Counts aligned spans and texts by task; see `preprocessing.summary.alignment`."""
    return [
        Sentence(f"{task}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
        for task, counts in found.items()
    ]


def looked_at(
    names: Sequence[str], outcomes: Sequence[CanonicalRecord | Rejected], verb: str
) -> list[Sentence]:
    """Describes records that were read and made canonical in this process.

    Args:
        names: The modalities that are looked at.
        outcomes: What became of each.
        verb: What else became of those that are not rejected.
    """
    kept = sum(isinstance(one, CanonicalRecord) for one in outcomes)
    reasons = Counter(str(one.reason) for one in outcomes if isinstance(one, Rejected))
    return [
        *summary.records(len(outcomes), kept, verb, reasons),
        *summary.media(media_counts.of_outcomes(names, outcomes)),
    ]


def _some(names: Sequence[str], number: int) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if number <= SHOWN else f"{shown} and {number - SHOWN} more"
