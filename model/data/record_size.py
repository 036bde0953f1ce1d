"""The size of a record of the training files."""

from triad_ml.model.layout import Layout
from triad_ml.model.towers.registry import TOWERS


def record_bytes(layout: Layout) -> int:
    """About how many bytes one record takes, decompressed."""
    spec = layout.spec
    words = spec.modalities.text.length if spec.modalities.text is not None else 0
    total = 512 + sum(TOWERS[name].record_bytes(layout) for name in spec.modalities.names)
    return total + sum(task.record_bytes(words) for task in spec.tasks.values())


def longest_record(layout: Layout) -> int:
    """No record takes more bytes than this; what claims more is damaged or hostile."""
    return 4 * record_bytes(layout) + 2**20
