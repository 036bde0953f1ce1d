"""Feature shards: compressed TFRecord files of tf.Examples, encoded in whole record batches."""

import dataclasses
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import (
    ExamplesToRecordBatchDecoder,
    RecordBatchToExamplesEncoder,
)
from tfx_bsl.public import tfxio

from triad_ml.pipelines.storage.tfrecord_writer import RecordFile
from triad_ml.transforms.features import batching
from triad_ml.transforms.records import copies, live
from triad_ml.transforms.records.values import GROUP
from triad_ml.transforms.targets import texts

_COMPRESSION = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


@dataclasses.dataclass(frozen=True)
class FeatureFile:
    """One complete shard.

    Attributes:
        path: Path of the file.
        split: Split of its records.
        shard: Number of the shard, from 0.
        rows: Number of records.
        bytes: Size of the file in bytes.
        sha256: SHA-256 of the file.
        spans: Counts of labelled spans of the whole bundle, by the name of the count, see
            `targets.spans.tags_graph`; only one shard of a bundle has them.
        copies: Number of copies of records among its rows, by change; see `effects.copies`.
    """

    path: str
    split: str
    shard: int
    rows: int
    bytes: int
    sha256: str
    spans: Mapping[str, int] = dataclasses.field(default_factory=dict)
    copies: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class WriteFeatures(beam.PTransform):
    """Writes record batches of features as tf.Examples, and returns the complete shards.

    A hash of a record's id chooses its shard, so that each shard is a fair sample of its bundle.
    Rows with an empty id only fill up a batch (see `fill_up`) and are not written.

    Args:
        split: Split of the records.
        folder: Folder to write to. Readers must ignore files that no element of the output names.
        shards: Number of shards that a bundle is spread over.
        schema: Schema of the transformed features.
    """

    split: str
    folder: str
    shards: int
    schema: schema_pb2.Schema

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[FeatureFile]:
        schema = grouped(self.schema)
        write = beam.ParDo(_WriteDoFn(self.split, self.folder, self.shards, schema))
        return batches | "Write" >> write.with_output_types(FeatureFile)


@dataclasses.dataclass
class Batch(beam.PTransform):
    """Decodes serialized canonical examples into record batches, of fewer rows for large media.

    Args:
        rows: Largest number of rows of a batch.
        schema: Schema of the raw features.
    """

    rows: int
    schema: schema_pb2.Schema

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, serialized: beam.PCollection[bytes]) -> beam.PCollection[pa.RecordBatch]:
        decode = beam.ParDo(_DecodeDoFn(grouped(self.schema).SerializeToString()))
        return (
            serialized
            | "Group" >> beam.BatchElements(**batching.kwargs(self.rows, batching.example_room))
            | "Decode" >> decode.with_output_types(pa.RecordBatch)
        )


class _DecodeDoFn(beam.DoFn):
    def __init__(self, schema: bytes) -> None:
        self._schema = schema

    def setup(self) -> None:
        self._decoder = ExamplesToRecordBatchDecoder(self._schema)

    def process(self, serialized: list[bytes]) -> Iterator[pa.RecordBatch]:
        live.add(len(serialized))
        yield self._decoder.DecodeBatch(serialized)


def grouped(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """Adds the column that numbers groups, which the feature graph does not see."""
    extended = schema_pb2.Schema()
    extended.CopyFrom(schema)
    extended.feature.add(
        name=GROUP,
        type=schema_pb2.INT,
        shape=schema_pb2.FixedShape(),
        presence=schema_pb2.FeaturePresence(min_fraction=1.0),
    )
    return extended


def adapter(schema: schema_pb2.Schema) -> tfxio.TensorAdapterConfig:
    """Describes batches of `Batch` to tf.Transform, which passes the groups on unread.

    Args:
        schema: Schema of the raw features.
    """
    whole = tfxio.TFExampleBeamRecord(
        physical_format="tfrecord", schema=grouped(schema)
    ).TensorAdapterConfig()
    read = {key: one for key, one in whole.tensor_representations.items() if key != GROUP}
    return tfxio.TensorAdapterConfig(whole.arrow_schema, read)


def fill_up(batch: pa.RecordBatch, rows: int, media: Sequence[str]) -> pa.RecordBatch:
    """Repeats the last row of a raw batch up to `rows` rows, with empty ids and without media.

    Features are computed in batches of the shape with which the exported model is called, since
    their last bits depend on the shape.
    """
    spare = rows - batch.num_rows
    if spare <= 0 or not batch.num_rows:
        return batch
    last = batch.slice(batch.num_rows - 1)
    for name in ("id", *media):
        index = last.schema.get_field_index(name)
        empty = pa.array([[b""]], last.schema.field(index).type)
        last = last.set_column(index, name, empty)
    return pa.concat_batches([batch, last.take(pa.array([0] * spare))])


class _WriteDoFn(beam.DoFn):
    def __init__(self, split: str, folder: str, shards: int, schema: schema_pb2.Schema) -> None:
        self._split = split
        self._folder = folder
        self._shards = shards
        self._schema = schema

    def setup(self) -> None:
        self._encoder = RecordBatchToExamplesEncoder(self._schema)

    def start_bundle(self) -> None:
        self._files: dict[int, RecordFile] = {}
        self._rows: dict[int, int] = {}
        self._spans: Counter[str] = Counter()
        self._copies: dict[int, Counter[str]] = {}

    def process(self, batch: pa.RecordBatch) -> None:
        ids = batch.column("id").flatten().to_pylist()
        self._count_spans(batch, ids)
        encoded = self._encoder.encode(batch)
        for record_id, example in zip(ids, encoded, strict=True):
            if not record_id:
                continue
            shard = zlib.crc32(record_id) % self._shards
            if shard not in self._files:
                path = f"{self._folder}/{self._split}-{shard}-{uuid.uuid4().hex}"
                self._files[shard] = RecordFile(path, _COMPRESSION)
                self._rows[shard] = 0
                self._copies[shard] = Counter()
            self._files[shard].write(example)
            self._rows[shard] += 1
            change = copies.change_of(record_id.decode())
            if change:
                self._copies[shard][change] += 1

    def _count_spans(self, batch: pa.RecordBatch, ids: list[bytes]) -> None:
        """Adds the counts of labelled spans and their alignment, of the records, not of copies."""
        counted = [bool(one) and not copies.change_of(one.decode()) for one in ids]
        for name in batch.schema.names:
            if name.startswith("label_") and name.partition(".")[2] not in ("", texts.TEXT):
                values = batch.column(name).flatten().to_pylist()
                total = sum(n for n, counts in zip(values, counted, strict=True) if counts)
                self._spans[name] += total

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for shard, writer in sorted(self._files.items()):
            size, digest = writer.close()
            spans, self._spans = dict(self._spans), Counter()
            file = FeatureFile(
                writer.path,
                self._split,
                shard,
                self._rows[shard],
                size,
                digest,
                spans,
                dict(self._copies[shard]),
            )
            yield WindowedValue(file, GlobalWindow().max_timestamp(), (GlobalWindow(),))
