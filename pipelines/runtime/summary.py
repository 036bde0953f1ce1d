"""What a person must know when a command ends: the facts of a manifest as sentences."""

import logging
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.pipelines.preprocessing.dataset import REJECTED
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.media_counts import Media
from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import SPLITS, CanonicalRecord, Reason, Rejected

FEW_RECORDS = 10
"""A split with fewer records measures nothing; one without records is said on its own."""

SHOWN = 5
"""So many names of classes are shown, the others are counted."""


class Sentence(NamedTuple):
    """One fact; `warns` where somebody should do something about it."""

    text: str
    warns: bool = False


def say(log: logging.Logger, sentences: Iterable[Sentence]) -> None:
    """Logs each sentence on a line of its own: warnings as such, the others for information."""
    for sentence in sentences:
        log.log(logging.WARNING if sentence.warns else logging.INFO, "%s", sentence.text)


def records(read: int, kept: int, verb: str, reasons: Mapping[str, int]) -> list[Sentence]:
    """How many records were read, kept and rejected, and for each reason what to do.

    Args:
        read: All of them.
        kept: Those that are not rejected.
        verb: What became of the kept ones, such as `scored`.
        reasons: Rejected records by `Reason`.
    """
    rejected = sum(reasons.values())
    said = f"{_many(read, 'record')} read, {kept} {verb}, {rejected} rejected"
    if not read:
        said += "; the files hold none: look whether they are those that were meant"
    return [Sentence(said, warns=not read), *rejections(read, reasons)]


def rejections(read: int, reasons: Mapping[str, int]) -> list[Sentence]:
    """For each reason how many records were rejected, and what to do, the commonest first."""
    return [
        Sentence(f"rejected as {reason}: {count} of {read}; {_remedy(reason)}", warns=True)
        for reason, count in _ranked(reasons)
    ]


def media(counts: Media) -> list[Sentence]:
    """By modality how many media there were, and how many are not used, why, and what to do."""
    return [
        Sentence(f"{name}: {count}; {remedies.OF_FLAW[count.commonest]}", warns=True)
        if count.lost
        else Sentence(f"{name}: {count}")
        for name, count in counts.items()
    ]


def labels(tasks: Mapping[str, Mapping[str, Any]]) -> list[Sentence]:
    """By task how many records have a label, and which labels train or measure nothing.

    Args:
        tasks: See `preprocess_results.labels`.
    """
    said = []
    for task, found in tasks.items():
        split = ", ".join(f"{name} {found['records'][name]}" for name in SPLITS)
        number = sum(found["records"].values())
        classes = "" if found["classes"] is None else f", {_many(found['classes'], 'class', 'es')}"
        name = found["label"]
        text = f"{task}: {_many(number, 'record')} with the label {name!r} ({split}){classes}"
        said.append(Sentence(text))
        said += [
            Sentence(f"{task}: {_many(count, 'label')} cannot be used: {flaw}", warns=True)
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
                    f"{task}: {_many(unseen['classes'], 'class', 'es')} in {name} that training "
                    f"never sees ({_some(unseen['names'], unseen['classes'])}): {whose} "
                    f"{_many(unseen['records'], 'label')} cannot be predicted; add such records to "
                    "train, or change the spec's split",
                    warns=True,
                )
            )
    return said


def splits(
    counts: Mapping[str, int], what: Mapping[str, Any], groups: int | None
) -> list[Sentence]:
    """Which splits hold too few records to learn from or to measure with.

    Args:
        counts: Records by split.
        what: The spec's `split`.
        groups: How many groups all records are in, where they are fewer than splits; else None.
    """
    said = []
    for name in SPLITS:
        if counts[name] >= FEW_RECORDS or (not counts[name] and not what[name]):
            continue
        number = _many(counts[name], "record") if counts[name] else "no record"
        why = f" (all records are in {_many(groups, 'group')})" if groups is not None else ""
        said.append(
            Sentence(
                f"the {name} split has {number}{why}: "
                f"{_FEW[name] if counts[name] else _WITHOUT[name]}; {split_remedy(groups)}",
                warns=True,
            )
        )
    return said


def split_remedy(groups: int | None) -> str:
    """How a split gets records; see `splits`."""
    if groups is not None:
        return "set split.by: id in the spec, or give records more groups or a split of their own"
    return "raise its share of split in the spec, add records, or give some a split of their own"


def alignment(found: Mapping[str, Mapping[str, int]]) -> list[Sentence]:
    """By task what became of labelled spans and texts; see `preprocess_results.alignment`."""
    return [
        Sentence(f"{task}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
        for task, counts in found.items()
    ]


def preprocessed(manifest: Mapping[str, Any], output: str) -> list[Sentence]:
    """A preprocessing, from its manifest; what earlier versions did not count is not said."""
    counts = manifest["counts"]
    split = manifest["spec"]["split"]
    kept = sum(counts[name] for name in SPLITS)
    verb = f"kept ({', '.join(f'{name} {counts[name]}' for name in SPLITS)})"
    return [
        *records(counts["read"], kept, verb, manifest["rejected"]),
        *_where(counts["rejected"], os.path.join(output, REJECTED)),
        *media(media_counts.from_json(manifest.get("media", {}))),
        *labels(manifest.get("labels", {})),
        *alignment(manifest.get("alignment", {})),
        *splits(counts, split, manifest.get("few_groups")),
        Sentence(f"next: triad train --data {shlex.quote(output)} --output MODEL"),
    ]


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


def scored(manifest: Manifest, run: RunFolder) -> list[Sentence]:
    """A scoring run, from its manifest; media as far as the manifest counts them."""
    counts = manifest.counts
    return [
        *records(counts["read"], counts["scored"], "scored", manifest.reasons),
        *_where(counts["rejected"], run.rejected),
        *media(media_counts.from_json(manifest.media)),
    ]


def looked_at(
    names: Sequence[str], outcomes: Sequence[CanonicalRecord | Rejected], verb: str
) -> list[Sentence]:
    """Records that were read and made canonical here.

    Args:
        names: The modalities that are looked at.
        outcomes: What became of each.
        verb: What else became of those that are not rejected.
    """
    kept = sum(isinstance(one, CanonicalRecord) for one in outcomes)
    reasons = Counter(str(one.reason) for one in outcomes if isinstance(one, Rejected))
    return [
        *records(len(outcomes), kept, verb, reasons),
        *media(media_counts.of_outcomes(names, outcomes)),
    ]


def trained(document: Mapping[str, Any], model: str) -> list[Sentence]:
    """A training: the figures of its test split, and the next commands.

    Args:
        document: See `model.evaluation.document`.
        model: The model folder.
    """
    measured = document["splits"]
    split = next((name for name in ("test", "eval") if name in measured), None)
    said = []
    if split is None:
        text = "nothing measures the model: no record is in the test or the eval split"
        said.append(Sentence(f"{text}; {split_remedy(None)}, and preprocess again", warns=True))
    elif split == "eval":
        text = "no record is in the test split: the figures are of eval, which chose the epoch"
        said.append(Sentence(text, warns=True))
    tasks = measured[split]["tasks"] if split else {}
    said += [_figures(name, task, str(split)) for name, task in tasks.items()]
    return [*said, *_after_training(model)]


def _after_training(model: str) -> list[Sentence]:
    """What is done with a model next."""
    given = f"--model {shlex.quote(model)} --input RECORDS"
    return [
        Sentence(f"next: triad parity {given}"),
        Sentence(f"next: triad score {given} --output SCORES --date YYYY-MM-DD"),
    ]


def _figures(name: str, task: Mapping[str, Any], split: str) -> Sentence:
    found = task[evaluation_document.AS_RECORDED]
    if not found["n"]:
        return Sentence(f"{name}: no record of the {split} split has its label", warns=True)
    own = evaluation_document.FIGURES[task["kind"]].items()
    figures = [f"{said} {evaluation_document.interval_text(found[key])}" for key, said in own]
    unseen = f", of which {found['unseen']} are unseen in training" if found.get("unseen") else ""
    labelled = f"{found['n']} records of the {split} split{unseen}"
    return Sentence(f"{name}: {', '.join(figures)}; 95% intervals, {labelled}")


def _where(rejected: int, place: str) -> list[Sentence]:
    """Where the rejected records are, each with what is wrong with it."""
    return [Sentence(f"rejected records: {place}")] if rejected else []


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _remedy(name: str) -> str:
    return remedies.OF_REASON[Reason(name)]


def _some(names: Sequence[str], number: int) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if number <= SHOWN else f"{shown} and {number - SHOWN} more"


def _many(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"
