"""CSV reader: cells, unclosed quotes, and unusable headers."""

import hashlib
from pathlib import Path

import pytest

from tests import records
from triad_ml.pipelines.sources import lines
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import BrokenMedium, RawRecord, Reason, Rejected, Uri


def outcomes(tmp_path: Path, content: bytes, *labels: str) -> list[RawRecord | Rejected]:
    return records.read(records.store(tmp_path / "a.csv", content), *labels)


def details(found: list[RawRecord | Rejected]) -> list[str]:
    return [one.detail if isinstance(one, Rejected) else one.id for one in found]


def record(tmp_path: Path, content: bytes, *labels: str) -> RawRecord:
    (only,) = outcomes(tmp_path, content, *labels)
    assert isinstance(only, RawRecord), only
    return only


def test_cells_are_strings_and_empty_ones_are_missing(tmp_path):
    header = b"id,image,audio,text,group,split,category,n,note\n"
    found = record(tmp_path, header + b'7,1.png,,"a ""b"",\r\nc",,train,,007,\n', "category")
    assert (found.id, found.image, found.audio) == ("7", Uri("1.png"), None)
    assert (found.text, found.group, found.split) == (b'a "b",\r\nc', None, "train")
    assert found.labels == {}
    assert found.extra == {"n": "007", "note": ""}


def test_a_text_that_looks_like_an_object_is_a_text(tmp_path):
    found = record(
        tmp_path, b'id,text,image\na,"{""base64"": ""AA==""}",data:;base64,AA==\n'[:-6] + b"\n"
    )
    assert found.text == b'{"base64": "AA=="}'


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        (b"x", "x"),
        (b'"[""a"", ""b""]"', ["a", "b"]),
        (b"[]", []),
        (b"[a", "[a"),
        (b'"[NaN]"', "[NaN]"),
        (b'"[""\\ud800""]"', r'["\ud800"]'),
    ],
)
def test_a_label_is_a_string_or_a_json_list(tmp_path, cell, label):
    found = record(tmp_path, b"id,tags,labels.mood\na,%s,good\n" % cell, "tags")
    assert found.labels == {"tags": label, "mood": "good"}


def test_a_column_labels_may_hold_a_json_object(tmp_path):
    found = record(tmp_path, b'id,labels\na,"{""category"": ""x""}"\n')
    assert (found.labels, found.extra) == ({"category": "x"}, {})


def test_carriage_returns_empty_lines_and_a_byte_order_mark_are_no_records(tmp_path):
    found = outcomes(tmp_path, b"\xef\xbb\xbfid,text\r\n\r\na,x\r\n\r\nb,y")
    assert details(found) == ["a", "b"]
    assert [one.position.offset for one in found] == [0, 1]


def test_a_row_of_another_width_is_rejected_and_its_neighbours_stay(tmp_path):
    found = outcomes(tmp_path, b'id,text\na,x\nb\nc,"1\n2",z\nd,y\n')
    assert details(found) == [
        "a",
        "1 cells under a header of 2",
        "3 cells in lines 4 to 5 under a header of 2",
        "d",
    ]
    assert [one.position.offset for one in found] == [0, 1, 2, 3]
    assert isinstance(found[1], Rejected)
    assert found[1].reason == Reason.UNPARSABLE
    assert found[1].payload_digest == hashlib.sha256(b"b").hexdigest()


def test_a_bad_quote_in_one_line_rejects_that_line(tmp_path):
    found = outcomes(tmp_path, b'id,text\na,x\nb,"y"z\nc,"w\n')
    assert details(found) == [
        "a",
        "not CSV: ',' expected after '\"'",
        "not CSV: unexpected end of data",
    ]


@pytest.mark.parametrize(
    ("after", "last", "others"),
    [
        (b"", 4, ["B"]),
        (b'C,"z"\n', 5, ["B", "C"]),
        (b'C,"y\nz"\nD,z\n', 5, ["B", "C", "D"]),
    ],
    ids=["open-to-the-end", "one-line", "many-lines"],
)
def test_a_quote_that_does_not_close_costs_the_row_in_which_it_opens(tmp_path, after, last, others):
    found = outcomes(tmp_path, b'id,text\na,x\nb,"y\nB,Y\n' + after)
    assert [one.id for one in found if isinstance(one, RawRecord)] == ["a", *others]
    assert [one.position.offset for one in found] == list(range(2 + len(others)))
    broken = found[1]
    assert isinstance(broken, Rejected)
    assert broken.reason == Reason.UNPARSABLE
    where = f"a quote opens in line 3 and does not close as it should up to line {last}: not CSV: "
    assert broken.detail.startswith(where)
    assert broken.payload_digest == hashlib.sha256(b'b,"y').hexdigest()


def test_a_quote_that_opens_within_the_lines_of_a_broken_row_costs_its_own_line(tmp_path):
    begun = b'id,text\na,"\n'
    found = outcomes(tmp_path, begun + b'b",,"\nc",,"\n' + b'd,"y"z\ne,x\n')
    assert [one.id for one in found if isinstance(one, RawRecord)] == ["e"]
    assert details(found)[1:4] == [
        "a quote does not close in its line",
        "a quote does not close in its line",
        "not CSV: ',' expected after '\"'",
    ]


def test_bytes_that_are_not_utf8_refuse_only_what_they_are_in(tmp_path):
    found = outcomes(tmp_path, b"id,text,image,n\na,\xe9,\xe9.png,1\nb,x,,\xe9\nc,x,,1\n")
    assert isinstance(found[0], RawRecord)
    assert (found[0].text, found[0].image) == (b"\xe9", BrokenMedium("a URI that is not UTF-8"))
    assert details(found) == ["a", "a field other than a medium is not Unicode text", "c"]
    assert found[1].id == "b"


def test_a_cell_may_be_longer_than_the_csv_module_likes(tmp_path):
    assert record(tmp_path, b"id,text\na," + b"x" * 200_000 + b"\n").text == b"x" * 200_000


def test_a_row_without_an_id_is_rejected_by_its_position(tmp_path):
    (found,) = outcomes(tmp_path, b"id,text\n,x\n")
    assert isinstance(found, Rejected)
    assert (found.reason, found.id) == (Reason.INVALID_ID, f"{tmp_path}/a.csv#0")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"name,text\n", "none of its 2 columns is named id, found: text; name one of them id"),
        (b"root:$6$secret:1:0\n", "none of its 1 columns is named id, found: none that is known"),
        (b"id;text\n", "no column is named id, and semicolons part its header"),
        (b"id,text,text\n", "columns 2 and 3 have the same name"),
        (b'id,"te"xt\n', "the header is not CSV"),
        (
            b"id," + b",".join(b"c%d" % n for n in range(1000)) + b"\n",
            "has 1001 columns, over 1000",
        ),
    ],
)
def test_a_header_that_cannot_be_used_fails_the_run(tmp_path, header, message):
    with pytest.raises(OptionsError, match=rf"a\.csv: {message}") as error:
        outcomes(tmp_path, header + b"a,x\n")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_file_without_a_header_is_refused(tmp_path, name):
    path = records.store(tmp_path / name, b"\xef\xbb\xbf" if name == "a.csv" else b"")
    with pytest.raises(OptionsError, match="has no header|found: none that is known"):
        records.read(path)


def test_a_header_alone_has_no_records(tmp_path):
    assert outcomes(tmp_path, b"id,text\n") == []


def test_a_row_of_a_million_cells_is_rejected_before_it_is_cut(tmp_path):
    row = b'"c,",' + b"," * 1_000_001 + b"\n"
    found = outcomes(tmp_path, b"id,text\na,x\n" + row + b"d,y\n")
    assert details(found) == ["a", "the row has over 1000000 cells", "d"]
    assert isinstance(found[1], Rejected)
    assert found[1].reason == Reason.TOO_LARGE


@pytest.mark.parametrize("end", [b'"x\ny"\n', b'"\n' + b"," * 900 + b'"x\n'])
def test_a_row_of_a_million_cells_over_several_lines_is_rejected(tmp_path, end):
    row = b"c," + b"," * 999_500 + b",," * 250 + end
    found = outcomes(tmp_path, b"id,text\na,x\n" + row + b"d,y\n")
    assert [one.id for one in found if isinstance(one, RawRecord)] == ["a", "d"]
    assert isinstance(found[1], Rejected)
    assert found[1].reason == Reason.TOO_LARGE
    assert "over 1000000 cells" in found[1].detail


def test_a_quote_that_never_closes_in_a_long_file_costs_one_row(tmp_path):
    rows = (b"b," + b"y" * 2**20 + b"\n") * 129
    first, *others = outcomes(tmp_path, b'id,text\na,"' + rows)
    assert isinstance(first, Rejected)
    assert (first.reason, first.position.offset) == (Reason.TOO_LARGE, 0)
    assert "up to line 129: the row takes more than 134217728 bytes" in first.detail
    assert [one.id for one in others] == ["b"] * 128


def test_a_line_that_is_too_long_is_rejected_and_its_neighbours_stay(tmp_path):
    found = outcomes(tmp_path, b"id,text\na,x\nb," + b"y" * lines.LONGEST + b"\nc,z\n")
    assert details(found) == ["a", "the row takes more than 134217728 bytes", "c"]


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["one-line", "many-lines"])
def test_commas_inside_quotes_part_no_cells(tmp_path, end):
    text = (b"," * 400_000 + end) * 3
    found = outcomes(tmp_path, b'id,text,n\na,"' + text + b'",1\nb,x,2\n')
    assert details(found) == ["a", "b"]
    assert isinstance(found[0], RawRecord)
    assert found[0].text == text
