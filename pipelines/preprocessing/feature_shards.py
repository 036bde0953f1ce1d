"""Features -> sharded, compressed TFRecords, encoded in whole record batches."""

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
from triad_ml.transforms.records import live
from triad_ml.transforms.records.values import GROUP
from triad_ml.transforms.targets import texts

_COMPRESSION = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


@dataclasses.dataclass(frozen=True)
class FeatureFile:
    """One complete shard.

    Attributes:
        path: Where it is.
        split: Of its records.
        shard: Its number.
        rows: Their number.
        bytes: Of the file.
        sha256: Of the file.
        spans: Labelled spans of the whole bundle by the name of their count, see
            `label_graphs.tags_graph`; one shard of a bundle tells them.
    """

    path: str
    split: str
    shard: int
    rows: int
    bytes: int
    sha256: str
    spans: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class WriteFeatures(beam.PTransform):
    """Writes record batches of features as tf.Examples, and gives each complete shard.

    A record's shard follows from its id: each shard is a fair sample of its bundle. Rows with an
    empty id only fill a batch up (see `fill_up`) and are not written.

    Args:
        split: Of these records.
        folder: Where files are written; whatever no output names is to be ignored.
        shards: Number of shards that a bundle is spread over.
        schema: Of the transformed features.
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
    """Serialized canonical examples -> record batches, of fewer rows where media are large.

    Args:
        rows: Of a batch, at most.
        schema: Of the raw features.
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

    Features are computed in the one shape in which the exported model is called: their last bits
    depend on it.
    """
    spare = rows - batch.num_rows
    if spare <= 0 or not batch.num_rows:
        return batch
    last = batch.slice(batch.num_rows - 1)
    for name in ("id", *media):
        place = last.schema.get_field_index(name)
        empty = pa.array([[b""]], last.schema.field(place).type)
        last = last.set_column(place, name, empty)
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
            self._files[shard].write(example)
            self._rows[shard] += 1

    def _count_spans(self, batch: pa.RecordBatch, ids: list[bytes]) -> None:
        """Counts labelled spans, and how they were aligned, of the rows that are written."""
        for name in batch.schema.names:
            if name.startswith("label_") and name.partition(".")[2] not in ("", texts.TEXT):
                values = batch.column(name).flatten().to_pylist()
                total = sum(n for n, record_id in zip(values, ids, strict=True) if record_id)
                self._spans[name] += total

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for shard, writer in sorted(self._files.items()):
            size, digest = writer.close()
            spans, self._spans = dict(self._spans), Counter()
            file = FeatureFile(
                writer.path, self._split, shard, self._rows[shard], size, digest, spans
            )
            yield WindowedValue(file, GlobalWindow().max_timestamp(), (GlobalWindow(),))
