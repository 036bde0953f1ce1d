"""Root transform `triad_ml.ReadRecords` for users' own Beam pipelines: reads files of records."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.read import ReadRecords
from triad_ml.transforms.records.values import RawRecord, Rejected


class FileRecords(dict[str, "beam.PCollection[Any]"]):
    """Outputs of `ReadFiles` by name: `records` and `rejected`.

    It is a mapping, so that Beam YAML finds each output by its name.
    """

    @property
    def records(self) -> "beam.PCollection[RawRecord]":
        """Records that were read."""
        return self["records"]

    @property
    def rejected(self) -> "beam.PCollection[Rejected]":
        """Lines and rows that are no records."""
        return self["rejected"]


class ReadFiles(beam.PTransform):
    """Reads the records of files; `triad_ml.ReadRecords` is this class.

    It is the root of a pipeline, and returns `.records`, which are `RawRecord`s, and `.rejected`;
    each line or row of a file is in exactly one of them. Both may be passed to `Score`, whose
    `.rejected` then also has the lines and rows that could not be read. Files are JSON Lines, CSV,
    Parquet or TFRecord, by their suffix; large ones are read in parts. A medium that a record names
    by a relative path is searched in the folder of the record's file.

    Args:
        inputs: Patterns of records files, local or `gs://`.
        labels: Names of fields that are labels; they do not pass through. A mapping `labels`, and
            fields such as `labels.category`, are always labels.

    Raises:
        OptionsError: When it is applied: a pattern matches nothing, or a file is of no known
            format.
        StorageError: When it is applied: a folder or a bucket cannot be listed.

    Examples:
        >>> import apache_beam as beam
        >>> import triad_ml
        >>> with beam.Pipeline("FnApiRunner") as root:
        ...     read = root | triad_ml.ReadRecords(["records/*.jsonl"], labels=["category"])
        ...     outcomes = (read.records, read.rejected) | beam.Flatten()
        ...     scores = outcomes | triad_ml.Score.from_model("model")
    """

    def __init__(self, inputs: Sequence[str], labels: Sequence[str] = ()) -> None:
        super().__init__()
        self._inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        self._labels = tuple(labels)

    @no_annotations
    def expand(self, root: beam.pvalue.PBegin) -> FileRecords:
        planned = units.plan(units.list_inputs(self._inputs))
        read = root | "Units" >> beam.Create(planned) | "Read" >> ReadRecords(self._labels)
        return FileRecords(records=read.records, rejected=read.rejected)
