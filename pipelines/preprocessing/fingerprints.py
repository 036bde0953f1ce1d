"""Fingerprints of the media of canonical records: files that workers write."""

import dataclasses
import io
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from triad_ml.pipelines.storage import atomic, cloud
from triad_ml.transforms.duplicates.registry import FINGERPRINTS
from triad_ml.transforms.records import live
from triad_ml.transforms.records.values import CanonicalRecord
from triad_ml.transforms.spec.spec import Spec

_ROWS_OF_FILE = 4_096
KEYS = pa.schema(
    [
        ("id", pa.large_string()),
        ("unit", pa.int64()),
        ("offset", pa.int64()),
        ("group", pa.large_string()),
        ("split", pa.string()),
    ]
)
"""Columns of a file besides those of the media; `split` is the one that the record names."""


@dataclasses.dataclass
class WriteFingerprints(beam.PTransform):
    """Writes the fingerprints of the media of canonical records; returns the paths of the files.

    Args:
        spec: Spec with the modalities.
        folder: Folder to write to. Readers must ignore files that no element names.
        counts: True if this step counts the records for the progress display, as no other does.
    """

    spec: Spec
    folder: str
    counts: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, records: beam.PCollection[CanonicalRecord]) -> beam.PCollection[str]:
        write = beam.ParDo(_WriteDoFn(self.spec, self.folder, self.counts))
        return records | "Write" >> write.with_output_types(str)


class _WriteDoFn(beam.DoFn):
    """Writes a file for each `_ROWS_OF_FILE` records of a bundle, and one for the others."""

    def __init__(self, spec: Spec, folder: str, counts: bool) -> None:
        self._spec = spec
        self._folder = folder
        self._counts = counts

    def start_bundle(self) -> None:
        self._rows: list[dict[str, object]] = []
        self._done = live.Batched()

    def process(self, record: CanonicalRecord) -> Iterator[str]:
        row: dict[str, object] = {
            "id": record.id,
            "unit": record.position.unit,
            "offset": record.position.offset,
            "group": record.group,
            "split": record.split,
        }
        for name in self._spec.modalities.names:
            medium = getattr(record, name)
            row[f"has_{name}"] = bool(medium)
            row[name] = FINGERPRINTS[name].of(medium, self._spec.modalities) if medium else None
        self._rows.append(row)
        if self._counts:
            self._done.one()
        if len(self._rows) == _ROWS_OF_FILE:
            yield self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._done.tell()
        if self._rows:
            yield WindowedValue(self._write(), GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def _write(self) -> str:
        table = pa.Table.from_pylist(self._rows, _schema(self._spec.modalities.names))
        content = io.BytesIO()
        with pa.ipc.new_file(content, table.schema) as writer:
            writer.write_table(table)
        path = f"{self._folder}/fingerprints-{uuid.uuid4().hex}.arrow"
        atomic.put(path, content.getvalue())
        self._rows = []
        return path


def local(path: str, folder: str, number: int) -> str:
    """Returns the path of a file on this machine; one in a bucket is copied to `folder`."""
    if not path.startswith(cloud.SCHEME):
        return path
    copy = f"{folder}/{number}.arrow"
    Path(copy).write_bytes(atomic.read_bytes(path))
    return copy


def read(path: str) -> pa.Table:
    """Maps a local file: `KEYS`, and `has_NAME` and the fingerprint `NAME` of each modality."""
    with pa.memory_map(path) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def _schema(names: Sequence[str]) -> pa.Schema:
    media = [
        field
        for name in names
        for field in (
            pa.field(f"has_{name}", pa.bool_()),
            pa.field(name, pa.binary(FINGERPRINTS[name].size)),
        )
    ]
    return pa.schema([*KEYS, *media])
