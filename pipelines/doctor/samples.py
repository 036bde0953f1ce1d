"""Checks of a sample of the records and their media: rejected records and unusable media."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from triad_ml.pipelines.doctor.findings import Finding, Level, of_error
from triad_ml.pipelines.sources import first_look, read, units
from triad_ml.pipelines.storage import cloud
from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.media_counts import IssuesLimits, MediaCount
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Reason, Rejected
from triad_ml.transforms.spec.spec import Spec

RECORDS_OF_FILE = 50
"""Largest number of records that are read from one file."""

MOST_RECORDS = 200
"""Largest number of records that are read from all files."""


def heads(spec: Spec, inputs: Sequence[str], with_labels: bool) -> Iterator[Finding]:
    """Checks the heads of the records files against the spec."""
    for noticed in first_look.look(inputs, spec, with_labels):
        fact, _, remedy = noticed.text.rpartition("; ")
        level: Level = "error" if noticed.proven else "warning"
        why = "records that do not fit the spec are rejected, or go without what is missing"
        yield Finding("records", level, fact, why, remedy)


def check(
    spec: Spec, inputs: Sequence[str], media_roots: tuple[str, ...], training: bool = False
) -> Iterator[Finding]:
    """Reads the first records of each file, opens their media, and reports what would be lost.

    Args:
        spec: Spec by which the records are read.
        inputs: Patterns of records files.
        media_roots: Folders in which media are searched for.
        training: True if a preprocessing run reads the records, which uses groups and splits.
    """
    canonicalizer = Canonicalizer(spec, media_roots, check=True)
    outcomes: list[CanonicalRecord | Rejected] = []
    try:
        cloud.check_places(media_roots)
        for file in units.list_inputs(inputs):
            number = min(RECORDS_OF_FILE, MOST_RECORDS - len(outcomes))
            if not number:
                break
            for record in itertools.islice(_read(file, spec), number):
                if isinstance(record, RawRecord) and training:
                    record = read.for_training(record)
                if isinstance(record, RawRecord):
                    outcomes.append(canonicalizer.canonical(record))
                else:
                    outcomes.append(record)
    except (OptionsError, StorageError) as error:
        yield of_error("records", error, "a run would end here")
    if outcomes:
        yield _records(outcomes)
        limits = IssuesLimits.of(spec, None)
        for name, count in media_counts.of_outcomes(spec.modalities.names, outcomes).items():
            yield _media(name, count, limits)


def _read(file: units.InputFile, spec: Spec) -> Iterator[RawRecord | Rejected]:
    for unit in units.plan((file,)):
        yield from read.read(unit, spec.label_names)


def _records(outcomes: Sequence[CanonicalRecord | Rejected]) -> Finding:
    reasons = Counter(str(one.reason) for one in outcomes if isinstance(one, Rejected))
    rejected, number = sum(reasons.values()), len(outcomes)
    if not rejected:
        return Finding("records", "ok", f"none of the first {number} is rejected")
    ranked = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    most = reasons.most_common(1)[0][0]
    return Finding(
        "records",
        "error" if rejected == number else "warning",
        f"{rejected} of the first {number} would be rejected: {ranked}",
        "a run refuses where more are rejected than --rejected-limit",
        remedies.OF_REASON[Reason(most)],
    )


def _media(name: str, count: MediaCount, limits: IssuesLimits) -> Finding:
    if not count.lost:
        return Finding("media", "ok", f"of the first records, {name}: {count}")
    is_over = bool(limits.over({name: count}))
    why = "a run refuses where more are lost than --issues-limit" if is_over else ""
    return Finding(
        "media",
        "error" if is_over else "warning",
        f"of the first records, {name}: {count}",
        why or "their records would be used without them",
        remedies.OF_FLAW[count.commonest],
    )
