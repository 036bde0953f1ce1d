"""Carry-over: scored content is not scored again, and the result is the same bit for bit."""

import base64
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pytest

from examples import generated as examples
from tests import media, scores
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import ScorerHandler
from triad_ml.pipelines.publishing import parts, publish
from triad_ml.pipelines.runners import beam_options, results
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.scoring import carry_over, pipeline, score
from triad_ml.pipelines.scoring import plan as scoring_plan
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.tables import ScoresFormat, formats
from triad_ml.pipelines.tables.schema import score_schema
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.media.canonicalize import Canonicalizer

FIRST, SECOND = "2026-11-23", "2026-11-24"
RECORDS = 200
Row = dict[str, Any]


class Nights(NamedTuple):
    """Two nights of one corpus; between them two of 200 records are new and some are changed.

    Attributes:
        first: Records of the first night.
        second: Records of the second.
        output: Where the first night is published.
    """

    first: Path
    second: Path
    output: Path


def config(model: Path, records: Path, output: Path, date: str, **more: Any) -> ScoreConfig:
    return ScoreConfig(
        str(model), (str(records),), str(output), date, rejected_limit=0.2, unit_records=64, **more
    )


def rows(output: Path, date: str, kind: str = "scores") -> list[Row]:
    manifest = publish.current(str(output), date)
    assert manifest is not None
    run = publish.RunFolder(str(output), date, manifest.run_id)
    return [
        row
        for file in getattr(manifest, kind)
        for row in formats.read(run.path(file.path)).to_pylist()
    ]


def contents(output: Path, date: str) -> dict[str, bytes]:
    """Every published file but the manifest, which says when it was made."""
    folder = output / f"dt={date}"
    return {
        p.name: p.read_bytes()
        for kind in ("scores", "_rejected")
        for p in folder.rglob(f"{kind}/*")
    }


def write(path: Path, lines: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def nights(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    folder = tmp_path_factory.mktemp("nights")
    made = examples.write(folder / "records", RECORDS + 2, seed=7)
    lines = [json.loads(line) for line in made.read_text().splitlines()]
    corrupt = bytearray(media.png(seed=5))
    corrupt[corrupt.index(b"IDAT") + 10] ^= 0xFF
    inline = {"base64": base64.b64encode(corrupt).decode()}
    lines[10] |= {"image": inline, "text": "a fan"}  # only the model's batch finds it broken
    lines[11] |= {"image": "media/nowhere.png", "text": "a fan"}
    lines[12] |= {"image": None, "audio": None, "text": None}
    first = write(made.parent / "first.jsonl", lines[:RECORDS])
    changed = [dict(line) for line in lines]
    changed[20] |= {"source": "another source"}  # passes through: nothing to score anew
    changed[21] |= {"id": "another id"}
    changed[22] |= {"text": "another text"}
    changed[23] |= {"image": None, "text": "only a text"}
    del changed[24]
    second = write(made.parent / "second.jsonl", changed)
    output = folder / "scores"
    scoring_run.run(config(trained, first, output, FIRST))
    return Nights(first, second, output)


@pytest.fixture
def output(nights: Nights, tmp_path: Path) -> Path:
    """A copy of what the first night published."""
    return Path(shutil.copytree(nights.output, tmp_path / "scores"))


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_the_result_is_the_one_of_a_full_run(
    trained: Path, nights: Nights, tmp_path: Path, form: ScoresFormat
) -> None:
    full, carried = tmp_path / "full", tmp_path / "carried"
    scoring_run.run(config(trained, nights.first, carried, FIRST, format=form))
    scoring_run.run(config(trained, nights.second, carried, SECOND, format=form, carry_over=True))
    scoring_run.run(config(trained, nights.second, full, SECOND, format=form))
    assert len(rows(full, SECOND)) == RECORDS
    assert contents(carried, SECOND) == contents(full, SECOND)
    both = [publish.current(str(one), SECOND) for one in (carried, full)]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].run_id == both[1].run_id
    first = publish.current(str(carried), FIRST)
    assert first is not None
    assert both[0].about["carried_over_from"] == {"date": FIRST, "run_id": first.run_id}


def test_the_model_sees_only_what_is_new_or_changed(
    trained: Path, nights: Nights, tmp_path: Path
) -> None:
    settings = config(trained, nights.second, nights.output, SECOND, carry_over=True)
    plan = scoring_plan.plan(settings)
    what = plan.model.spec
    composite = score.Score(
        Canonicalizer(what, check=False),
        ScorerHandler(str(trained)),
        plan.model.model_digest,
        carry_over.find(plan),
    )
    with beam.Pipeline(options=beam_options.beam_options("local", ())) as root:
        pipeline.define_pipeline(
            root,
            units.plan(plan.inputs),
            what.label_names,
            composite,
            scores.run_folder(tmp_path),
            plan.settings,
        )
    counted = results.counters(root.result)
    # two new ones, and two whose media are others; the one with nothing in it is rejected before
    assert counted["CarryOver.records_to_score"] == counted["Score.num_inferences"] == 4
    assert counted["CarryOver.records_carried"] == RECORDS - 4
    assert counted["Score.records_scored"] == 4


def test_nothing_new_calls_no_model(trained: Path, nights: Nights, output: Path) -> None:
    scoring_run.run(config(trained, nights.first, output, SECOND, carry_over=True))
    assert rows(output, SECOND) == rows(output, FIRST)
    assert rows(output, SECOND, "rejected") == rows(output, FIRST, "rejected")


def test_what_the_model_found_broken_is_carried_over_with_its_issue(
    trained: Path, nights: Nights, output: Path
) -> None:
    scoring_run.run(config(trained, nights.second, output, SECOND, carry_over=True))
    by_id = {row["id"]: row for row in rows(output, SECOND)}
    issues = {identity: row["issues"] for identity, row in by_id.items() if row["issues"]}
    assert sorted(issues.values()) == [["image: corrupt"], ["image: not_found"]]


def test_the_log_says_how_many_were_carried_over(
    trained: Path, nights: Nights, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scoring_run.run(config(trained, nights.second, output, SECOND, carry_over=True))
    assert f"{RECORDS - 4} records carried over from run " in caplog.text


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("model", "was made with another model: nothing is carried over"),
        ("code", "was made with other code: nothing is carried over"),
        ("versions", "was made with other versions of the libraries: nothing is carried over"),
    ],
)
def test_another_model_code_or_library_carries_nothing_over(
    trained: Path,
    nights: Nights,
    output: Path,
    caplog: pytest.LogCaptureFixture,
    part: str,
    words: str,
) -> None:
    (path,) = output.glob(f"dt={FIRST}/_runs/run=*/manifest.json")
    manifest = json.loads(path.read_text())
    del manifest["digest"]  # as earlier versions wrote it
    if part == "versions":
        manifest["about"]["versions"] = {**environment.versions(), "tensorflow": "2.0.0"}
    else:
        manifest["digests"][part] = "0" * 64
    path.write_text(json.dumps(manifest))
    plan = scoring_plan.plan(config(trained, nights.second, output, SECOND, carry_over=True))
    assert carry_over.find(plan) is None
    assert words in caplog.text


def test_only_dates_up_to_the_one_that_is_scored_are_looked_at(
    trained: Path, nights: Nights, output: Path
) -> None:
    def found(date: str) -> carry_over.Earlier | None:
        plan = scoring_plan.plan(config(trained, nights.second, output, date, carry_over=True))
        return carry_over.find(plan)

    assert found("2026-11-22") is None
    for date in (FIRST, SECOND, "2027-01-01"):
        earlier = found(date)
        assert earlier is not None
        assert earlier.run.date == FIRST


def test_a_damaged_file_of_the_earlier_run_is_an_error_of_one_line(
    trained: Path, nights: Nights, output: Path
) -> None:
    part = sorted(output.rglob("scores/*"))[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    plan = scoring_plan.plan(config(trained, nights.second, output, SECOND, carry_over=True))
    earlier = carry_over.find(plan)
    assert earlier is not None
    with pytest.raises(StorageError) as caught:
        carry_over.Index(earlier)
    assert str(caught.value) == (
        f"{part}: is not what the run wrote (SHA-256); score once without --carry-over; "
        f"{parts.REMEDY}"
    )


def test_an_index_of_a_run_that_scored_nothing_finds_nothing(trained: Path, tmp_path: Path) -> None:
    columns = tuple(score_schema(bundle.load(trained), "parquet").columns.items())
    empty = carry_over.Earlier(scores.run_folder(tmp_path), (), columns, "m" * 64)
    assert carry_over.Index(empty).find("0" * 64) is None
