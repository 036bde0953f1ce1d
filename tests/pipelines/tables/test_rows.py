"""Tables of scores and rejected records, and their form in files."""

import datetime
import decimal
import itertools
import json
import uuid

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies

from tests import scores
from triad_ml.pipelines.tables import formats, passthrough, plain_values
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.records import columns as names
from triad_ml.transforms.records.values import (
    Position,
    Prediction,
    Provenance,
    Reason,
    Rejected,
    Scored,
)

PROVENANCE = Provenance("model", "transform", "spec", "code", "1.2.3")
HALVES = np.array([0.25, 0.5, 0.25], np.float32)
TOPICS = np.array([0.75, 0.1], np.float32)
TEXTS = "one of texts, with times as ISO 8601 and bytes as base64"


def row(record_id: str = "r1", **extra: object) -> Scored:
    return Scored(
        id=record_id,
        position=Position("in.jsonl", 7),
        predictions={
            "category": Prediction("cat", 0.5, HALVES),
            "topics": Prediction(("art",), 0.75, TOPICS),
        },
        modalities_used=("image", "text"),
        issues=("audio: truncated",),
        extra=extra,
        content_digest="content",
    )


def table(*rows: Scored) -> pa.Table:
    return tables_rows.score_table(rows, scores.COLUMNS, PROVENANCE)


def column(*values: object) -> tuple[str, list[object]]:
    """Type and values of the passthrough column that holds the values."""
    made = table(*(row(str(i), x=value) for i, value in enumerate(values)))
    return str(made.schema.field("x").type), made.column("x").to_pylist()


def test_a_row_has_the_id_a_struct_per_task_and_the_digests():
    made = table(row())
    assert {field.name: str(field.type) for field in made.schema} == {
        "id": "string",
        "id_int": "int64",
        "category": "struct<label: string, score: float, distribution: map<string, float>>",
        "topics": "struct<label: list<item: string>, score: float, "
        "distribution: map<string, float>>",
        "modalities_used": "list<item: string>",
        "issues": "list<item: string>",
        "content_digest": "string",
        "model_digest": "string",
        "transform_digest": "string",
        "spec_digest": "string",
        "code_digest": "string",
    }
    assert made.to_pylist() == [
        {
            "id": "r1",
            "id_int": None,
            "category": {
                "label": "cat",
                "score": 0.5,
                "distribution": [("bird", 0.25), ("cat", 0.5), ("dog", 0.25)],
            },
            "topics": {
                "label": ["art"],
                "score": 0.75,
                "distribution": [("art", 0.75), ("food", float(np.float32(0.1)))],
            },
            "modalities_used": ["image", "text"],
            "issues": ["audio: truncated"],
            "content_digest": "content",
            "model_digest": "model",
            "transform_digest": "transform",
            "spec_digest": "spec",
            "code_digest": "code",
        }
    ]


def test_a_table_without_rows_has_the_same_columns():
    assert table().schema == table(row()).schema
    assert len(table()) == 0


def test_a_distribution_of_another_length_than_the_classes_is_an_error():
    short = Prediction("cat", 0.5, HALVES[:2])
    wrong = Scored("r1", Position("in", 0), {"category": short, "topics": short}, ("text",))
    with pytest.raises(ValueError, match="shape"):
        table(wrong)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ((True, None), "bool", [True, None]),
        ((1, None, -(2**63)), "int64", [1, None, -(2**63)]),
        ((1, 2.5), "double", [1.0, 2.5]),
        ((float("inf"), 1), "double", [float("inf"), 1.0]),
        ((float("nan"), 1), "int64", [None, 1]),
        ((2**53, 0.5), "double", [2.0**53, 0.5]),
        ((2**53 + 1, 0.5), "string", ["9007199254740993", "0.5"]),
        ((2**53 + 1, 3.0, float("-inf")), "string", ["9007199254740993", "3", "-Infinity"]),
        ((2**53 + 1, 3), "int64", [2**53 + 1, 3]),
        ((decimal.Decimal("1.10"), 3, 0.5), "string", ["1.10", "3", "0.5"]),
        ((decimal.Decimal("1.10"), "a"), "string", ["1.10", '"a"']),
        ((3.0, "a"), "string", ["3", '"a"']),
        (("a", None), "string", ["a", None]),
        ((None, None), "string", [None, None]),
        ((1, "a", None), "string", ["1", '"a"', None]),
        ((True, 1), "string", ["true", "1"]),
        ((2**63, 1), "string", ["9223372036854775808", "1"]),
        (([1, "ü"], {"a": None}), "string", ['[1, "ü"]', '{"a": null}']),
        (([float("nan"), b"\x00"],), "string", ['[null, "AA=="]']),
        (([float("inf"), 3.0],), "string", ['["Infinity", 3.0]']),
        ((b"\x00\xff",), "binary", [b"\x00\xff"]),
        ((decimal.Decimal("1.10"),), "string", ["1.10"]),
        ((datetime.date(2026, 1, 2),), "date32[day]", [datetime.date(2026, 1, 2)]),
        (
            (datetime.datetime(2026, 1, 2, 3, 4, 5, 6),),
            "timestamp[us]",
            [datetime.datetime(2026, 1, 2, 3, 4, 5, 6)],
        ),
        (
            (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),),
            "timestamp[us, tz=UTC]",
            [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)],
        ),
        ((datetime.date(2026, 1, 2), 1), "string", ['"2026-01-02"', "1"]),
        ((datetime.date(2026, 1, 2), "never"), "string", ["2026-01-02", "never"]),
        ((b"\x00", "a"), "string", ["AA==", "a"]),
        (
            (
                datetime.datetime(
                    2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
                ),
                "a",
            ),
            "string",
            ["2026-01-01T23:00:00+00:00", "a"],
        ),
        ((datetime.timedelta(days=1, milliseconds=500),), "string", ["PT86400.5S"]),
        ((datetime.time(3, 4, 5),), "string", ["03:04:05"]),
        ((uuid.UUID(int=1), "a"), "string", ["00000000-0000-0000-0000-000000000001", "a"]),
        (("\ud800", "ok"), "string", ["\\ud800", "ok"]),
    ],
)
def test_a_passthrough_column_has_the_narrowest_type_that_holds_its_values(values, kind, expected):
    assert column(*values) == (kind, expected)


def test_passthrough_columns_come_last_by_name_and_a_missing_value_is_null():
    made = table(row("r1", b=1), row("r2", a="x"))
    assert made.column_names[-3:] == ["code_digest", "a", "b"]
    assert made.select(["a", "b"]).to_pylist() == [{"a": None, "b": 1}, {"a": "x", "b": None}]


def test_a_passthrough_key_that_is_a_column_of_ours_gets_a_prefix_and_collides_with_no_other():
    made = table(row("r1", id=1, extra_id=2, category=3, extra_other=4))
    assert made.select(range(11, len(made.column_names))).to_pylist() == [
        {"extra_category": 3, "extra_extra_id": 2, "extra_id": 1, "extra_other": 4}
    ]


@pytest.mark.parametrize(
    "key", ["dt", "DT", "run", "window", "_hidden", "triad.x", "Id", "id_int", ""]
)
def test_a_key_that_readers_of_folders_take_for_something_else_gets_a_prefix_and_says_so(key):
    made = table(row("r1", **{key: 1}))
    assert made.column_names[-1] == f"extra_{key}"
    assert tables_rows.described(made.schema)[-1] == {
        "name": f"extra_{key}",
        "type": "int64",
        "kind": "int",
        "key": key,
    }
    (line,) = passthrough.notices(made.schema)
    assert line == f"column {key!r} passes through as {f'extra_{key}'!r}: its name is taken"


def test_a_key_that_is_a_field_of_a_task_in_csv_gets_a_prefix():
    made = table(row("r1", **{"category.label": 1, "Topics.x": 2, "categories.x": 3, "x.y": 4}))
    assert made.column_names[11:] == [
        *("categories.x", "extra_Topics.x", "extra_category.label", "x.y")
    ]


@hypothesis.given(keys=strategies.lists(strategies.text(), min_size=2, max_size=2, unique=True))
def test_different_keys_stay_different_columns(keys):
    one, other = (passthrough.column_name(plain_values.clean(key), {"category"}) for key in keys)
    assert one != other


def test_a_column_of_several_kinds_is_said_with_what_it_became():
    made = table(row("r1", a=2**53 + 1, b=1, c=1), row("r2", a=0.5, b=0.5, c=2))
    assert passthrough.notices(made.schema) == [
        "column 'a' has values of several kinds (float, long): it is one of texts, exact decimals"
    ]
    assert [said.get("kinds") for said in tables_rows.described(made.schema)[-3:]] == [
        "float, long",
        "float, int",
        None,
    ]


@pytest.mark.parametrize(
    ("values", "kinds", "became"),
    [
        ((2**64, 1), "int, number", "one of texts, exact decimals"),
        ((decimal.Decimal("1.10"), 0.5), "float, number", "one of texts, exact decimals"),
        ((datetime.date(2026, 1, 2), "soon"), "date, string", TEXTS),
        ((b"a", "b"), "bytes, string", TEXTS),
        (([1], "b"), "json, string", "one of JSON texts"),
    ],
)
def test_a_column_is_said_to_be_one_of_texts_also_where_some_of_its_values_are_texts(
    values, kinds, became
):
    made = table(*(row(f"r{i}", a=value) for i, value in enumerate(values)))
    assert passthrough.notices(made.schema) == [
        f"column 'a' has values of several kinds ({kinds}): it is {became}"
    ]


@pytest.mark.parametrize("values", [(2**64, 2**65), ("a", "b"), ([1], {"b": 2}), (1, 2**60)])
def test_a_column_of_one_kind_is_not_said(values):
    made = table(*(row(f"r{i}", a=value) for i, value in enumerate(values)))
    assert passthrough.notices(made.schema) == []


def test_a_zero_below_zero_keeps_its_sign_among_integers_that_no_float_holds():
    made = table(row("r1", a=-0.0), row("r2", a=2**53 + 1), row("r3", a=0.0))
    assert made.column("a").to_pylist() == ["-0.0", str(2**53 + 1), "0"]


@pytest.mark.parametrize(
    ("record_id", "number"),
    [
        ("0", 0),
        ("-12", -12),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        (str(2**63), None),
        ("007", None),
        ("-0", None),
        ("3.0", None),
        ("r1", None),
    ],
)
def test_an_id_that_is_an_integer_of_64_bits_is_one_beside_its_text(record_id, number):
    made = table(row(record_id))
    assert made.select(["id", "id_int"]).to_pylist() == [{"id": record_id, "id_int": number}]


VALUES = strategies.lists(
    strategies.one_of(
        strategies.lists(strategies.none(), min_size=1),
        strategies.lists(strategies.integers(-9, 9), min_size=1),
        strategies.lists(strategies.text(max_size=3), min_size=1),
        strategies.lists(strategies.integers(-(2**70), 2**70), min_size=1),
        strategies.lists(strategies.integers(2**53, 2**53 + 2), min_size=1),
        strategies.lists(strategies.floats(), min_size=1),
        strategies.lists(strategies.sampled_from([3.0, 0.5, 2.0**53, 1e300]), min_size=1),
        strategies.lists(
            strategies.decimals(allow_nan=False, allow_infinity=False, places=2), min_size=1
        ),
        strategies.lists(strategies.dates(), min_size=1),
        strategies.lists(strategies.datetimes(), min_size=1),
        strategies.lists(strategies.datetimes(timezones=strategies.just(datetime.UTC)), min_size=1),
        strategies.lists(strategies.timedeltas(), min_size=1),
        strategies.lists(strategies.binary(max_size=3), min_size=1),
        strategies.lists(strategies.booleans(), min_size=1),
        strategies.lists(strategies.lists(strategies.integers(0, 3)), min_size=1),
    ),
    min_size=1,
    max_size=4,
)


@hypothesis.given(parts=VALUES)
@hypothesis.settings(deadline=None, max_examples=500)
def test_columns_made_in_parts_and_unified_equal_the_column_made_at_once(parts):
    tables = []
    for values in parts:
        field, array = passthrough.field("x", values)
        tables.append(pa.table([array], schema=pa.schema([field])))
    columns = passthrough.unified([part.schema for part in tables])
    unified = pa.concat_tables([passthrough.conformed(part, columns) for part in tables])
    field, array = passthrough.field("x", list(itertools.chain(*parts)))
    assert unified.schema.equals(pa.schema([field]), check_metadata=True)
    assert unified.column("x").combine_chunks().equals(array)


def test_a_part_without_a_column_gets_it_with_nulls():
    first, second = table(row("r1", a=1)), table(row("r2", b="x"))
    columns = passthrough.unified([first.schema, second.schema])
    both = pa.concat_tables([passthrough.conformed(part, columns) for part in (first, second)])
    assert both.select(["id", "a", "b"]).to_pylist() == [
        {"id": "r1", "a": 1, "b": None},
        {"id": "r2", "a": None, "b": "x"},
    ]


def test_a_rejected_row_says_where_which_stage_and_why():
    rows = [Rejected("r1", Position("in.jsonl", 7), "read", Reason.UNPARSABLE, "no JSON", "ab")]
    made = tables_rows.rejected_table(rows, PROVENANCE)
    assert made.to_pylist() == [
        {
            "id": "r1",
            "source": "in.jsonl#7",
            "stage": "read",
            "reason": "unparsable",
            "detail": "no JSON",
            "payload_digest": "ab",
            "model_digest": "model",
            "transform_digest": "transform",
            "spec_digest": "spec",
            "code_digest": "code",
            "code_version": "1.2.3",
        }
    ]
    assert tables_rows.rejected_table([], PROVENANCE).schema == made.schema


def test_a_jsonl_line_is_one_object_with_the_shortest_digits(tmp_path):
    path = str(tmp_path / "part.jsonl")
    formats.write(table(row("ü\n", blob=b"\x00", nan=float("nan"))), path, "jsonl")
    content = (tmp_path / "part.jsonl").read_text(encoding="utf-8")
    assert content == (
        '{"id":"ü\\n","id_int":null,'
        '"category":{"label":"cat","score":0.5,'
        '"distribution":{"bird":0.25,"cat":0.5,"dog":0.25}},'
        '"topics":{"label":["art"],"score":0.75,"distribution":{"art":0.75,"food":0.1}},'
        '"modalities_used":["image","text"],"issues":["audio: truncated"],'
        '"content_digest":"content","model_digest":"model","transform_digest":"transform",'
        '"spec_digest":"spec","code_digest":"code","blob":"AA==","nan":null}\n'
    )


def test_parquet_and_jsonl_read_back_equal(tmp_path):
    rows = [scores.scored(f"r{i}", i, extra={"n": i, "f": i / 3, "t": "x"}) for i in range(50)]
    made = table(*rows)
    for form in formats.FORMATS:
        formats.write(made, str(tmp_path / f"part.{form}"), form)
    assert formats.read(str(tmp_path / "part.parquet")).equals(made)
    assert formats.read(str(tmp_path / "part.jsonl")).equals(made)
    assert len((tmp_path / "part.jsonl").read_text().splitlines()) == 50


@pytest.mark.parametrize("form", formats.FORMATS)
def test_equal_tables_give_equal_bytes_however_they_are_chunked(form):
    rows = [scores.scored(f"r{i}", i) for i in range(9)]
    whole = table(*rows)
    parts = pa.concat_tables([table(*rows[:4]), table(*rows[4:])])
    assert formats.encode(parts, form) == formats.encode(whole, form)
    sliced = table(scores.scored("first"), *rows).slice(1)
    assert formats.encode(sliced, "jsonl") == formats.encode(whole, "jsonl")


def test_a_file_that_is_cut_short_is_an_error_of_one_line(tmp_path):
    for form in formats.FORMATS:
        path = tmp_path / f"part.{form}"
        path.write_bytes(formats.encode(table(row()), form)[:-20])
        with pytest.raises(StorageError, match=rf"^{path}: not a whole .{form} file; [^\n]+$"):
            formats.read(str(path))


def test_a_parquet_file_is_readable_by_column():
    content = formats.encode(table(row("r1"), row("r2")), "parquet")
    assert formats.decode(content, "parquet", ["id"]).to_pydict() == {"id": ["r1", "r2"]}


def test_a_nan_score_is_null_in_jsonl():
    nan = Prediction("cat", float("nan"), np.full(3, np.nan, np.float32))
    broken = Scored("r1", Position("in", 0), {"category": nan}, ())
    columns = {"category": scores.COLUMNS["category"]}
    made = tables_rows.score_table([broken], columns, PROVENANCE)
    line = json.loads(formats.encode(made, "jsonl"))
    assert line["category"] == {
        "label": "cat",
        "score": None,
        "distribution": {"bird": None, "cat": None, "dog": None},
    }


def test_keys_beyond_the_cap_are_json_in_one_column_and_the_most_frequent_stay():
    everywhere, count = {"often": 1}, 3 * passthrough.MOST_COLUMNS
    rows = [row(f"r{n}", **everywhere, **{f"k{n:05d}": n}) for n in range(count)]
    made = table(*rows)
    own = [field.name for field in made.schema if passthrough.kind_of(field)]
    assert len(own) == passthrough.MOST_COLUMNS + 1
    assert own[0] == "k00000"
    assert {"often", names.OTHERS} < set(own)
    assert made.column("often").to_pylist() == [1] * count
    assert made.column(names.OTHERS).to_pylist()[-1] == f'{{"k{count - 1:05d}": {count - 1}}}'


def test_parts_of_a_run_have_no_more_columns_together_than_one_may():
    half = passthrough.MOST_COLUMNS - 1
    parts = [
        table(row("r1", b=[1], **{f"x{n:04d}": n for n in range(half)})),
        table(row("r2", b=[2], **{f"y{n:04d}": n for n in range(half)})),
    ]
    columns = passthrough.unified([part.schema for part in parts])
    both = pa.concat_tables([passthrough.conformed(part, columns) for part in parts])
    assert len(columns) == passthrough.MOST_COLUMNS + 1
    first, second = both.to_pylist()
    assert (first["b"], second["b"], first[names.OTHERS]) == ("[1]", "[2]", None)
    assert json.loads(second[names.OTHERS]) == {f"y{n:04d}": n for n in range(half)}


def test_a_key_with_the_name_of_that_column_has_one_of_its_own():
    assert "extra_other_fields" in table(row("r1", other_fields=1)).column_names
