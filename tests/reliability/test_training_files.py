"""Damaged and hostile training files: one error line with file and offset, and no crash."""

import gzip
import re
import shutil
import struct
import tracemalloc
from pathlib import Path

import google_crc32c
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model.data import record_size, scan
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.storage import json_files
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.hashing import file_digest

LAYOUT = features.layout(["text"])


def masked_crc(content: bytes) -> int:
    crc = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame(content: bytes, length: int | None = None) -> bytes:
    """A frame whose length, true or not, has the right checksum."""
    head = struct.pack("<Q", len(content) if length is None else length)
    return (
        head
        + struct.pack("<I", masked_crc(head))
        + content
        + struct.pack("<I", masked_crc(content))
    )


def read(path: Path, **options: object) -> scan.Survey:
    return scan.survey([str(path)], LAYOUT, **options)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three records, written by TensorFlow."""
    made = features.records(LAYOUT, 3)
    (path,) = features.write(tmp_path_factory.mktemp("shard"), LAYOUT, made, num_shards=1)
    return Path(path)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Where a test writes what became of the shard."""
    return tmp_path / "damaged.tfrecord.gz"


def begins(content: bytes) -> list[int]:
    """Where each frame begins, and the end of the last."""
    places = [0]
    while places[-1] < len(content):
        places.append(places[-1] + 16 + struct.unpack_from("<Q", content, places[-1])[0])
    return places


def test_each_flipped_byte_is_found_with_its_frame(shard: Path, damaged: Path) -> None:
    content = gzip.decompress(shard.read_bytes())
    places = begins(content)
    assert len(places) == 4
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        damaged.write_bytes(gzip.compress(flipped, 1))
        record = sum(begin <= place for begin in places) - 1
        with pytest.raises(OptionsError) as refused:
            read(damaged)
        where = f"at byte {places[record]} (record {record})"
        assert str(refused.value).startswith(f"{damaged}: the TFRecord frame {where} is broken: it")
        assert str(refused.value).endswith(
            "cannot be trusted, run triad preprocess with a new --output"
        )


def test_each_cut_of_the_records_is_found(shard: Path, damaged: Path) -> None:
    content = gzip.decompress(shard.read_bytes())
    places = begins(content)
    written = {str(damaged): scan.Shard(3, file_digest(shard))}
    for size in range(len(content)):
        damaged.write_bytes(gzip.compress(content[:size], 1))
        if size in places:  # whole records: only the digest knows that there were more
            assert read(damaged).num_records == places.index(size)
            with pytest.raises(OptionsError, match="is not the file that preprocessing wrote"):
                read(damaged, shards=written)
            continue
        record = sum(begin <= size for begin in places) - 1
        where = re.escape(f"at byte {places[record]} (record {record}) is broken: it is cut off")
        with pytest.raises(OptionsError, match=where):
            read(damaged, shards=written)


def test_each_flipped_byte_of_the_compressed_file_is_found(shard: Path, damaged: Path) -> None:
    stored = shard.read_bytes()
    written = {str(damaged): scan.Shard(3, file_digest(shard))}
    whole = read(shard).records.numpy().tolist()
    harmless = 0
    for place in range(len(stored)):
        flipped = bytearray(stored)
        flipped[place] ^= 0x10
        damaged.write_bytes(flipped)
        with pytest.raises(OptionsError, match=f"^{re.escape(str(damaged))}: "):
            read(damaged, shards=written)
        try:
            assert read(damaged).records.numpy().tolist() == whole
            harmless += 1
        except OptionsError:
            pass
    assert harmless <= 8  # the header's flags, time, level and system


def test_each_cut_of_the_compressed_file_is_found(shard: Path, damaged: Path) -> None:
    stored = shard.read_bytes()
    for size in range(1, len(stored)):
        damaged.write_bytes(stored[:size])
        message = (
            r"at byte \d+ \(record \d\) is broken: the file cannot be inflated after \d+ bytes"
        )
        with pytest.raises(OptionsError, match=message):
            read(damaged)
    damaged.write_bytes(b"")
    with pytest.raises(OptionsError, match="is not the file that preprocessing wrote"):
        read(damaged, shards={str(damaged): scan.Shard(3, file_digest(shard))})


@pytest.mark.parametrize("length", [2**64 - 8, 2**63, 2**40, 2**30, 2**21])
@pytest.mark.parametrize("after", [0, 2])
def test_a_lying_length_is_refused_before_memory_is_reserved(
    shard: Path, damaged: Path, length: int, after: int
) -> None:
    content = gzip.decompress(shard.read_bytes())
    begin = begins(content)[after]
    damaged.write_bytes(gzip.compress(content[:begin] + frame(b"abc", length)))
    read(shard)  # what TensorFlow allocates once
    tracemalloc.start()
    with pytest.raises(OptionsError) as refused:
        read(damaged)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(refused.value) == (
        f"{damaged}: the TFRecord frame at byte {begin} (record {after}) is broken: it claims "
        f"{length} bytes, over {record_size.longest_record(LAYOUT)}; the rest of the file cannot "
        "be trusted, run triad preprocess with a new --output"
    )
    assert peak < 16 * 2**20


def test_a_small_file_that_inflates_without_end_is_refused_early(damaged: Path) -> None:
    (record,) = features.records(LAYOUT, 1)
    example = tf.train.Example.FromString(features.serialize(record, LAYOUT))
    example.features.feature["padding"].bytes_list.value.append(bytes(10**6))
    padded = frame(example.SerializeToString())
    member = gzip.compress(padded)
    damaged.write_bytes(member * 10_000)  # 10 GB inflated
    assert damaged.stat().st_size < 20 * 2**20
    with pytest.raises(OptionsError) as refused:
        read(damaged, shards={str(damaged): scan.Shard(3, "0" * 64)})
    assert str(refused.value) == (
        f"{damaged}: holds more than the 3 records that preprocessing wrote; "
        "run triad preprocess with a new --output"
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xff", tf.train.Example().SerializeToString()])
def test_a_record_of_something_else_names_the_file(damaged: Path, content: bytes) -> None:
    damaged.write_bytes(gzip.compress(frame(content)))
    with pytest.raises(OptionsError) as refused:
        read(damaged)
    assert str(refused.value) == (
        f"{damaged}: a record has not the labels of the spec; "
        "run triad preprocess with a new --output"
    )


def test_a_file_that_is_gone_is_one_line(damaged: Path) -> None:
    with pytest.raises(StorageError, match=f"^{re.escape(str(damaged))}: cannot be read: No such"):
        read(damaged)


def test_a_file_that_changes_after_the_check_is_not_read_again(shard: Path, damaged: Path) -> None:
    shutil.copy(shard, damaged)
    streamed, kept = read(damaged, budget=0), read(damaged)
    assert streamed.unchanged_files() == (str(damaged),)
    damaged.write_bytes(gzip.compress(frame(b"abc", 2**40)))
    with pytest.raises(StorageError, match=f"^{re.escape(str(damaged))}: changed since it was"):
        streamed.unchanged_files()
    assert kept.unchanged_files() == (str(damaged),)  # it is in memory: nobody reads it again
    assert kept.records.shape == [3]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_command_refuses_a_damaged_shard_with_one_line(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "data"))
    manifest = json_files.read(folder / dataset.MANIFEST)
    path = folder / manifest["splits"][split][0]["path"]
    path.write_bytes(gzip.compress(frame(b"abc", 2**40)))
    command = ["train", "--data", str(folder), "--output", str(tmp_path / "model")]
    assert main.main(command) == OptionsError.exit_code
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("triad: ")]
    assert line.startswith(
        f"triad: {path}: the TFRecord frame at byte 0 (record 0) is broken: it claims 1099511627776"
    )
    assert "Traceback" not in said
    assert not (tmp_path / "model" / "triad.json").exists()
