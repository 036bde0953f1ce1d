"""Figures of a preprocessing for its manifest and gates: shards, issues, labels, classes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triad_ml.pipelines.preprocessing.canonical_shards import CanonicalFile
from triad_ml.pipelines.preprocessing.feature_shards import FeatureFile
from triad_ml.pipelines.preprocessing.staging import Staging
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.storage import json_files
from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.columns import COLUMNS
from triad_ml.pipelines.tables.media_counts import IssuesLimits, Media, MediaCount
from triad_ml.transforms.duplicates.document import Found
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.features import text
from triad_ml.transforms.features.analyzers import Analysis
from triad_ml.transforms.features.ids import FIRST_TOKEN
from triad_ml.transforms.records import remedies, scalars
from triad_ml.transforms.records.values import MODALITIES, SPLITS, Flaw, Position, Reason, Rejected
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.targets import classes as targets_classes
from triad_ml.transforms.targets.registry import TARGETS

READ = "read"
"""Name of the count of all records that were read, rejected ones included."""

SHOWN_PAIRS = 6
"""Largest number of pairs of near-duplicates of a modality that the manifest has."""

UNSEEN_NAMES = 20
"""Largest number of names kept of classes that training never sees."""


def place_shards(staging: Staging) -> dict[str, list[dict[str, Any]]]:
    """Moves complete shards to their names in the output, and lists them by split.

    Each entry has the shard's `path` in the output, `rows`, `bytes` and `sha256`.
    """
    shards = [FeatureFile(**shard) for shard in json_files.read(f"{staging.work}/shards.json")]
    placed: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        mine = sorted((s for s in shards if s.split == split), key=lambda s: (s.shard, s.path))
        for index, shard in enumerate(mine):
            name = f"{split}/part-{index:05d}-of-{len(mine):05d}.tfrecord.gz"
            staging.place(shard.path, name)
            placed[split].append(
                {
                    "path": name,
                    "rows": shard.rows,
                    "bytes": shard.bytes,
                    "sha256": shard.sha256,
                }
            )
    return placed


def counts(work: str) -> Counter[str]:
    """Reads the counts of the first pass: `READ`, and the issues of records that were kept."""
    return Counter(dict(json_files.read(f"{work}/counts.json")))


def mixed_kinds(work: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the columns that files store in several kinds.

    The entry of a kind has the number of `files`, and the URI of the `first`, sorted by name.
    """
    by_column: dict[str, dict[str, set[str]]] = {}
    for column, kind, uri in json_files.read(f"{work}/kinds.json"):
        by_column.setdefault(column, {}).setdefault(kind, set()).add(uri)
    return {
        column: {
            kind: {"files": len(uris), "first": min(uris)} for kind, uris in sorted(by_kind.items())
        }
        for column, by_kind in sorted(by_column.items())
        if len(by_kind) > 1
    }


def issues(counts: Counter[str], rejected: Sequence[Rejected]) -> dict[str, int]:
    """Counts media that are not used by issue, of kept and of unreadable records."""
    of_rejected = media_counts.flaws_of(
        record.detail for record in rejected if record.reason == Reason.UNREADABLE
    )
    known = [f"{modality}: {flaw}" for modality in MODALITIES for flaw in Flaw]
    total = {issue: counts[issue] + of_rejected[issue] for issue in known}
    return {issue: count for issue, count in total.items() if count}


def classes(spec: Spec, analysis: Analysis) -> dict[str, list[str]]:
    """Returns the classes of each task in the order of their ids; [] for tasks without classes.

    Raises:
        GateError: A task needs classes, and the train split has none.
    """
    by_task = {
        name: list(analysis.vocabularies[targets_classes.label_vocabulary(name)])
        if task.needs_classes
        else []
        for name, task in spec.tasks.items()
    }
    for task, names in by_task.items():
        if not names and spec.tasks[task].needs_classes:
            raise GateError(
                f"task {task}: no record of the train split has the label "
                f"{spec.tasks[task].label!r}; mend the records or the spec"
            )
    return by_task


def media(
    spec: Spec, statistics: Mapping[str, Any], issues: Mapping[str, int]
) -> dict[str, MediaCount]:
    """Counts, by modality, the records with a medium and those whose medium is not used.

    Args:
        spec: Spec with the modalities.
        statistics: Statistics of kept records, see `triad_ml.transforms.statistics.combine`.
        issues: Number of media that are not used by issue, from `issues`.
    """
    used = {
        name: _tally(statistics, f"{name}.state", SPLITS)["present"]
        for name in spec.modalities.names
    }
    return media_counts.counted(spec.modalities.names, used, issues)


def labels(
    spec: Spec, statistics: Mapping[str, Any], classes: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Counts the labels of each task.

    Args:
        spec: Spec with the tasks.
        statistics: Statistics of kept records, see `transforms.statistics.combine`; later records
            with the id of an earlier one are included.
        classes: Classes by task, from `classes`; empty before they are known.

    Returns:
        Entries by task. `label`: name of the label. `records`: number of records with a usable
        label, by split. `unusable`: number of unusable labels, by flaw. `classes`: number of
        classes; None if the task has none or they are not known yet. `unseen`: by split, the number
        of `classes` that no record of the train split has, the number of `records` with them, and
        some of their `names`. `alike`: lists of classes that are one number or truth value in
        several spellings, such as `1` and `1.0`.
    """
    entries = {}
    for name, task in spec.tasks.items():
        flaws = _tally(statistics, f"label.{name}.flaw", SPLITS)
        known = classes.get(name) if COLUMNS[task.kind].has_classes else None
        entries[name] = {
            "label": task.label,
            "records": {
                split: _tally(statistics, f"label.{name}.state", (split,))["present"]
                for split in SPLITS
            },
            "unusable": dict(sorted(flaws.items())),
            "classes": None if known is None else len(known),
            "unseen": {} if known is None else _unseen(statistics, f"label.{name}", known),
            "alike": [] if known is None else _alike(_tally(statistics, f"label.{name}", SPLITS)),
        }
    return entries


def _unseen(
    statistics: Mapping[str, Any], feature: str, known: Sequence[str]
) -> dict[str, dict[str, Any]]:
    unseen = {}
    for split in SPLITS[1:]:
        counts = _tally(statistics, feature, (split,))
        names = sorted(counts.keys() - set(known))
        if names:
            records = sum(counts[name] for name in names)
            some = names[:UNSEEN_NAMES]
            unseen[split] = {"classes": len(names), "records": records, "names": some}
    return unseen


def _alike(names: Iterable[str]) -> list[list[str]]:
    by_value: dict[str, list[str]] = {}
    for name in sorted(names):
        by_value.setdefault(scalars.common_spelling(name), []).append(name)
    return [same for same in by_value.values() if len(same) > 1]


def _tally(statistics: Mapping[str, Any], feature: str, splits: Sequence[str]) -> Counter[str]:
    """Counts the values of a categorical feature in some splits together."""
    measured = (statistics["splits"].get(split, {"categorical": {}}) for split in splits)
    return _added(split["categorical"].get(feature, {"counts": {}})["counts"] for split in measured)


def few_groups(spec: Spec, files: Sequence[CanonicalFile]) -> int | None:
    """Returns the number of groups if the spec splits by group and it is below that of the splits.

    Otherwise returns None.
    """
    wanted = sum(getattr(spec.split, split) > 0 for split in SPLITS)
    number = len({group for file in files for group in file.groups})
    return number if spec.split.by == "group" and number < wanted else None


def check_splits(
    inputs: Sequence[str],
    files: Sequence[CanonicalFile],
    groups: int | None,
    kept_together: bool = False,
) -> None:
    """Raises GateError if no record is in the train split.

    Args:
        inputs: Patterns of records files.
        files: Files of canonical records.
        groups: Result of `few_groups`.
        kept_together: True if near-duplicates share a split.
    """
    if not any(file.split == "train" for file in files):
        remedy = summary.split_remedy(groups)
        if kept_together:
            remedy = (
                f"near-duplicates may join most records: remove split.keep_together, or {remedy}"
            )
        raise GateError(f"{', '.join(inputs)}: no record is in the train split; {remedy}")


def check_labels(labels: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises GateError if no record of the train split has the label of a task, see `labels`."""
    for task, entry in labels.items():
        if entry["records"]["train"]:
            continue
        label = f"task {task}: no record of the train split has the label {entry['label']!r}"
        elsewhere = ", ".join(f"{n} in {name}" for name, n in entry["records"].items() if n)
        flaws = ", ".join(f"{n} cannot be used: {flaw}" for flaw, n in entry["unusable"].items())
        why = " and ".join(part for part in (elsewhere, flaws) if part)
        raise GateError(f"{label}{f' ({why})' if why else ''}; mend the records or the spec")


def check_media(media: Media, limits: IssuesLimits) -> None:
    """Raises GateError if a modality lost more of its media than its limit."""
    refused = limits.refusal(media)
    if refused:
        raise GateError(refused)


def alignment(spec: Spec, spans: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Returns, by task, the counts of labels that may not fit the text or the task's length.

    The targets of each kind of task name their counts; tasks are in the order of the kinds.
    """
    order = list(TARGETS)
    counted = {name: task.kind for name, task in spec.tasks.items() if TARGETS[task.kind].counts}
    return {
        name: {count: spans.get(f"label_{name}.{count}", 0) for count in TARGETS[kind].counts}
        for name, kind in sorted(counted.items(), key=lambda pair: order.index(pair[1]))
    }


def spans(work: str) -> Counter[str]:
    """Adds up the counts of labelled spans of all shards, see `FeatureFile.spans`."""
    return _added(shard["spans"] for shard in json_files.read(f"{work}/shards.json"))


def copies(spec: Spec, work: str) -> dict[str, int]:
    """Returns, by change that the spec asks for, the number of copies in the training split."""
    total = _added(shard["copies"] for shard in json_files.read(f"{work}/shards.json"))
    return {change: total[change] for change in spec.training.copies}


def duplicates(found: Mapping[str, Found]) -> dict[str, dict[str, Any]]:
    """Returns, by modality, the numbers of near-duplicates, and some pairs of records.

    Numbers are those of `document.Found`. A pair has `[id, split]` of its `first` and `second`
    record, and their `distance`.
    """
    return {
        name: {
            "compared": one.compared,
            "alike": one.alike,
            "groups": one.groups,
            "leaks": dict(one.leaks),
            "crowded": one.crowded,
            "over": one.over,
            "pairs": [
                {
                    "first": [pair.first.id, pair.first.split],
                    "second": [pair.second.id, pair.second.split],
                    "distance": pair.distance,
                }
                for pair in one.pairs[:SHOWN_PAIRS]
            ],
        }
        for name, one in found.items()
    }


def unnamed(spec: Spec, files: Sequence[CanonicalFile]) -> dict[str, int]:
    """Returns, by task, the number of records with an unusable label, if there are any."""
    total = _added(file.unnamed for file in files)
    return {task: total[task] for task in spec.tasks if total[task]}


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return total


def vocabulary_size(spec: Spec, analysis: Analysis) -> int:
    """Returns the number of token ids, padding and unknown included; 0 without text."""
    if spec.modalities.text is None:
        return 0
    return FIRST_TOKEN + len(analysis.vocabularies[text.TEXT_VOCABULARY])


def rejected(work: str) -> list[Rejected]:
    """Reads the rejected records, in the order of the input, duplicates included."""
    records = [
        Rejected(**{**value, "position": Position(**value["position"])})
        for value in json_files.read(f"{work}/rejected.json")
    ]
    for record_id, position in json_files.read(f"{work}/later.json"):
        records.append(
            Rejected(
                record_id,
                Position(**position),
                stage="canonicalize",
                reason=Reason.DUPLICATE_ID,
                detail="an earlier record has this id",
            )
        )
    return sorted(records, key=lambda r: (r.position.unit, r.position.offset))


def check_rejected(read: int, kept: int, rejected: Sequence[Rejected], limit: float) -> None:
    """Raises GateError if counts do not add up, or if too many records are rejected.

    The message names the first record with the most frequent reason, since the list of rejected
    records is not written then.
    """
    total = kept + len(rejected)
    if read != total:
        raise GateError(
            f"{read} records were read, but {kept} kept and {len(rejected)} rejected; "
            "nothing is written; please report this defect"
        )
    if len(rejected) > limit * total:
        reason, count = Counter(r.reason for r in rejected).most_common(1)[0]
        first = next(r for r in rejected if r.reason == reason)
        raise GateError(
            f"{len(rejected)} of {total} records are rejected, over the limit of {limit:.1%} "
            f"({count} as {reason}, the first at {first.position}: {first.detail}); "
            f"{_remedy(reason, rejected)}, or raise --rejected-limit"
        )


def _remedy(reason: Reason, rejected: Sequence[Rejected]) -> str:
    """Returns the remedy for a reason; for unreadable records, that of the most frequent flaw."""
    flaws = media_counts.flaws_of(r.detail for r in rejected if r.reason == Reason.UNREADABLE)
    if reason != Reason.UNREADABLE or not flaws:
        return remedies.OF_REASON[reason]
    (issue, _) = flaws.most_common(1)[0]
    return remedies.OF_FLAW[Flaw(issue.partition(": ")[2])]
