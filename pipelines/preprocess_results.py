"""What a preprocessing says of itself: its shards, flaws, classes and vocabulary."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import json_files
from pipelines.feature_files import FeatureFile
from transforms import code, preprocessing
from transforms.analyzers import Analysis
from transforms.errors import GateError
from transforms.records import MODALITIES, SPLITS, Flaw, Position, Reason, Rejected
from transforms.spec import FIRST_TOKEN, Spec

READ = "read"
"""Name of the count of all records that were read, those among them that are rejected."""


def place_shards(staging: Path) -> dict[str, list[dict[str, Any]]]:
    """Gives complete shards their names, and lists them by split with rows and digests."""
    shards = [FeatureFile(**shard) for shard in json_files.read(staging / "work" / "shards.json")]
    placed: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        mine = sorted((s for s in shards if s.split == split), key=lambda s: (s.shard, s.path))
        for index, shard in enumerate(mine):
            path = staging / split / f"part-{index:05d}-of-{len(mine):05d}.tfrecord.gz"
            path.parent.mkdir(exist_ok=True)
            Path(shard.path).rename(path)
            placed[split].append(
                {
                    "path": str(path.relative_to(staging)),
                    "rows": shard.rows,
                    "bytes": path.stat().st_size,
                    "sha256": code.file_digest(path),
                }
            )
    return placed


def counts(work: Path) -> Counter[str]:
    """What the first pass counted: `READ`, and issues of records that were kept."""
    return Counter(dict(json_files.read(work / "counts.json")))


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
        task: list(analysis.vocabularies[preprocessing.label_vocabulary(task)])
        for task in what.tasks
    }
    for task, names in found.items():
        if not names:
            raise GateError(
                f"task {task}: no record of the train split has the label "
                f"{what.tasks[task].label!r}; mend the records or the spec"
            )
    return found


def vocabulary_size(what: Spec, analysis: Analysis) -> int:
    """Number of token ids, padding and unknown included; 0 where there is no text."""
    if what.modalities.text is None:
        return 0
    return FIRST_TOKEN + len(analysis.vocabularies[preprocessing.TEXT_VOCABULARY])


def rejected(work: Path) -> list[Rejected]:
    """All rejected records in the order of the input, the later ones of one id among them."""
    found = [
        Rejected(**{**value, "position": Position(**value["position"])})
        for value in json_files.read(work / "rejected.json")
    ]
    for record_id, place in json_files.read(work / "later.json"):
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
