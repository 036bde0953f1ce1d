"""Reserved column names: labels in input records, and columns of published scores."""

import dataclasses
from collections.abc import Collection

from triad_ml.transforms.records.values import MODALITIES, Provenance

LABEL_PREFIX = "labels."

NEVER_LABELS = frozenset({"id", *MODALITIES, "group", "split"})
"""Fields that are never labels, even if a task's label has such a name."""

DIGESTS = tuple(
    f"{field.name}_digest" for field in dataclasses.fields(Provenance) if field.name != "version"
)
"""Columns of the digests of a row's provenance, in the order of the table."""

SCORES = ("id", "id_int", "modalities_used", "issues", "content_digest", *DIGESTS)
"""Columns of every published score, besides one for each task and the passthrough columns."""

REJECTED = ("id", "source", "stage", "reason", "detail", "payload_digest", *DIGESTS, "code_version")
"""Columns of every rejected record."""

FOLDERS = ("dt", "run", "window")
"""Keys in folder names such as `dt=2026-11-24`; readers add them to the table as columns."""

TRIAD_PREFIX = "triad."
"""Prefix of Triad's optional columns (position, event time, texts); no others may have it."""

EXTRA_PREFIX = "extra_"
"""Prefix that a passthrough column gets if its name is taken."""

OTHERS = "other_fields"
"""Column of JSON objects with the passthrough fields that get no column."""

_TAKEN = frozenset({*SCORES, *FOLDERS, OTHERS})


def is_taken(name: str) -> bool:
    """Returns True if no passthrough column may have a name, which is in lower case.

    Readers of folders skip names that begin with an underscore, some refuse an empty name, and
    most treat names that differ only in case as one.
    """
    return name in _TAKEN or not name or name.startswith(("_", TRIAD_PREFIX))


def is_refused_task(name: str) -> bool:
    """Returns True if no task may have a name: a column, a folder key or a modality has it."""
    return is_taken(name) or name in MODALITIES or name.startswith(EXTRA_PREFIX)


def is_label(name: str, labels: Collection[str]) -> bool:
    """Returns True if a column of a table holds one label.

    Args:
        name: The column's name.
        labels: Keys of the labels that the tasks read.
    """
    return name.startswith(LABEL_PREFIX) or (name in labels and name not in NEVER_LABELS)
