"""Messages on unusable inputs: they name what was found, and the remedy."""

import re
import shlex

import pytest

from tests import records
from triad_ml.pipelines.sources import units
from triad_ml.transforms.errors import OptionsError

LINE = b'{"id": "a", "text": "x"}\n'


def refusal(path) -> str:
    with pytest.raises(OptionsError) as error:
        units.list_inputs([str(path)])
    return str(error.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.csv.gz"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_called_so(tmp_path, name, codec):
    text = "id,text\na,x\n" if "csv" in name else LINE.decode()
    path = records.store(tmp_path / name, text.encode(codec))
    assert f"{name}: is UTF-16; convert it to UTF-8" in refusal(path)


@pytest.mark.parametrize("content", [b'[{"id": "a"},\n{"id": "b"}]', b'[\n  {\n "id": 1}\n]\n'])
def test_one_json_list_is_told_from_lines(tmp_path, content):
    assert "a.jsonl: is one JSON list" in refusal(records.store(tmp_path / "a.jsonl", content))


def test_one_line_that_is_a_list_costs_no_other_record(tmp_path):
    path = records.store(tmp_path / "a.jsonl", b'[{"id": "b"}]\n' + LINE)
    found = records.read(path)
    assert [one.id for one in found] == [f"{path}#0", "a"]


@pytest.mark.parametrize(
    ("header", "name"), [(b"id;text", "semicolons"), (b"id\ttext", "tabs"), (b"x|y|z", "bars")]
)
def test_the_delimiter_that_was_seen_is_named(tmp_path, header, name):
    path = records.store(tmp_path / "a.csv", header + b"\r\n1;2\n")
    assert f"{name} part its header, not commas" in refusal(path)


def test_latin1_is_told_once_and_only_its_records_are_concerned(tmp_path, caplog):
    path = records.store(tmp_path / "a.csv", "id,text,n\na,caf\xe9,1\nb,tea,2\n".encode("latin-1"))
    assert [one.id for one in records.read(path)] == ["a", "b"]
    assert re.findall("a.csv: is not UTF-8 at byte 15, perhaps Latin-1", caplog.text) != []


def test_a_folder_is_answered_with_the_pattern_of_what_is_in_it(tmp_path):
    for name in ("a.csv", "b.jsonl", "c.jsonl"):
        records.store(tmp_path / name, LINE)
    said = refusal(tmp_path)
    assert said == (
        f"{tmp_path}: is a folder; name its files by a pattern: --input '{tmp_path}/*.jsonl'"
    )


def test_the_pattern_for_a_folder_works_as_it_is_typed(tmp_path):
    folder = tmp_path / "it's [1]"
    folder.mkdir()
    records.store(folder / "A.JSONL", LINE)
    _, _, typed = refusal(folder).partition("--input ")
    (pattern,) = shlex.split(typed)
    assert [file.uri for file in units.list_inputs([pattern])] == [str(folder / "A.JSONL")]


def test_a_folder_without_records_is_refused(tmp_path):
    assert "is a folder without records files" in refusal(tmp_path)


def test_a_name_that_is_not_there_is_answered_with_those_like_it(tmp_path):
    records.store(tmp_path / "records.jsonl", LINE)
    said = refusal(tmp_path / "record.jsonl")
    assert said.endswith(f"such as {tmp_path}/records.jsonl")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert f"there is no folder {tmp_path}/nowhere" in refusal(tmp_path / "nowhere" / "a.jsonl")
