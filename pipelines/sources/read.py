"""Registry of the readers of records files, and the transform that reads units of work."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.sources import csv_rows, jsonl, tfrecord
from triad_ml.pipelines.sources.columnar import parquet
from triad_ml.pipelines.sources.files import InputFile, Reader, Unit
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records import live, scalars
from triad_ml.transforms.records.digests import payload_digest
from triad_ml.transforms.records.values import RawRecord, Reason, Rejected

REJECTED = "rejected"
KINDS = "kinds"

_FORMATS: tuple[Reader, ...] = (
    jsonl.JsonlReader(),
    csv_rows.CsvReader(),
    parquet.ParquetReader(),
    tfrecord.TfRecordReader(),
)

READERS: Mapping[str, Reader] = {
    suffix: reader for reader in _FORMATS for suffix in reader.suffixes
}
"""Readers of records files by suffix of the file name, in lower case."""

SUFFIXES = tuple(READERS)
"""Suffixes of the names of files that are read, in lower case."""

MOST_OPENED = 64
"""Largest number of files that an estimate of the number of records opens."""


class Read(NamedTuple):
    """Outputs of `ReadRecords`.

    Attributes:
        records: Records.
        rejected: Lines and rows that are no records.
        kinds: Triples of a column, the kind of its values and the file.
    """

    records: beam.PCollection[RawRecord]
    rejected: beam.PCollection[Rejected]
    kinds: beam.PCollection[tuple[str, str, str]]


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the records of a unit, in the order of the file, one at a time.

    Each line or row is either a record or rejected. A medium that cannot be read from its source is
    a `BrokenMedium`, and the record continues without it.

    Args:
        unit: Unit from `units.plan`.
        labels: Names of the labels that the spec's tasks read. In a record without a mapping
            `labels`, fields of these names, and fields `labels.<name>`, are labels.

    Raises:
        OptionsError: A file cannot be read to its end without losing records.
        StorageError: A file cannot be opened, or changed since the plan.
    """
    return reader(unit.uri).read(unit, labels)


def _known_suffix(uri: str) -> str:
    name = uri.lower()
    for known in SUFFIXES:
        if name.endswith(known):
            return known
    raise OptionsError(
        f"{uri}: the format is not known; a name ends in {', '.join(SUFFIXES)}; "
        "leave other files out of the pattern"
    )


def suffix(uri: str) -> str:
    """Returns the suffix of a file's name, one of `SUFFIXES`; for `.ndjson`, that is `.jsonl`.

    Raises:
        OptionsError: The name has no known suffix.
    """
    return _known_suffix(uri).replace(".ndjson", ".jsonl")


def reader(uri: str) -> Reader:
    """Returns the reader of a file, by the suffix of its name.

    Raises:
        OptionsError: The name has no known suffix.
    """
    return READERS[_known_suffix(uri)]


def estimated_records(inputs: Sequence[InputFile]) -> int | None:
    """Estimates the number of records in files, by their average line.

    At most `MOST_OPENED` files are looked at, evenly spaced; the others count by their bytes.

    Returns None if one of these is compressed or TFRecord, since its records can only be counted by
    reading all of it.

    Raises:
        StorageError: A file cannot be read.
    """
    filled = [file for file in inputs if file.size]
    opened = filled[:: math.ceil(len(filled) / MOST_OPENED) or 1]
    total = 0.0
    for file in opened:
        records = reader(file.uri).records(file)
        if records is None:
            return None
        total += records
    bytes_opened = sum(file.size for file in opened)
    return round(total * sum(file.size for file in filled) / max(bytes_opened, 1))


def for_training(record: RawRecord) -> RawRecord | Rejected:
    """Returns the record; rejects one with an invalid group or split, which only training uses."""
    detail = record.untrainable
    if not detail:
        return record
    digest = payload_digest(record)
    return Rejected(record.id, record.position, "read", Reason.UNPARSABLE, detail, digest)


@dataclasses.dataclass
class ReadRecords(beam.PTransform):
    """Reads units of work; each line or row is in exactly one of `.records` and `.rejected`.

    `.kinds` has, once for each unit, the kinds in which its file stores ids, groups and labels:
    triples of the column, the kind as `scalars.kind_of` names it, and the file.

    Args:
        labels: Names of the labels that the spec's tasks read, see `read`.
        training: True if records with an invalid group or split are rejected. Scoring uses neither,
            and does not check them.
    """

    labels: tuple[str, ...] = ()
    training: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    @no_annotations  # Beam warns about annotations that it cannot use.
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
        if value is not None:  # A missing label is stored in no kind.
            yield f"labels.{name}", scalars.kind_of(value)
