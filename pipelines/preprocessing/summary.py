"""What a preprocessing says of itself: its shards, flaws, classes and vocabulary."""

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
"""Name of the count of all records that were read, those among them that are rejected."""

UNSEEN_NAMES = 20
"""So many names of classes that training never sees are kept."""


def place_shards(staging: Staging) -> dict[str, list[dict[str, Any]]]:
    """Gives complete shards their names, and lists them by split with rows and digests."""
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
    """What the first pass counted: `READ`, and issues of records that were kept."""
    return Counter(dict(json_files.read(f"{work}/counts.json")))


def mixed_kinds(work: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The columns that files store in several kinds: by kind how many `files`, and the `first`."""
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
    """How often each kind of flaw cost a medium, of kept and of rejected records."""
    of_rejected = media_counts.flaws_of(
        record.detail for record in rejected if record.reason == Reason.UNREADABLE
    )
    known = [f"{modality}: {flaw}" for modality in MODALITIES for flaw in Flaw]
    found = {issue: counts[issue] + of_rejected[issue] for issue in known}
    return {issue: count for issue, count in found.items() if count}


def classes(what: Spec, analysis: Analysis) -> dict[str, list[str]]:
    """The classes of each task in the order of their ids; none of a task that knows no classes.

    Raises:
        GateError: Where a task has none and needs some.
    """
    found = {
        name: list(analysis.vocabularies[targets_classes.label_vocabulary(name)])
        if task.needs_classes
        else []
        for name, task in what.tasks.items()
    }
    for task, names in found.items():
        if not names and what.tasks[task].needs_classes:
            raise GateError(
                f"task {task}: no record of the train split has the label "
                f"{what.tasks[task].label!r}; mend the records or the spec"
            )
    return found


def media(
    what: Spec, statistics: Mapping[str, Any], issues: Mapping[str, int]
) -> dict[str, MediaCount]:
    """By modality, the records that came with a medium and those that lost it.

    Args:
        what: Names the modalities.
        statistics: Of the records that are kept, see `triad_ml.transforms.statistics.combine`.
        issues: See `issues`.
    """
    used = {
        name: _tally(statistics, f"{name}.state", SPLITS)["present"]
        for name in what.modalities.names
    }
    return media_counts.counted(what.modalities.names, used, issues)


def labels(
    what: Spec, statistics: Mapping[str, Any], classes: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """By task, what became of its label.

    Args:
        what: Names the tasks.
        statistics: See `transforms.statistics.combine`; later records of one id are among them.
        classes: See `classes`; none before they are known.

    Returns:
        `label`: its name. `records`: by split, those with a label that can be used. `unusable`:
        the others that have one, by what is wrong. `classes`: their number, None where the task
        writes texts or nobody knows. `unseen`: by split, the `classes` that no record of the train
        split has, in how many `records`, and some `names`. `alike`: classes that are one number or
        truth value in several spellings, such as `1` and `1.0`.
    """
    found = {}
    for name, task in what.tasks.items():
        flaws = _tally(statistics, f"label.{name}.flaw", SPLITS)
        known = classes.get(name) if COLUMNS[task.kind].has_classes else None
        found[name] = {
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
    return found


def _unseen(
    statistics: Mapping[str, Any], feature: str, known: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found = {}
    for split in SPLITS[1:]:
        counts = _tally(statistics, feature, (split,))
        names = sorted(counts.keys() - set(known))
        if names:
            records = sum(counts[name] for name in names)
            some = names[:UNSEEN_NAMES]
            found[split] = {"classes": len(names), "records": records, "names": some}
    return found


def _alike(names: Iterable[str]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(scalars.common_spelling(name), []).append(name)
    return [same for same in found.values() if len(same) > 1]


def _tally(statistics: Mapping[str, Any], feature: str, splits: Sequence[str]) -> Counter[str]:
    """How often each value of a categorical feature is in some splits."""
    measured = (statistics["splits"].get(split, {"categorical": {}}) for split in splits)
    return _added(one["categorical"].get(feature, {"counts": {}})["counts"] for one in measured)


def few_groups(what: Spec, files: Sequence[CanonicalFile]) -> int | None:
    """How many groups all records are in, where they are fewer than the splits; else None."""
    wanted = sum(getattr(what.split, split) > 0 for split in SPLITS)
    number = len({group for file in files for group in file.groups})
    return number if what.split.by == "group" and number < wanted else None


def check_splits(inputs: Sequence[str], files: Sequence[CanonicalFile], groups: int | None) -> None:
    """Raises GateError where no record is in the train split; for `groups` see `few_groups`."""
    if not any(file.split == "train" for file in files):
        raise GateError(
            f"{', '.join(inputs)}: no record is in the train split; {summary.split_remedy(groups)}"
        )


def check_labels(labels: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises GateError where no record of the train split has the label of a task; see `labels`."""
    for task, found in labels.items():
        if found["records"]["train"]:
            continue
        label = f"task {task}: no record of the train split has the label {found['label']!r}"
        elsewhere = ", ".join(f"{n} in {name}" for name, n in found["records"].items() if n)
        flaws = ", ".join(f"{n} cannot be used: {flaw}" for flaw, n in found["unusable"].items())
        why = " and ".join(part for part in (elsewhere, flaws) if part)
        raise GateError(f"{label}{f' ({why})' if why else ''}; mend the records or the spec")


def check_media(media: Media, limits: IssuesLimits) -> None:
    """Raises GateError where a modality loses more of its media than it may."""
    refused = limits.refusal(media)
    if refused:
        raise GateError(refused)


def alignment(what: Spec, spans: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By task, the counts of labels that may not fit the text or the task's length.

    The targets of each kind of task name their counts; tasks come in the order of the kinds.
    """
    order = list(TARGETS)
    counted = {name: task.kind for name, task in what.tasks.items() if TARGETS[task.kind].counts}
    return {
        name: {count: spans.get(f"label_{name}.{count}", 0) for count in TARGETS[kind].counts}
        for name, kind in sorted(counted.items(), key=lambda pair: order.index(pair[1]))
    }


def spans(work: str) -> Counter[str]:
    """The labelled spans that the shards tell of, see `FeatureFile.spans`."""
    return _added(shard["spans"] for shard in json_files.read(f"{work}/shards.json"))


def unnamed(what: Spec, files: Sequence[CanonicalFile]) -> dict[str, int]:
    """By task, the records whose label cannot be used, where there are any."""
    found = _added(file.unnamed for file in files)
    return {task: found[task] for task in what.tasks if found[task]}


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def vocabulary_size(what: Spec, analysis: Analysis) -> int:
    """Number of token ids, padding and unknown included; 0 where there is no text."""
    if what.modalities.text is None:
        return 0
    return FIRST_TOKEN + len(analysis.vocabularies[text.TEXT_VOCABULARY])


def rejected(work: str) -> list[Rejected]:
    """All rejected records in the order of the input, the later ones of one id among them."""
    found = [
        Rejected(**{**value, "position": Position(**value["position"])})
        for value in json_files.read(f"{work}/rejected.json")
    ]
    for record_id, place in json_files.read(f"{work}/later.json"):
        found.append(
            Rejected(
                record_id,
                Position(**place),
                stage="canonicalize",
                reason=Reason.DUPLICATE_ID,
                detail="an earlier record has this id",
            )
        )
    return sorted(found, key=lambda r: (r.position.unit, r.position.offset))


def check_rejected(read: int, kept: int, rejected: Sequence[Rejected], limit: float) -> None:
    """Raises GateError where counts do not add up, or where too many records are rejected.

    Nothing is kept where that is so: the line names the first record of the commonest reason.
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
    """What keeps records of a reason; of unreadable ones what makes most of their media usable."""
    flaws = media_counts.flaws_of(r.detail for r in rejected if r.reason == Reason.UNREADABLE)
    if reason != Reason.UNREADABLE or not flaws:
        return remedies.OF_REASON[reason]
    (issue, _) = flaws.most_common(1)[0]
    return remedies.OF_FLAW[Flaw(issue.partition(": ")[2])]
