"""Behaviour common to the readers of all formats, and the transform that reads units of work."""

import dataclasses
import decimal
import re
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline, util

from tests import records
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.labels.classes import class_names
from triad_ml.transforms.records.values import RawRecord, Rejected, Uri
from triad_ml.transforms.spec.tasks import ClassificationTask

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference/records.md"
LABELS = ("category", "tags")
CATEGORY = ClassificationTask(kind="classification", label="category")

FORMATS = [
    pytest.param("a.jsonl", {}, id="jsonl"),
    pytest.param("a.jsonl", {"flat": True}, id="jsonl-flat-labels"),
    pytest.param("a.jsonl.gz", {}, id="jsonl-gz"),
    pytest.param("a.csv", {}, id="csv"),
    pytest.param("a.csv.gz", {}, id="csv-gz"),
    pytest.param("a.parquet", {}, id="parquet"),
    pytest.param("a.parquet", {"flat": True, "row_group_size": 7}, id="parquet-flat-labels"),
    pytest.param("a.tfrecord", {}, id="tfrecord"),
    pytest.param("a.tfrecord.gz", {}, id="tfrecord-gz"),
]


def as_example(record: RawRecord | Rejected) -> records.Example:
    assert isinstance(record, RawRecord), record
    assert isinstance(record.text, bytes)
    values = {
        field.name: getattr(record, field.name) for field in dataclasses.fields(records.Example)
    }
    labels = {name: value for name, value in record.labels.items() if value is not None}
    return records.Example(**{**values, "text": record.text.decode(), "labels": labels})


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_every_format_gives_the_same_records(tmp_path, name, options):
    examples = records.examples(30)
    path = records.write(tmp_path / name, examples, **options)
    assert [as_example(record) for record in records.read(path, *LABELS)] == examples


def test_the_page_of_records_shows_one_record_in_each_format(tmp_path, monkeypatch):
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S))
    assert list(blocks) == ["json", "csv", "python"]
    monkeypatch.chdir(tmp_path)
    records.store(tmp_path / "media" / "17.png", b"a picture")
    exec(blocks["python"], {})
    paths = [
        records.store(tmp_path / "records.jsonl", blocks["json"].encode()),
        records.store(tmp_path / "records.csv", blocks["csv"].encode()),
        tmp_path / "records.parquet",
    ]
    read = [one for path in paths for one in records.read(path, *LABELS)]
    assert [(one.id, one.text, one.group, dict(one.labels)) for one in read] == [
        ("17", b"The fan rattles.", "hall 2", {"category": "fan", "tags": ["loud", "old"]})
    ] * 3
    assert [one.image for one in read] == [Uri("media/17.png"), Uri("media/17.png"), b"a picture"]
    assert [one.extra for one in read] == [{"price": 4.5}, {"price": "4.5"}, {"price": 4.5}]


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_every_format_gives_uris_as_they_are(tmp_path, name, options):
    examples = records.examples(8, seed=1)
    path = records.write(tmp_path / name, examples, media="uri", **options)
    for record, example in zip(records.read(path, *LABELS), examples, strict=True):
        assert isinstance(record, RawRecord)
        for medium in ("image", "audio"):
            uri, content = getattr(record, medium), getattr(example, medium)
            if content is None:
                assert uri is None
            else:
                assert uri == Uri(f"media/{example.id}.{medium}")
                assert (tmp_path / uri.value).read_bytes() == content


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv", "a.parquet", "a.tfrecord"])
def test_positions_count_records_where_they_are_not_bytes(tmp_path, name):
    path = records.write(tmp_path / name, records.examples(9))
    assert [
        record.position.offset for record in records.read(path, *LABELS, unit_records=2)
    ] == list(range(9))
    assert {record.position.uri for record in records.read(path, *LABELS)} == {str(path)}


def test_rows_of_later_row_groups_count_from_the_beginning_of_the_file(tmp_path):
    path = records.write(tmp_path / "a.parquet", records.examples(9), row_group_size=2)
    found = records.read(path, *LABELS, unit_records=3)
    assert [record.position.offset for record in found] == list(range(9))
    assert [record.position.unit for record in found] == [0, 0, 1, 1, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tfrecord", "a.csv.gz"])
def test_a_file_that_shrinks_after_the_plan_fails_the_run(tmp_path, name):
    path = records.write(tmp_path / name, records.examples(9))
    planned = units.plan(units.list_inputs([str(path)]))
    records.write(path, records.examples(2))
    with pytest.raises(StorageError, match=f"{path}: changed while it was read"):
        list(sources_read.read(planned[-1], LABELS))


def test_a_parquet_file_with_fewer_rows_than_planned_fails_the_run(tmp_path):
    path = records.write(tmp_path / "a.parquet", records.examples(9))
    planned = units.plan(units.list_inputs([str(path)]), unit_records=2)
    records.write(path, records.examples(7))
    with pytest.raises(StorageError, match=f"{path}: changed while it was read"):
        list(sources_read.read(planned[-1], LABELS))


def test_lines_added_after_the_plan_are_left_for_the_next_run(tmp_path):
    path = records.write(tmp_path / "a.jsonl", records.examples(3))
    planned = units.plan(units.list_inputs([str(path)]))
    records.write(path, records.examples(5))
    assert [record.id for unit in planned for record in sources_read.read(unit, LABELS)] == [
        example.id for example in records.examples(3)
    ]


def test_numbers_give_the_same_id_group_and_label_in_every_format(tmp_path):
    row = {"id": 7, "text": "x", "group": 2**53, "category": 3}
    stored = {
        "a.jsonl": [row, {**row, "id": 7.0, "group": 2.0**53, "category": 3.0}],
        "a.csv": [row],
        "a.parquet": [row],
        "b.parquet": [{**row, "id": 7.0, "group": 2.0**53, "category": 3.0}],
        "c.parquet": [{name: _decimal(value) for name, value in row.items()}],
    }
    for name, rows in stored.items():
        path = tmp_path / name
        if name.endswith(".jsonl"):
            records.write_lines(path, rows)
        elif name.endswith(".csv"):
            header = ",".join(row)
            records.store(path, f"{header}\n7,x,{2**53},3\n".encode())
        else:
            records.write_table(path, {key: [one[key] for one in rows] for key in row})
        for record in records.read(path, "category"):
            assert isinstance(record, RawRecord)
            named = class_names(record.labels["category"], CATEGORY)
            assert (record.id, record.group, named) == ("7", str(2**53), ("3",))


def _decimal(value: object) -> object:
    return decimal.Decimal(value) if isinstance(value, int) else value


def test_a_split_or_group_that_is_none_rejects_in_training_and_nowhere_else(tmp_path):
    lines = [
        {"id": "a", "text": "x", "split": "holdout"},
        {"id": "b", "text": "x", "group": ["g"]},
        {"id": 7, "text": "x", "split": "val"},
    ]
    planned = units.plan(units.list_inputs([str(records.write_lines(tmp_path / "a.jsonl", lines))]))
    with test_pipeline.TestPipeline() as pipeline:
        work = pipeline | beam.Create(planned)
        strict = work | "Strict" >> sources_read.ReadRecords(LABELS, training=True)
        lenient = work | "Lenient" >> sources_read.ReadRecords(LABELS)
        for name, read, kept in (("strict", strict, ["7"]), ("lenient", lenient, ["a", "b", "7"])):
            ids = read.records | f"Ids-{name}" >> beam.Map(lambda record: record.id)
            util.assert_that(ids, util.equal_to(kept), label=name)
        why = strict.rejected | beam.Map(lambda one: (one.id, str(one.reason), one.detail))
        said = [
            ("a", "unparsable", "split is none of train, eval, test"),
            ("b", "unparsable", "group is a list, not a single value"),
        ]
        util.assert_that(why, util.equal_to(said), label="why")
        kinds = lenient.kinds | "Kinds" >> beam.Map(lambda one: one[:2])
        util.assert_that(kinds, util.equal_to([("id", "int"), ("id", "text")]), label="kinds")


def test_every_line_is_in_exactly_one_output_and_counted(tmp_path):
    path = records.write_lines(
        tmp_path / "a.jsonl", [{"id": "a", "text": "x"}, b"{", {"id": ""}, {"id": "b"}]
    )
    planned = units.plan(units.list_inputs([str(path)]), unit_bytes=16)
    pipeline = test_pipeline.TestPipeline()
    read = pipeline | beam.Create(planned) | sources_read.ReadRecords(LABELS)
    util.assert_that(
        read.records | "Ids" >> beam.Map(lambda record: record.id),
        util.equal_to(["a", "b"]),
        label="records",
    )
    util.assert_that(
        read.rejected | "Why" >> beam.Map(lambda one: (one.stage, str(one.reason), one.id)),
        util.equal_to([("read", "unparsable", f"{path}#25"), ("read", "invalid_id", f"{path}#27")]),
        label="rejected",
    )
    result = pipeline.run()
    result.wait_until_finish()
    counters = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query()["counters"]
        if counter.key.metric.namespace.endswith("ReadRecords")
    }
    assert counters == {"records_read": 2, "records_rejected": 2}


def test_a_label_that_is_null_is_stored_in_no_way(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "x", "labels": {"kind": null, "name": "b"}}\n')
    (unit,) = units.plan(units.list_inputs([str(path)]))
    (record,) = sources_read.read(unit, ())
    assert dict(sources_read._kinds(record)) == {"id": "text", "labels.name": "text"}


def test_an_estimate_opens_few_of_many_files(tmp_path, monkeypatch):
    for number in range(7):
        records.write(tmp_path / f"{number}.parquet", records.examples(10))
    (tmp_path / "8.jsonl").write_text("")
    inputs = units.list_inputs([str(tmp_path / "*.parquet"), str(tmp_path / "*.jsonl")])
    assert sources_read.estimated_records(inputs) == 70
    for place in (1, 2, 4, 5):  # every third file is opened
        Path(inputs[place].uri).unlink()
    monkeypatch.setattr(sources_read, "MOST_OPENED", 3)
    assert sources_read.estimated_records(inputs) == 70
    assert sources_read.estimated_records(()) == 0


def test_records_that_only_reading_counts_are_not_estimated(tmp_path):
    records.write(tmp_path / "a.tfrecord", records.examples(2))
    inputs = units.list_inputs([str(tmp_path / "a.tfrecord")])
    assert sources_read.estimated_records(inputs) is None
