"""How many records the feature graph takes at once: by count, or fewer where they are large."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tensorflow.core.example import example_pb2

from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord

_T = TypeVar("_T")

ROOM = 256 * 2**20
"""Bytes that the media of a batch may take in the graph, as `room` counts them."""


def kwargs(count: int, room_of: Callable[[_T], int]) -> dict[str, Any]:
    """What `beam.BatchElements` is to be given.

    Batches hold `count` elements, or fewer that take `ROOM` together; one that takes more is alone.

    Args:
        count: Of elements in a batch.
        room_of: Bytes that an element takes, see `room`.
    """
    return {
        "min_batch_size": count,
        "max_batch_size": count,
        "element_size_fn": lambda one: max(1, -(-count * room_of(one) // ROOM)),
    }


def room(media: Iterable[tuple[str, bytes]]) -> int:
    """About how many bytes canonical media take in the feature graph, each with its modality."""
    return sum(MEDIA[name].graph_bytes(len(content)) for name, content in media)


def record_room(record: CanonicalRecord) -> int:
    """`room` of a record."""
    return room((name, getattr(record, name)) for name in MODALITIES)


def example_room(serialized: bytes) -> int:
    """`room` of a serialized example, see `examples.from_record`."""
    feature = example_pb2.Example.FromString(serialized).features.feature
    return room((name, feature[name].bytes_list.value[0]) for name in MODALITIES if name in feature)
