"""Canonical records <-> serialized tf.Examples of the raw feature spec."""

import dataclasses

from tensorflow.core.example import example_pb2

from triad_ml.transforms.features.ids import NO_MARKER
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.labels.registry import LABELS
from triad_ml.transforms.records import scalars
from triad_ml.transforms.records.values import GROUP, CanonicalRecord
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.split import group_number
from triad_ml.transforms.spec.training import DATASET_FEATURE
from triad_ml.transforms.targets.registry import TARGETS

_PLACE = "place"  # beside the raw feature spec: the graph does not see it


@dataclasses.dataclass(frozen=True)
class CanonicalExample:
    """A canonical record as preprocessing keeps it between its passes.

    Attributes:
        serialized: A tf.Example of `preprocessing.raw_feature_spec`.
        unnamed: The tasks whose label cannot be used; they count as missing.
    """

    serialized: bytes
    unnamed: tuple[str, ...]


def from_record(record: CanonicalRecord, spec: Spec) -> CanonicalExample:
    """Serializes what the feature graph takes of a record."""
    example = example_pb2.Example()
    feature = example.features.feature
    feature["id"].bytes_list.value.append(record.id.encode())
    feature[_PLACE].int64_list.value.extend((record.position.unit, record.position.offset))
    number = group_number(record.id, record.group, spec.split)
    feature[GROUP].int64_list.value.append(number)
    for name in spec.modalities.names:
        feature[name].bytes_list.value.append(getattr(record, name))
    if spec.mixture is not None:
        feature[DATASET_FEATURE].bytes_list.value.append(_dataset(record, spec.mixture.by).encode())
    unnamed = []
    for name, task in spec.tasks.items():
        if task.marker:
            place = record.markers.get(name, NO_MARKER)
            feature[f"marker_{name}"].int64_list.value.extend(place)
        try:
            value = LABELS[task.kind].parse(record, task)
        except LabelError:
            unnamed.append(name)
            value = None
        TARGETS[task.kind].serialize(value, name, feature)
    return CanonicalExample(example.SerializeToString(deterministic=True), tuple(unnamed))


def _dataset(record: CanonicalRecord, by: str) -> str:
    """The name of a record's data set; empty where the record says none."""
    value = record.extra.get(by)
    return "" if scalars.is_missing(value) else scalars.text_of(value) or ""


def identity(serialized: bytes) -> tuple[str, int, int]:
    """The id of a serialized example, and the work unit and offset that it came from."""
    feature = example_pb2.Example.FromString(serialized).features.feature
    unit, offset = feature[_PLACE].int64_list.value
    return feature["id"].bytes_list.value[0].decode(), unit, offset
