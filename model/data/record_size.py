"""Estimated and largest size of a record of the training files."""

from triad_ml.model.layout import Layout
from triad_ml.model.towers.registry import TOWERS


def record_bytes(layout: Layout) -> int:
    """Estimates the decompressed size of one record, in bytes."""
    spec = layout.spec
    words = spec.modalities.text.length if spec.modalities.text is not None else 0
    total = 512 + sum(TOWERS[name].record_bytes(layout) for name in spec.modalities.names)
    return total + sum(task.record_bytes(words) for task in spec.tasks.values())


def longest_record(layout: Layout) -> int:
    """Returns the limit for the size of a record, in bytes; a longer one is damaged or hostile."""
    return 4 * record_bytes(layout) + 2**20
