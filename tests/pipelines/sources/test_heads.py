"""Heads of records files: they are read within limits, and only from regular files."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import records
from triad_ml.pipelines.sources import heads
from triad_ml.pipelines.sources.heads import Head, Heads


def only(path: Path) -> Head:
    (found,) = heads.read((str(path),)).heads
    return found


def rows(number: int) -> list[dict[str, Any]]:
    return [{"id": f"r{index}", "text": "x" * 100} for index in range(number)]


def test_of_lines_the_complete_ones_in_the_first_bytes_are_read(tmp_path):
    small = records.write_lines(tmp_path / "small.jsonl", [*rows(2), b"{no json", b"[1]"])
    assert only(small) == Head(str(small), None, tuple(rows(2)), broken=2, whole=True)
    other = records.write_lines(tmp_path / "small.ndjson", rows(1))
    assert only(other) == Head(str(other), None, tuple(rows(1)), whole=True)
    large = records.write_lines(tmp_path / "large.jsonl", rows(5000))
    head = only(large)
    assert head.rows == tuple(rows(5000)[: len(head.rows)])
    assert heads.HEAD_BYTES - 200 < sum(len(json.dumps(r)) + 1 for r in head.rows)
    assert sum(len(json.dumps(r)) + 1 for r in head.rows) <= heads.HEAD_BYTES
    assert not head.whole


def test_a_compressed_file_is_inflated_to_the_same_bound(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a"}\n' + b" " * 10**8))
    assert only(path) == Head(str(path), None, ({"id": "a"},), whole=False)
    small = tmp_path / "small.jsonl.gz"
    small.write_bytes(gzip.compress(b'{"id": "a"}'))
    assert only(small) == Head(str(small), None, ({"id": "a"},), whole=True)


def test_of_a_csv_file_the_header_and_the_first_rows_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('\ufeffid,text,labels\n1,"two\nlines","{""kind"": ""b""}"\n2,,\n')
    assert only(path) == Head(
        str(path),
        ("id", "text", "labels"),
        (
            {"id": "1", "text": "two\nlines", "labels": {"kind": "b"}},
            {"id": "2", "text": None, "labels": None},
        ),
        whole=True,
    )
    path.write_text("id,text\n" + "1,word\n" * 20_000)
    head = only(path)
    assert (head.columns, head.whole) == (("id", "text"), False)
    assert set(map(str, head.rows)) == {"{'id': '1', 'text': 'word'}"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_csv_file_that_is_utf_16_is_left_to_the_command(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("id,text\n1,x\n".encode(encoding))
    assert heads.read([str(path)]).heads == ()


def test_of_a_parquet_file_the_columns_are_read(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["1"], "labels": [{"kind": "b", "size": 1}]}), path)
    assert only(path) == Head(str(path), ("id", "labels"), label_columns=("kind", "size"))


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1\xff\xff\xff\x7fPAR1"])
def test_a_parquet_file_without_a_small_footer_is_left_to_the_command(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    assert heads.read((str(tmp_path / "a.parquet"),)) == Heads((), False, ())


def test_pipes_folders_and_other_files_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.csv").mkdir()
    (tmp_path / "c.tfrecord").write_bytes(b"")
    assert heads.read((f"{tmp_path}/*",)) == Heads((), False, ())


def test_few_files_are_read_of_many_and_none_of_a_bucket(tmp_path):
    for index in range(heads.MOST_FILES + 1):
        records.write_lines(tmp_path / f"{index}.jsonl", rows(1))
    many = heads.read((f"{tmp_path}/*.jsonl", "gs://bucket/*.jsonl"))
    assert (len(many.heads), many.complete) == (heads.MOST_FILES, False)
    assert many.remote == ("gs://bucket/*.jsonl",)
    assert heads.read((f"{tmp_path}/1.jsonl", f"{tmp_path}/[12].jsonl")).complete


def test_lines_nested_too_deeply_are_broken(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"[" * 60_000 + b"\n")
    assert only(path) == Head(str(path), None, (), broken=1, whole=True)
