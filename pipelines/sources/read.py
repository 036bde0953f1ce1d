"""Sources: JSON lines, CSV, Parquet and TFRecord files -> raw records."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.sources import csv_rows, jsonl, tfrecord, units
from triad_ml.pipelines.sources.columnar import parquet
from triad_ml.pipelines.sources.units import Unit
from triad_ml.transforms.records import live, scalars
from triad_ml.transforms.records.digests import payload_digest
from triad_ml.transforms.records.values import RawRecord, Reason, Rejected

REJECTED = "rejected"
KINDS = "kinds"

_READERS = {
    ".jsonl": jsonl.read,
    ".csv": csv_rows.read,
    ".parquet": parquet.read,
    ".tfrecord": tfrecord.read,
}


class Read(NamedTuple):
    records: beam.PCollection[RawRecord]
    rejected: beam.PCollection[Rejected]
    kinds: beam.PCollection[tuple[str, str, str]]


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the records of a unit, in the order of the file, one at a time.

    Each line or row is either a record or rejected. A medium that its source cannot give is a
    `BrokenMedium`; the record goes on.

    Args:
        unit: From `units.plan`.
        labels: The label names that the spec's tasks read: where a record has no mapping `labels`,
            fields of these names, and any `labels.<name>`, are labels.

    Raises:
        OptionsError: Where a file cannot be read to its end without losing records.
        StorageError: Where a file cannot be opened, or changed since the plan.
    """
    return _READERS[units.suffix(unit.uri).removesuffix(".gz")](unit, labels)


def for_training(record: RawRecord) -> RawRecord | Rejected:
    """The record; rejected where its group or split, which only training uses, is none."""
    why = record.untrainable
    if not why:
        return record
    digest = payload_digest(record)
    return Rejected(record.id, record.position, "read", Reason.UNPARSABLE, why, digest)


@dataclasses.dataclass
class ReadRecords(beam.PTransform):
    """Units -> `.records` and `.rejected`; each line or row is in exactly one of them.

    `.kinds` has, once a unit, how its file stores the ids, groups and labels of its records: the
    column, the kind in the words of `scalars.kind_of`, and the file.

    Args:
        labels: See `read`.
        training: Reject records whose group or split is of a wrong form; otherwise they are of no
            use, as in scoring, and are not looked at.
    """

    labels: tuple[str, ...] = ()
    training: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    @no_annotations  # Beam warns of each that it cannot use
    def expand(self, work: beam.PCollection[Unit]) -> Read:
        read_units = beam.FlatMap(self._read).with_output_types(RawRecord)
        outputs = work | "ReadUnits" >> read_units.with_outputs(REJECTED, KINDS, main="records")
        return Read(outputs["records"], outputs[REJECTED], outputs[KINDS])

    @no_annotations
    def _read(
        self, unit: Unit
    ) -> Iterator[RawRecord | beam.pvalue.TaggedOutput[Literal["rejected", "kinds"], Any]]:
        records_read = Metrics.counter(ReadRecords, "records_read")
        records_rejected = Metrics.counter(ReadRecords, "records_rejected")
        kinds: set[tuple[str, str]] = set()
        for outcome in read(unit, self.labels):
            if isinstance(outcome, RawRecord):
                kinds.update(_kinds(outcome))
                if self.training:
                    outcome = for_training(outcome)
            if isinstance(outcome, Rejected):
                live.add(1)
                records_rejected.inc()
                yield beam.pvalue.TaggedOutput(REJECTED, outcome)
            else:
                records_read.inc()
                yield outcome
        for column, kind in sorted(kinds):
            yield beam.pvalue.TaggedOutput(KINDS, (column, kind, unit.uri))


def _kinds(record: RawRecord) -> Iterator[tuple[str, str]]:
    of_id, of_group = record.kinds
    yield "id", of_id
    if of_group is not None:
        yield "group", of_group
    for name, value in record.labels.items():
        if value is not None:  # a label that is not there is stored in no way
            yield f"labels.{name}", scalars.kind_of(value)


class FileRecords(dict[str, "beam.PCollection[Any]"]):
    """Outputs of `ReadFiles` by name: `records` and `rejected`.

    It is a mapping so that Beam YAML finds each output by its name.
    """

    @property
    def records(self) -> "beam.PCollection[RawRecord]":
        """Records."""
        return self["records"]

    @property
    def rejected(self) -> "beam.PCollection[Rejected]":
        """Lines and rows that are no records."""
        return self["rejected"]


class ReadFiles(beam.PTransform):
    """Reads the records of files; `triad_ml.ReadRecords` is this class.

    It begins a pipeline, and gives `.records`, which are `RawRecord`s, and `.rejected`: each line
    or row of a file is in exactly one of them. Both may go to `Score`, whose `.rejected` then has
    what could not be read too. Files are JSON Lines, CSV, Parquet or TFRecord, by
    their suffix; large ones are read in parts. A medium that a record names by a relative path is
    looked for in the folder of its file.

    Args:
        inputs: Patterns of records files, local or `gs://`.
        labels: Names of fields that are labels; they do not pass through. A mapping `labels`, and
            fields such as `labels.category`, are labels in any case.

    Raises:
        OptionsError: On being applied, where a pattern matches nothing or a file is of no known
            format.
        StorageError: On being applied, where a folder or a bucket cannot be listed.

    Example:
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
