"""Column names with a meaning: labels in input records, and columns of published scores."""

import dataclasses
from collections.abc import Collection

from triad_ml.transforms.records.values import MODALITIES, Provenance

LABEL_PREFIX = "labels."

NEVER_LABELS = frozenset({"id", *MODALITIES, "group", "split"})
"""Fields that are never labels, whatever the labels are called."""

DIGESTS = tuple(
    f"{field.name}_digest" for field in dataclasses.fields(Provenance) if field.name != "version"
)
"""What made a row, in the order of the columns."""

SCORES = ("id", "id_int", "modalities_used", "issues", "content_digest", *DIGESTS)
"""The columns of every published score, besides one a task and what passes through."""

REJECTED = ("id", "source", "stage", "reason", "detail", "payload_digest", *DIGESTS, "code_version")
"""The columns of every rejected record."""

FOLDERS = ("dt", "run", "window")
"""The keys in names of folders, `dt=2026-11-24`: readers take them for columns."""

TRIAD_PREFIX = "triad."
"""Columns of ours that callers will hardly have: where and when a record was, and texts."""

EXTRA_PREFIX = "extra_"
"""What a passthrough column begins with whose own name is taken."""

OTHERS = "other_fields"
"""The column of JSON objects that hold passthrough values that have no column of their own."""

_TAKEN = frozenset({*SCORES, *FOLDERS, OTHERS})


def is_taken(name: str) -> bool:
    """Whether a passthrough column may not have this name, which is in lower case.

    Readers of folders leave out what begins with an underscore, and some know no name without a
    letter; most take names that differ in case for one.
    """
    return name in _TAKEN or not name or name.startswith(("_", TRIAD_PREFIX))


def is_refused_task(name: str) -> bool:
    """Whether a task may not have this name: a column of ours, a folder, or a modality has it."""
    return is_taken(name) or name in MODALITIES or name.startswith(EXTRA_PREFIX)


def is_label(name: str, labels: Collection[str]) -> bool:
    """Whether a column is a label of its own."""
    return name.startswith(LABEL_PREFIX) or (name in labels and name not in NEVER_LABELS)
