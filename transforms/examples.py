"""Canonical records <-> serialized tf.Examples of the raw feature spec."""

import dataclasses

from tensorflow.core.example import example_pb2

from transforms import labels
from transforms.records import CanonicalRecord
from transforms.spec import Spec

_PLACE = "place"  # beside the raw feature spec: the graph does not see it


@dataclasses.dataclass(frozen=True)
class CanonicalExample:
    """A canonical record as preprocessing keeps it between its passes.

    Attributes:
        serialized: A tf.Example of `preprocessing.raw_feature_spec`.
        unnamed: The tasks whose label names no class; they count as missing.
    """

    serialized: bytes
    unnamed: tuple[str, ...]


def from_record(record: CanonicalRecord, spec: Spec) -> CanonicalExample:
    """Serializes what the feature graph takes of a record."""
    example = example_pb2.Example()
    feature = example.features.feature
    feature["id"].bytes_list.value.append(record.id.encode())
    feature[_PLACE].int64_list.value.extend((record.position.unit, record.position.offset))
    for name in spec.modalities.names:
        feature[name].bytes_list.value.append(getattr(record, name))
    unnamed = []
    for name, task in spec.tasks.items():
        try:
            classes = labels.class_names(record.labels.get(task.label), task)
        except labels.LabelError:
            unnamed.append(name)
            classes = None
        values = feature[f"label_{name}"].bytes_list.value
        values.extend(one.encode() for one in classes or ())
        feature[f"label_{name}_given"].int64_list.value.append(classes is not None)
    return CanonicalExample(example.SerializeToString(deterministic=True), tuple(unnamed))


def identity(serialized: bytes) -> tuple[str, int, int]:
    """The id of a serialized example, and the work unit and offset that it came from."""
    feature = example_pb2.Example.FromString(serialized).features.feature
    unit, offset = feature[_PLACE].int64_list.value
    return feature["id"].bytes_list.value[0].decode(), unit, offset
