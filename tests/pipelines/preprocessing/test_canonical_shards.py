"""Canonical shards between the passes: written once by split, listed, and read back."""

import dataclasses
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.windowed_value import WindowedValue

from triad_ml.pipelines.preprocessing.canonical_shards import (
    CanonicalFile,
    ReadCanonical,
    WriteCanonical,
    _WriteDoFn,
)
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.storage import json_files
from triad_ml.transforms.graph import raw_examples
from triad_ml.transforms.records.values import CanonicalRecord, Position
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec import split as spec_split

WHAT = loading.parse(
    """
modalities: {image: , text: }
tasks: {kind: {kind: classification, label: what}}
split: {train: 0.5, eval: 0.25, test: 0.25}
"""
)


def record(index: int, **fields) -> CanonicalRecord:
    whole = {"text": f"text {index}".encode(), "labels": {"what": "a"}, **fields}
    return CanonicalRecord(f"r{index}", Position("records.jsonl", 10 * index, 1), **whole)


def identity(one: CanonicalRecord) -> tuple[str, int, int]:
    return one.id, one.position.unit, one.position.offset


def split_of(one: CanonicalRecord) -> str:
    return spec_split.split_of(one.id, one.group, one.split, WHAT.split)


def read_back(folder: Path, paths, without=frozenset()) -> list[bytes]:
    """The serialized records of files, through the pipeline."""
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        read = root | ReadCanonical(tuple(paths), without)
        read | beam.Map(bytes.hex) | json_files.WriteJson(folder / "read.json")
    return [bytes.fromhex(one) for one in json_files.read(folder / "read.json")]


@pytest.fixture(scope="module")
def made() -> list[CanonicalRecord]:
    return [
        *(record(index) for index in range(20)),
        record(20, split="test", image=b"\x89PNG"),
        record(21, labels={"what": ["no", "class"]}),
        record(22, labels={}),
    ]


@pytest.fixture(scope="module")
def files(made, tmp_path_factory) -> list[CanonicalFile]:
    folder = tmp_path_factory.mktemp("canonical")
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        written = root | beam.Create(made, reshuffle=False) | WriteCanonical(WHAT, str(folder))
        assert_that(
            written.places, equal_to([(one.id, one.position) for one in made]), label="PlacesOfAll"
        )
        written.files | json_files.WriteJson(folder / "files.json")
    listed = [CanonicalFile(**file) for file in json_files.read(folder / "files.json")]
    assert {path.name for path in folder.glob("*.tfrecord")} == {Path(f.path).name for f in listed}
    return listed


def test_files_hold_each_record_once_in_its_split(made, files, tmp_path):
    assert {file.split for file in files} == {"train", "eval", "test"}
    for split in ("train", "eval", "test"):
        mine = [file for file in files if file.split == split]
        wanted = [one for one in made if split_of(one) == split]
        assert sum(file.rows for file in mine) == len(wanted) > 0
        unusable = sum(one.labels == {"what": ["no", "class"]} for one in wanted)
        assert sum(file.unnamed.get("kind", 0) for file in mine) == unusable
        assert sorted(read_back(tmp_path, (file.path for file in mine))) == sorted(
            raw_examples.from_record(one, WHAT).serialized for one in wanted
        )


def test_records_are_left_out_by_id_and_place(made, files, tmp_path):
    gone = made[3]
    same_id_elsewhere = (made[4].id, made[4].position.unit, made[4].position.offset + 1)
    without = frozenset({identity(gone), same_id_elsewhere})
    read = read_back(tmp_path, (file.path for file in files), without)
    assert len(read) == len(made) - 1
    assert {raw_examples.identity(one) for one in read} == {
        identity(one) for one in made if one is not gone
    }


def test_no_files_are_no_records(tmp_path):
    assert read_back(tmp_path, ()) == []


def test_a_bundle_that_is_done_again_writes_other_files(tmp_path):
    write = _WriteDoFn(WHAT, str(tmp_path))
    listed = []
    for _ in range(2):
        write.start_bundle()
        for index in range(3):
            places = [one.value for one in write.process(record(index, split="train"))]
            assert places == [(f"r{index}", Position("records.jsonl", 10 * index, 1))]
        listed += list(write.finish_bundle())
    assert all(isinstance(one, WindowedValue) for one in listed)
    files = [one.value for one in listed]
    assert [(file.split, file.rows) for file in files] == [("train", 3)] * 2
    assert len({file.path for file in files}) == 2
    contents = [Path(file.path).read_bytes() for file in files]
    assert contents[0] == contents[1]


def test_a_bundle_without_records_writes_nothing(tmp_path):
    write = _WriteDoFn(WHAT, str(tmp_path))
    write.start_bundle()
    assert list(write.finish_bundle()) == []
    assert list(tmp_path.iterdir()) == []


def test_files_are_listed_as_json(files, tmp_path):
    path = tmp_path / "files.json"
    json_files.write(path, [dataclasses.asdict(file) for file in files])
    assert [CanonicalFile(**file) for file in json_files.read(path)] == files
