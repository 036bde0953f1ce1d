"""Model loaded into this process: it returns what a run publishes, for each record, in order."""

import concurrent.futures
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing import parts, publish, reading
from triad_ml.pipelines.scoring.loaded_model import Model, load_model
from triad_ml.pipelines.tables import schema
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.records.values import Rejected, Scored


@pytest.fixture(scope="module")
def model(trained: Path, mixed: Path) -> Model:
    return load_model(trained, media_roots=[mixed.parent])


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_its_scores_are_those_of_a_run_bit_for_bit(model, mixed, published, trained):
    scored = [one for one in model.score(rows(mixed)) if isinstance(one, Scored)]
    settings = schema.score_schema(bundle.load(trained), "parquet")
    table = settings.score_table(scored).sort_by("id")
    assert len(table) == 40
    assert table.equals(reading.read_scores(str(published)).sort_by("id"))


def test_it_rejects_what_a_run_rejects_for_the_same_reasons(model, mixed, published):
    rejected = [one for one in model.score(rows(mixed)) if isinstance(one, Rejected)]
    run, manifest = publish.counting(str(published), None)
    (file,) = [file for file in manifest.rejected if file.rows]
    columns = ["stage", "reason", "detail"]
    found = [tuple(row[name] for name in columns) for row in parts.table(run, file).to_pylist()]
    assert sorted((one.stage, str(one.reason), one.detail) for one in rejected) == sorted(found)


def test_each_record_has_its_outcome_at_its_place(model, mixed):
    given = rows(mixed)
    outcomes = list(model.score(given))
    assert [one.id for one in outcomes] == [
        row.get("id", f"memory://rows/row#{number}") for number, row in enumerate(given)
    ]
    assert [number for number, one in enumerate(outcomes) if isinstance(one, Rejected)] == [
        *(10, 11, 12)
    ]


def test_one_record_gives_the_outcome_that_it_has_among_many(model, mixed):
    given = rows(mixed)[:3]
    many = [one.predictions["category"] for one in model.score(given)]
    for row, among in zip(given, many, strict=True):
        alone = model.score(row)
        assert isinstance(alone, Scored)
        assert alone.predictions["category"].score == among.score
        assert alone.predictions["category"].distribution.tolist() == among.distribution.tolist()


def test_bytes_are_the_media_themselves(model, mixed):
    (row,) = [row for row in rows(mixed) if row.get("id") == "generated-000000"]
    media = {name: (mixed.parent / row[name]).read_bytes() for name in ("image", "audio")}
    by_path, by_bytes = model.score(row), model.score({**row, **media})
    assert by_bytes.content_digest == by_path.content_digest


def test_records_are_read_as_their_outcomes_are_asked_for(model):
    taken = 0

    def endless() -> Iterator[dict[str, str]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"id": str(taken), "text": "a fan"}

    outcomes = model.score(endless())
    assert taken == 0
    assert [next(outcomes).id for _ in range(3)] == ["1", "2", "3"]
    outcomes.close()
    assert taken < 500


def test_no_record_gives_no_outcome(model):
    assert list(model.score([])) == []


def test_without_media_roots_no_record_chooses_a_file(trained, mixed, monkeypatch):
    monkeypatch.chdir(mixed.parent)
    model = load_model(trained)
    row = rows(mixed)[0]
    names = (row["image"], str(mixed.parent / row["image"]), f"file://{mixed.parent / 'media/x'}")
    for name in names:
        outcome = model.score({"id": "a", "image": name})
        assert isinstance(outcome, Rejected)
        assert outcome.detail in ("image: forbidden", "image: not_found")
        assert model.score({"id": "a", "image": name, "text": "x"}).modalities_used == ("text",)
    assert model.score({"id": "a", "image": names[1]}).detail == "image: forbidden"


def test_several_threads_may_use_it_at_once(model, mixed):
    given = rows(mixed)[:9]
    expected = [one.predictions["category"].score for one in model.score(given)]

    def work(_: int) -> list[float]:
        return [one.predictions["category"].score for one in model.score(given)]

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [expected] * 4


def test_it_says_what_it_is(model, trained):
    opened = bundle.load(trained)
    assert (model.digest, model.classes) == (opened.model_digest, opened.classes)
    assert list(model.spec.tasks) == ["category"]


def test_a_string_is_no_list_of_records(model):
    with pytest.raises(OptionsError, match="a str is no record; give a dict with the field id"):
        model.score("records.jsonl")


def test_a_changed_model_is_not_loaded(own_model):
    weights = own_model / "saved_model" / "variables" / "variables.index"
    weights.write_bytes(weights.read_bytes() + b"?")
    with pytest.raises(GateError, match="is not the file that was exported"):
        load_model(own_model)
