"""Early check of records against a spec: proven and likely mismatches in the heads of files."""

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import records
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.sources import first_look
from triad_ml.transforms.spec import loading

SPEC = """
modalities: {image: {size: 32}, text: }
tasks: {category: {kind: classification, label: kind}}
"""
WHAT = loading.parse(SPEC)


def row(index: int, **more: Any) -> dict[str, Any]:
    fields = {"image": None, "text": "a red bird", "labels": {"kind": "bird"}}
    return {"id": f"r{index}", **fields, **more}


def lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    return records.write_lines(path, rows)


def noticed(path: Path, with_labels: bool = True) -> list[tuple[str, bool]]:
    """What is told of a file, without its name, and whether it is proven."""
    found = first_look.look((str(path),), WHAT, with_labels)
    return [(one.text.replace(f"{path}: ", ""), one.proven) for one in found]


def test_records_that_fit_say_nothing(tmp_path):
    path = lines(tmp_path / "a.jsonl", [row(0), row(1, image="a.png")])
    assert noticed(path) == []


@pytest.mark.parametrize(("number", "proven"), [(3, True), (5000, False)])
def test_no_field_of_any_modality_is_proven_where_all_records_are_seen(tmp_path, number, proven):
    made = [{"id": index, "caption": "x", "labels": {"kind": "y"}} for index in range(number)]
    assert noticed(lines(tmp_path / "a.jsonl", made)) == [
        (
            "no field is named image or text, which the model is to see; found beside them: "
            "caption; rename fields, or change modalities in the spec",
            proven,
        )
    ]


def test_one_absent_modality_is_told_and_proves_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("id,img,text,kind\n1,a.png,b,c\n")
    assert noticed(tmp_path / "a.csv") == [
        (
            "no field is named image, which the model is to see; found beside them: img; each "
            "record goes on without image",
            False,
        )
    ]


def test_a_modality_that_no_record_of_the_head_has_is_told(tmp_path):
    path = lines(tmp_path / "a.jsonl", [row(index) for index in range(30)])
    assert noticed(path) == [("none of the first 30 records has image", False)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_label_that_no_column_holds_is_proven(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    table = {"id": ["1"], "image": ["a"], "text": ["b"], "labels.size": ["c"], "species": ["d"]}
    if kind == "parquet":
        pq.write_table(pa.table(table), path)
    else:
        path.write_text(f"{','.join(table)}\n1,a,b,c,d\n")
    assert noticed(path) == [
        (
            "no record has the label 'kind' of the task category; labels there: size; correct "
            "tasks.category.label in the spec, or the records",
            True,
        )
    ]
    assert noticed(path, with_labels=False) == []


@pytest.mark.parametrize("labels", [{}, {"labels": {"size": "x"}}], ids=["alone", "beside"])
def test_a_field_called_label_is_told_with_both_ways_to_make_it_one(tmp_path, labels):
    made = [{**row(n, image="a"), "labels": None, "label": "x", **labels} for n in range(30)]
    ((text, _),) = noticed(lines(tmp_path / "a.jsonl", made))
    assert text.endswith(
        "; the field label is one by that name alone: set tasks.category.label to label in the "
        "spec, or name the field labels.kind"
    )


def test_a_column_of_labels_that_is_empty_at_first_is_there(tmp_path):
    (tmp_path / "a.csv").write_text("id,image,text,kind\n1,a,b,\n")
    assert noticed(tmp_path / "a.csv") == []


def test_a_label_that_no_line_of_the_head_has_is_told_without_proof(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", [row(n, image="a", labels={"sort": "x"}) for n in range(999)]
    )
    ((text, proven),) = noticed(path)
    assert text.endswith(
        "records has the label 'kind' of the task category; labels there: sort; correct "
        "tasks.category.label in the spec, or the records"
    )
    assert not proven


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_labels_of_another_form_are_told_where_most_are(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        path.write_text('id,image,text,kind\n1,a,b,"[""c""]"\n2,a,b,"[""c"", ""d""]"\n3,a,b,c\n')
    else:
        given: list[Any] = [["c"], ["c", "d"], "c", None]
        lines(path, [row(n, image="a", labels={"kind": one}) for n, one in enumerate(given)])
    assert noticed(path) == [
        (
            "2 of the first 3 labels 'kind' of the task category cannot be used: a list where one "
            "class is expected; set multi_label: true where a record has several",
            False,
        )
    ]
    assert noticed(path, with_labels=False) == []


def test_another_delimiter_is_told_by_the_header(tmp_path):
    (tmp_path / "a.csv").write_text("id;image;text;kind\n1;a;b;c\n")
    assert noticed(tmp_path / "a.csv") == [
        (
            "no column is named id, and semicolons part its header, not commas; write it again "
            "with commas, such as pandas.read_csv(OLD, sep=';').to_csv(NEW, index=False)",
            True,
        )
    ]


def test_records_without_ids_are_told(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{**row(0), "id": None}, {"text": "b", "image": "c"}])
    assert noticed(path) == []  # named, though it is null
    path = lines(tmp_path / "a.jsonl", [{"text": "b", "image": "c", "labels": {"kind": "d"}}])
    assert noticed(path) == [
        ("no field is named id, found: text, image, labels; name one of them id", True)
    ]


def test_lines_that_are_no_objects_are_told(tmp_path):
    path = lines(tmp_path / "a.jsonl", [b"[", b'{"id": 1}, ', b"]"])
    assert noticed(path) == [
        ("none of the first 3 lines is a JSON object; write one object on each line", False)
    ]


def test_fewer_groups_than_splits_are_told(tmp_path):
    made = [row(index, image="a", group=f"g{index % 2}") for index in range(40)]
    assert noticed(lines(tmp_path / "a.jsonl", made)) == [
        (
            "the first 40 records are in 2 groups, and there are 3 splits: all records of a group "
            "are in one; set split.by: id in the spec, or give records more groups or a split of "
            "their own",
            False,
        )
    ]
    made.append(row(40, image="a", group=None))
    assert noticed(lines(tmp_path / "a.jsonl", made)) == []


def test_files_in_a_bucket_are_not_looked_at_and_that_is_said():
    (one,) = first_look.look(("gs://bucket/a.jsonl",), WHAT)
    assert one.text == "gs://bucket/a.jsonl: is not looked at before the run; only local files are"


def test_names_of_fields_cannot_break_the_line(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"id": "1", "x\ntriad: forged": "y"}])
    assert all("\n" not in text for text, _ in noticed(path))


def test_what_is_proven_ends_the_command_before_beam_is_imported(tmp_path, capsys):
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "a.csv").write_text("id,img\n1,a\n")
    program = (
        "import sys\nfrom triad_ml.pipelines.cli.main import main\ncode = main(sys.argv[1:])\n"
        "assert not {'apache_beam', 'tensorflow'} & set(sys.modules)\nsys.exit(code)\n"
    )
    arguments = ("preprocess", "--spec", "spec.yaml", "--input", "a.csv", "--output", "out")
    finished = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[3]), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr.splitlines()) == (
        12,
        [
            "triad: a.csv: no field is named image or text, which the model is to see; found "
            "beside them: img; rename fields, or change modalities in the spec"
        ],
    )


def test_no_file_ends_a_stream_of_a_folder(tmp_path, caplog):
    (tmp_path / "a.csv").write_text("id,img\n1,a\n")
    log = logging.getLogger("tests")
    caplog.set_level(logging.WARNING)
    first_look.tell_of_folder(log, str(tmp_path), WHAT)
    ((level, text),) = [(record.levelname, record.message) for record in caplog.records]
    assert level == "WARNING"
    assert text.startswith(
        f"{tmp_path}: no field is named image or text, which the model is to see"
    )
    first_look.tell_of_folder(log, "kafka://host:1/topic", WHAT)
    assert len(caplog.records) == 1


def test_a_model_that_expects_other_modalities_is_told_when_scoring(trained, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,picture\n1,a\n")
    arguments = ["--model", str(trained), "--input", str(tmp_path / "a.csv")]
    output = ["--output", str(tmp_path / "out"), "--date", "2026-11-24"]
    assert main.main(["score", *arguments, *output]) == 12
    assert main.main(["parity", *arguments]) == 12
    told = capsys.readouterr().err.splitlines()
    assert told == 2 * [
        f"triad: {tmp_path}/a.csv: no field is named image or audio or text, which the model is to "
        "see; found beside them: picture; rename fields, or change modalities in the spec"
    ]
