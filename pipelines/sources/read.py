"""Sources: JSON lines, CSV, Parquet and TFRecord files -> raw records."""

import dataclasses
import logging
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

READERS: Mapping[str, Reader] = {suffix: one for one in _FORMATS for suffix in one.suffixes}
"""The readers of records files, by the end of a file's name in any case."""

SUFFIXES = tuple(READERS)
"""The ends of names of files that are read, in lower case."""

_log = logging.getLogger(__name__)


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
    """The one of `SUFFIXES` with which the name ends; `.ndjson` is another name of `.jsonl`.

    Raises:
        OptionsError: Where there is none.
    """
    return _known_suffix(uri).replace(".ndjson", ".jsonl")


def reader(uri: str) -> Reader:
    """The reader of a file, by the end of its name.

    Raises:
        OptionsError: Where there is none.
    """
    return READERS[_known_suffix(uri)]


def estimated_records(inputs: Sequence[InputFile]) -> int | None:
    """About how many records files hold, by their average line.

    None, with a line in the log, where one is compressed or TFRecord: only reading it tells.

    Raises:
        StorageError: Where a file cannot be read.
    """
    total = 0.0
    for file in inputs:
        if not file.size:
            continue
        records = reader(file.uri).records(file)
        if records is None:
            _log.info(
                "%s: only reading tells how many records it holds, so no time left is shown",
                file.uri,
            )
            return None
        total += records
    return round(total)


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
