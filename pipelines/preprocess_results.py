"""What a preprocessing says of itself: its shards, flaws, classes and vocabulary."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines import json_files
from pipelines.canonical_files import CanonicalFile
from pipelines.feature_files import FeatureFile
from pipelines.staging import Staging
from transforms import label_graphs, preprocessing, target_graphs
from transforms.analyzers import Analysis
from transforms.errors import GateError
from transforms.records import MODALITIES, SPLITS, Flaw, Position, Reason, Rejected
from transforms.spec import FIRST_TOKEN, Spec

READ = "read"
"""Name of the count of all records that were read, those among them that are rejected."""


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
    of_rejected = Counter(
        issue
        for record in rejected
        if record.stage == "canonicalize" and record.reason == Reason.UNREADABLE
        for issue in record.detail.split("; ")
    )
    known = [f"{modality}: {flaw}" for modality in MODALITIES for flaw in Flaw]
    found = {issue: counts[issue] + of_rejected[issue] for issue in known}
    return {issue: count for issue, count in found.items() if count}


def classes(what: Spec, analysis: Analysis) -> dict[str, list[str]]:
    """The classes of each task in the order of their ids.

    Raises:
        GateError: Where a task has none.
    """
    found = {
        task: list(analysis.vocabularies[label_graphs.label_vocabulary(task)])
        for task in what.tasks
    }
    for task, names in found.items():
        if not names:
            raise GateError(
                f"task {task}: no record of the train split has the label "
                f"{what.tasks[task].label!r}; mend the records or the spec"
            )
    return found


def alignment(what: Spec, spans: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By task, what became of labels: of spans, see `label_graphs.tags_graph`, and of texts.

    See `target_graphs.units_graph` for the latter.
    """
    of_spans = (label_graphs.SPANS, label_graphs.CUT, label_graphs.MISALIGNED)
    counted: dict[str, tuple[str, ...]] = dict.fromkeys(what.tagging, of_spans)
    counted |= dict.fromkeys(what.generation, (target_graphs.TEXTS, target_graphs.CUT))
    return {
        task: {count: spans.get(f"label_{task}.{count}", 0) for count in counts}
        for task, counts in counted.items()
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
    return FIRST_TOKEN + len(analysis.vocabularies[preprocessing.TEXT_VOCABULARY])


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
    """Raises GateError where counts do not add up, or where too many records are rejected."""
    total = kept + len(rejected)
    if read != total:
        raise GateError(
            f"{read} records were read, but {kept} kept and {len(rejected)} rejected; "
            "nothing is written; please report this defect"
        )
    if len(rejected) > limit * total:
        reason, count = Counter(str(r.reason) for r in rejected).most_common(1)[0]
        raise GateError(
            f"{len(rejected)} of {total} records are rejected, over the limit of {limit:.1%} "
            f"({count} as {reason}); mend the input or raise --rejected-limit"
        )
