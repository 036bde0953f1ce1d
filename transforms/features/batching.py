"""Batch sizes for the feature graph: a number of records, or fewer if they are large."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tensorflow.core.example import example_pb2

from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord

_T = TypeVar("_T")

ROOM = 256 * 2**20
"""Bytes that the media of a batch may take in the graph, as estimated by `room`."""


def kwargs(count: int, room_of: Callable[[_T], int]) -> dict[str, Any]:
    """Returns the keyword arguments of `beam.BatchElements`.

    A batch has `count` elements, or fewer that take `ROOM` bytes together; an element that takes
    more is a batch alone.

    Args:
        count: Largest number of elements in a batch.
        room_of: Function that estimates the bytes of an element; see `room`.
    """
    return {
        "min_batch_size": count,
        "max_batch_size": count,
        "element_size_fn": lambda element: max(1, -(-count * room_of(element) // ROOM)),
    }


def room(media: Iterable[tuple[str, bytes]]) -> int:
    """Estimates the memory of canonical media in the feature graph, in bytes.

    Args:
        media: Pairs of a modality and a medium.
    """
    return sum(MEDIA[name].graph_bytes(len(content)) for name, content in media)


def record_room(record: CanonicalRecord) -> int:
    """Estimates the memory of a record's media in the feature graph, in bytes."""
    return room((name, getattr(record, name)) for name in MODALITIES)


def example_room(serialized: bytes) -> int:
    """Estimates the memory of the media in a serialized example, in bytes.

    Args:
        serialized: tf.Example of `raw_examples.from_record`.
    """
    feature = example_pb2.Example.FromString(serialized).features.feature
    return room((name, feature[name].bytes_list.value[0]) for name in MODALITIES if name in feature)
