"""Seeded builders of scored and rejected records, and of whole runs."""

import dataclasses
import multiprocessing.queues
import multiprocessing.synchronize
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.tables.columns import Classification
from triad_ml.transforms.errors import LostRaceError
from triad_ml.transforms.records.values import (
    Position,
    Prediction,
    Provenance,
    Reason,
    Rejected,
    Scored,
)

CLASSES = {"category": ("bird", "cat", "dog"), "topics": ("art", "food")}
PROVENANCE = Provenance("m" * 8, "t" * 8, "s" * 8, "c" * 8, "1.2.3")
COLUMNS = {
    "category": Classification(CLASSES["category"]),
    "topics": Classification(CLASSES["topics"], multi_label=True),
}
SETTINGS = publish.ScoreSchema(COLUMNS, PROVENANCE)
DATE = "2026-11-24"


def scored(
    record_id: str,
    offset: int = 0,
    *,
    unit: int = 0,
    extra: Mapping[str, Any] | None = None,
    issues: tuple[str, ...] = (),
) -> Scored:
    """Returns a scored record whose scores depend only on its id and offset."""
    random = np.random.default_rng([offset, *record_id.encode("utf-8", "surrogatepass")])
    category = random.dirichlet(np.ones(3)).astype(np.float32)
    topics = random.random(2).astype(np.float32)
    names = tuple(n for n, p in zip(CLASSES["topics"], topics, strict=True) if p >= 0.5)
    return Scored(
        id=record_id,
        position=Position("in.jsonl", offset, unit),
        predictions={
            "category": Prediction(
                CLASSES["category"][int(category.argmax())], float(category.max()), category
            ),
            "topics": Prediction(names, float(topics.max()), topics),
        },
        modalities_used=("image", "text"),
        issues=issues,
        extra=extra or {},
        content_digest=f"content of {record_id}",
    )


def rejected(
    record_id: str, offset: int = 0, *, unit: int = 0, reason: Reason = Reason.EMPTY
) -> Rejected:
    """Returns a record that canonicalization rejected."""
    place = Position("in.jsonl", offset, unit)
    return Rejected(record_id, place, "canonicalize", reason, "nothing there", "d" * 64)


@dataclasses.dataclass(frozen=True)
class Work:
    """Outcomes of one unit of work."""

    scored: Sequence[Scored] = ()
    rejected: Sequence[Rejected] = ()


def run_folder(output: object, *, name: str = "a", date: str = DATE) -> publish.RunFolder:
    """Returns a run whose id is derived from a name."""
    run_id = publish.run_id(date, [(name, 1, "1")], PROVENANCE, {})
    return publish.RunFolder(str(output), date, run_id)


def commit(run: publish.RunFolder, works: Sequence[Work]) -> None:
    """Commits the units that are not complete yet."""
    for unit, work in enumerate(works):
        if unit not in publish.complete_units(run):
            read = len(work.scored) + len(work.rejected)
            publish.commit_unit(run, unit, work.scored, work.rejected, read, SETTINGS)


def score(
    run: publish.RunFolder,
    works: Sequence[Work],
    *,
    settings: publish.ScoreSchema = SETTINGS,
    rejected_limit: float = 1.0,
) -> publish.Manifest:
    """Runs a whole attempt, from the look for a published run to the flip of the pointer."""
    start = publish.begin(run)
    commit(run, works)
    gates = publish.Gates(rejected_limit)
    manifest = publish.seal(run, len(works), gates, settings, {"by": "a test"})
    publish.publish(run, start.current)
    return manifest


def race(
    barrier: multiprocessing.synchronize.Barrier,
    outcomes: "multiprocessing.queues.Queue[tuple[str, int, str]]",
    output: str,
    name: str,
    dates: Sequence[str],
) -> None:
    """Publishes a sealed run for each date at the barrier; runs in a separate process."""
    for index, date in enumerate(dates):
        run = run_folder(output, name=name, date=date)
        barrier.wait()
        try:
            publish.publish(run, None)
        except LostRaceError:
            outcomes.put((name, index, "lost"))
        else:
            outcomes.put((name, index, "won"))
