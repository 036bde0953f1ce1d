"""Canonical records <-> serialized tf.Examples of the raw feature spec."""

import dataclasses

from tensorflow.core.example import example_pb2

from triad_ml.transforms.features.ids import NO_MARKER
from triad_ml.transforms.labels import classes as labels_classes
from triad_ml.transforms.labels import spans
from triad_ml.transforms.records import scalars
from triad_ml.transforms.records.values import CanonicalRecord
from triad_ml.transforms.spec.spec import Spec, Task
from triad_ml.transforms.spec.training import DATASET_FEATURE

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
    if spec.mixture is not None:
        feature[DATASET_FEATURE].bytes_list.value.append(_dataset(record, spec.mixture.by).encode())
    unnamed = []
    for name, task in spec.tasks.items():
        if task.marker:
            place = record.markers.get(name, NO_MARKER)
            feature[f"marker_{name}"].int64_list.value.extend(place)
        try:
            classes = _classes(record, name, task, example)
        except labels_classes.LabelError:
            unnamed.append(name)
            classes = None
        values = feature[f"label_{name}"].bytes_list.value
        values.extend(one.encode() for one in classes or ())
        feature[f"label_{name}_given"].int64_list.value.append(classes is not None)
    return CanonicalExample(example.SerializeToString(deterministic=True), tuple(unnamed))


def _dataset(record: CanonicalRecord, by: str) -> str:
    """The name of a record's data set; empty where the record says none."""
    value = record.extra.get(by)
    return "" if scalars.is_missing(value) else scalars.text_of(value) or ""


def _classes(
    record: CanonicalRecord, name: str, task: Task, example: example_pb2.Example
) -> tuple[str, ...] | None:
    """The classes of a label, those of spans with their places beside them, or a text."""
    if task.kind == "classification":
        return labels_classes.class_names(record.labels.get(task.label), task)
    if task.kind == "generation":
        written = labels_classes.target_text(record.labels.get(task.label))
        return None if written is None else (written,)
    found = spans.spans(record, task)
    for part in ("start", "end"):
        places = [getattr(span, part) for span in found or ()]
        example.features.feature[f"label_{name}.{part}"].int64_list.value.extend(places)
    return None if found is None else tuple(span.label for span in found)


def identity(serialized: bytes) -> tuple[str, int, int]:
    """The id of a serialized example, and the work unit and offset that it came from."""
    feature = example_pb2.Example.FromString(serialized).features.feature
    unit, offset = feature[_PLACE].int64_list.value
    return feature["id"].bytes_list.value[0].decode(), unit, offset
