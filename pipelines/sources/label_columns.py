"""Which fields of a record are labels: one rule for every format, without a heavy import."""

from collections.abc import Collection

from triad_ml.transforms.records.values import MODALITIES

LABEL_PREFIX = "labels."

RESERVED = frozenset({"id", *MODALITIES, "group", "split"})
"""Fields that are never labels, whatever the labels are called."""


def is_label(name: str, labels: Collection[str]) -> bool:
    """Whether a column is a label of its own."""
    return name.startswith(LABEL_PREFIX) or (name in labels and name not in RESERVED)
