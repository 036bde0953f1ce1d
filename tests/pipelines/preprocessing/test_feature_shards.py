"""Feature shards: the shard of each record, the encoded features, and the rows that fill up."""

import hashlib
import zlib
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.testing.util import assert_that

from triad_ml.pipelines.preprocessing.feature_shards import (
    Batch,
    FeatureFile,
    WriteFeatures,
    fill_up,
)
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.storage import json_files
from triad_ml.transforms.features import batching

DESCRIPTION = {
    "id": tf.io.FixedLenFeature([], tf.string),
    "audio": tf.io.FixedLenFeature([2], tf.float32),
    "label_kind": tf.io.VarLenFeature(tf.int64),
}
SCHEMA = tft.DatasetMetadata.from_feature_spec(DESCRIPTION).schema


def batch(first: int, rows: int) -> pa.RecordBatch:
    numbers = range(first, first + rows)
    return pa.RecordBatch.from_pydict(
        {
            "audio": pa.array([[n / 2, -n] for n in numbers], pa.large_list(pa.float32())),
            "id": pa.array([[f"r{n}".encode()] for n in numbers], pa.large_list(pa.large_binary())),
            "label_kind": pa.array(
                [list(range(n % 3)) for n in numbers], pa.large_list(pa.int64())
            ),
        }
    )


def written(folder: Path, batches, shards: int) -> list[FeatureFile]:
    folder.mkdir()
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        features = root | beam.Create(batches, reshuffle=False)
        listed = features | WriteFeatures("train", str(folder), shards, SCHEMA)
        listed | json_files.WriteJson(folder / "shards.json")
    return [FeatureFile(**file) for file in json_files.read(folder / "shards.json")]


def rows_of(file: FeatureFile) -> dict[str, tuple[list[float], list[int]]]:
    rows = {}
    for serialized in tf.data.TFRecordDataset(file.path, "GZIP"):
        parsed = tf.io.parse_single_example(serialized, DESCRIPTION)
        labels = parsed["label_kind"].values.numpy().tolist()
        rows[parsed["id"].numpy().decode()] = parsed["audio"].numpy().tolist(), labels
    return rows


def wanted(numbers) -> dict[str, tuple[list[float], list[int]]]:
    return {f"r{n}": ([n / 2, float(-n)], list(range(n % 3))) for n in numbers}


def test_each_record_is_in_the_shard_of_its_id(tmp_path):
    files = written(tmp_path / "shards", [batch(0, 7), batch(7, 4)], shards=3)
    merged: dict[str, tuple[list[float], list[int]]] = {}
    for file in files:
        rows = rows_of(file)
        assert len(rows) == file.rows > 0
        assert {zlib.crc32(name.encode()) % 3 for name in rows} == {file.shard}
        assert file.split == "train"
        content = Path(file.path).read_bytes()
        assert content[:2] == b"\x1f\x8b"
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        merged |= rows
    assert merged == wanted(range(11))
    assert {str(path) for path in (tmp_path / "shards").glob("train-*")} == {f.path for f in files}


def test_bundles_that_are_done_again_give_the_same_rows_in_other_files(tmp_path):
    first, second = (written(tmp_path / name, [batch(0, 9)], shards=2) for name in ("a", "b"))
    assert [list(rows_of(file).items()) for file in first] == [
        list(rows_of(file).items()) for file in second
    ]
    assert not {Path(file.path).name for file in first} & {Path(file.path).name for file in second}


def test_rows_that_only_fill_a_batch_up_are_not_written(tmp_path):
    (file,) = written(tmp_path / "shards", [fill_up(batch(0, 3), 32, ())], shards=1)
    assert file.rows == 3
    assert rows_of(file) == wanted(range(3))


@pytest.mark.parametrize("rows", [1, 3, 31])
def test_a_filled_batch_repeats_its_last_row_without_id_and_media(rows):
    pictures = [[b"picture %d" % row] for row in range(rows)]
    whole = batch(5, rows).append_column(
        "image", pa.array(pictures, pa.large_list(pa.large_binary()))
    )
    filled = fill_up(whole, 32, ("image",))
    assert filled.schema == whole.schema
    assert filled.num_rows == 32
    assert filled.slice(0, rows).equals(whole)
    last = whole.slice(rows - 1).to_pylist()[0]
    spare = {**last, "id": [b""], "image": [b""]}
    assert filled.slice(rows).to_pylist() == [spare] * (32 - rows)


@pytest.mark.parametrize("rows", [0, 32, 40])
def test_a_batch_without_room_or_rows_stays_as_it_is(rows):
    whole = batch(0, rows)
    assert fill_up(whole, 32, ()) is whole


def test_a_batch_has_fewer_rows_where_media_are_large(monkeypatch):
    """Room and media are a 64th of what they are elsewhere: what is large is so by its share."""
    monkeypatch.setattr(batching, "ROOM", batching.ROOM // 64)

    def example(number: int, **media: bytes) -> bytes:
        made = tf.train.Example()
        for name, value in {"id": b"r%d" % number, "image": b"", "text": b"", **media}.items():
            made.features.feature[name].bytes_list.value.append(value)
        return made.SerializeToString(deterministic=True)

    pictures = [example(number, image=bytes(100 * 2**14)) for number in range(3)]
    texts = [example(3 + number, text=b"a" * 2**13) for number in range(3)]
    small = [example(6 + number, text=b"a fan") for number in range(50)]
    names = ("id", "image", "text")
    description = {name: tf.io.FixedLenFeature([], tf.string) for name in names}
    schema = tft.DatasetMetadata.from_feature_spec(description).schema
    given = [*pictures, *texts, *small]

    def check(found: list[list[int]]) -> None:
        assert sorted(row for rows in found for row in rows) == list(range(56))
        for rows in found:
            assert len(rows) <= 48
            assert sum(batching.example_room(given[row]) for row in rows) <= batching.ROOM
        assert max(map(len, found)) > 24
        assert [0, 1] in found

    with beam.Pipeline(options=beam_options.beam_options()) as root:
        serialized = root | beam.Create([None]) | beam.FlatMap(lambda _: given)
        grouped = serialized | Batch(48, schema)
        ids = grouped | beam.Map(lambda one: [int(row[0][1:]) for row in one["id"].to_pylist()])
        assert_that(ids, check)
