"""Serialization of canonical records as tf.Examples of the raw feature spec."""

import dataclasses

from tensorflow.core.example import example_pb2

from triad_ml.transforms.features.ids import NO_MARKER
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.labels.registry import LABELS
from triad_ml.transforms.records import scalars
from triad_ml.transforms.records.copies import original_id
from triad_ml.transforms.records.values import GROUP, CanonicalRecord
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.split import ALONE, KeptTogether, group_number
from triad_ml.transforms.spec.training import DATASET_FEATURE
from triad_ml.transforms.targets.registry import TARGETS

_POSITION = "place"  # not in the raw feature spec, so that the graph does not read it


@dataclasses.dataclass(frozen=True)
class CanonicalExample:
    """A canonical record in the form that preprocessing stores between its passes.

    Attributes:
        serialized: Serialized tf.Example of `preprocessing_fn.raw_feature_spec`.
        unnamed: Names of the tasks whose label cannot be used, and counts as missing.
    """

    serialized: bytes
    unnamed: tuple[str, ...]


def from_record(
    record: CanonicalRecord, spec: Spec, together: KeptTogether = ALONE
) -> CanonicalExample:
    """Serializes the parts of a record that the feature graph reads."""
    example = example_pb2.Example()
    feature = example.features.feature
    feature["id"].bytes_list.value.append(record.id.encode())
    feature[_POSITION].int64_list.value.extend((record.position.unit, record.position.offset))
    number = group_number(original_id(record.id), record.group, spec.split, together)
    feature[GROUP].int64_list.value.append(number)
    for name in spec.modalities.names:
        feature[name].bytes_list.value.append(getattr(record, name))
    if spec.mixture is not None:
        feature[DATASET_FEATURE].bytes_list.value.append(_dataset(record, spec.mixture.by).encode())
    unnamed = []
    for name, task in spec.tasks.items():
        if task.marker:
            marker = record.markers.get(name, NO_MARKER)
            feature[f"marker_{name}"].int64_list.value.extend(marker)
        try:
            value = LABELS[task.kind].parse(record, task)
        except LabelError:
            unnamed.append(name)
            value = None
        TARGETS[task.kind].serialize(value, name, feature)
    return CanonicalExample(example.SerializeToString(deterministic=True), tuple(unnamed))


def _dataset(record: CanonicalRecord, by: str) -> str:
    """Returns the name of a record's data set; empty if the record names none."""
    value = record.extra.get(by)
    return "" if scalars.is_missing(value) else scalars.text_of(value) or ""


def identity(serialized: bytes) -> tuple[str, int, int]:
    """Returns the id of a serialized example, and the unit of work and offset of its record."""
    feature = example_pb2.Example.FromString(serialized).features.feature
    unit, offset = feature[_POSITION].int64_list.value
    return feature["id"].bytes_list.value[0].decode(), unit, offset
