"""Publishing: each record in one output, only whole runs, and the same result after any kill."""

import dataclasses
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import scores
from tests.scores import SETTINGS, Work
from triad_ml.pipelines.publishing import publish, publish_step
from triad_ml.pipelines.publishing.commit import commit_unit, complete_units
from triad_ml.pipelines.publishing.manifest import Manifest, PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder, run_id
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.publishing.sealing.seal import seal as seal_run
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.media_counts import IssuesLimits
from triad_ml.transforms.errors import GateError, LostRaceError, OptionsError, StorageError
from triad_ml.transforms.records.values import Provenance, Reason

ROOT = Path(__file__).resolve().parents[3]
JSONL = dataclasses.replace(SETTINGS, format="jsonl")

# Ids in two units, in one unit twice, rejected in one and scored in another; columns of three
# kinds that only agree over all units; a unit without scores.
WORKS = (
    Work(
        [
            scores.scored("b", 30, extra={"n": 1}),
            scores.scored("a", 10, extra={"n": 2}),
            scores.scored("b", 20, extra={"n": 3}),
        ],
        [scores.rejected("z", 40)],
    ),
    Work(
        [
            scores.scored("c", 0, unit=1, issues=("image: truncated",)),
            scores.scored("a", 5, unit=1, extra={"n": 0.5}),
            scores.scored("z", 9, unit=1, issues=("image: truncated", "text: not_utf8")),
        ],
    ),
    Work([], [scores.rejected("y", 0, unit=2, reason=Reason.UNREADABLE)]),
)


def files(folder: str | Path) -> dict[str, bytes]:
    """The content of all files below a folder, without when a run was made."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "manifest.json":
                content = json.dumps({**json.loads(content), "created": "", "digest": ""}).encode()
            found[str(path.relative_to(folder))] = content
    return found


def rows(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    """The rows of all parts that the manifest lists."""
    manifest = publish.current(run.output, run.date)
    assert manifest is not None
    return [
        row
        for file in manifest.files
        if file.path.startswith((f"{kind}/", f"_{kind}/"))
        for row in formats.read(run.path(file.path)).to_pylist()
    ]


# --- names


def test_a_run_id_depends_on_everything_but_the_order_of_the_inputs():
    inputs = [("a", 1, "v1"), ("b", 2, "v1")]
    given = {
        "date": "2026-11-24",
        "inputs": inputs,
        "provenance": Provenance("m", "t", "s", "c", "1"),
        "options": {"format": "parquet"},
    }
    first = run_id(**given)
    assert first == "b71f26988b40036953e876c7"
    assert run_id(**{**given, "inputs": inputs[::-1]}) == first
    changed = {
        "date": "2026-11-25",
        "inputs": [("a", 1, "v2"), ("b", 2, "v1")],
        "provenance": Provenance("m", "t", "s", "d", "1"),
        "options": {"format": "jsonl"},
    }
    others = {run_id(**{**given, key: value}) for key, value in changed.items()}
    assert len(others - {first}) == len(changed)


@pytest.mark.parametrize("date", ["", "2026-13-01", "20261124", "../x", "2026-11-24/"])
def test_a_date_that_is_none_is_refused(tmp_path, date):
    with pytest.raises(OptionsError, match="--date: must be a date as YYYY-MM-DD, got "):
        scores.run_folder(tmp_path, date=date)


# --- units


def test_a_unit_holds_its_rows_sorted_with_the_first_of_each_id(tmp_path):
    run = scores.run_folder(tmp_path)
    manifest = commit_unit(run, 3, WORKS[0].scored, WORKS[0].rejected, 4, SETTINGS)
    assert set(files(run.folder)) == {
        "_units/00003.json",
        "_units/00003.scores.parquet",
        "_units/00003.rejected.parquet",
    }
    scored = pq.read_table(run.unit_scores(3)).select(["id", "n", tables_rows.POSITION]).to_pylist()
    assert scored == [
        {"id": "a", "n": 2, tables_rows.POSITION: "in.jsonl#10"},
        {"id": "b", "n": 3, tables_rows.POSITION: "in.jsonl#20"},
    ]
    rejected = pq.read_table(run.unit_rejected(3)).select(["id", "source", "stage", "reason"])
    assert rejected.to_pylist() == [
        {"id": "b", "source": "in.jsonl#30", "stage": "publish", "reason": "duplicate_id"},
        {"id": "z", "source": "in.jsonl#40", "stage": "canonicalize", "reason": "empty"},
    ]
    content = Path(run.unit_scores(3)).read_bytes()
    assert manifest.scores_file == PartFile(
        "_units/00003.scores.parquet", 2, len(content), hashlib.sha256(content).hexdigest()
    )
    assert (manifest.read, manifest.scored, manifest.rejected) == (4, 2, 2)
    assert manifest.reasons == {"duplicate_id": 1, "empty": 1}
    assert manifest.schema[-1] == {"name": "n", "type": "int64", "kind": "int"}


def test_the_order_in_which_a_unit_is_given_changes_no_byte(tmp_path):
    for name, step in (("a", 1), ("b", -1)):
        run = scores.run_folder(tmp_path / name)
        commit_unit(run, 0, WORKS[0].scored[::step], WORKS[0].rejected, 4, SETTINGS)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_complete_unit_is_not_written_again(tmp_path):
    run = scores.run_folder(tmp_path)
    first = commit_unit(run, 0, WORKS[0].scored, WORKS[0].rejected, 4, SETTINGS)
    before = {path: path.stat().st_ino for path in Path(run.units).iterdir()}
    assert commit_unit(run, 0, WORKS[0].scored, WORKS[0].rejected, 4, SETTINGS) == first
    assert {path: path.stat().st_ino for path in Path(run.units).iterdir()} == before


def test_a_unit_that_lost_a_record_is_refused(tmp_path):
    run = scores.run_folder(tmp_path)
    with pytest.raises(GateError, match="unit 7: 5 records were read, but 3 scored and 1 rejected"):
        commit_unit(run, 7, WORKS[0].scored, WORKS[0].rejected, 5, SETTINGS)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("name", ["00001.json", "00001.scores.parquet", "00001.rejected.parquet"])
@pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
def test_a_unit_counts_as_complete_only_with_all_files_as_written(tmp_path, name, damage):
    run = scores.run_folder(tmp_path)
    scores.commit(run, WORKS)
    whole = files(tmp_path)
    assert complete_units(run) == {0, 1, 2}
    path = Path(run.units) / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "shorter":
        path.write_bytes(content[:-1] if name.endswith("parquet") else content[:-3])
    else:
        path.write_bytes(b"\x00" + content[1:])
    assert complete_units(run) == {0, 2}
    scores.commit(run, WORKS)
    assert files(tmp_path) == whole


# --- whole runs


def test_a_published_run_has_this_layout_and_manifest(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.score(run, WORKS)
    folder = f"dt=2026-11-24/_runs/run={run.run_id}"
    assert set(files(tmp_path)) == {
        "dt=2026-11-24/.lock",
        "dt=2026-11-24/CURRENT",
        f"{folder}/manifest.json",
        f"{folder}/statistics.json",
        *(f"{folder}/scores/part-{unit:05d}.parquet" for unit in range(3)),
        *(f"{folder}/_rejected/part-{unit:05d}.parquet" for unit in range(3)),
        *(f"{folder}/_units/{unit:05d}.json" for unit in range(3)),
    }
    assert (tmp_path / "dt=2026-11-24" / "CURRENT").read_text() == f"{run.run_id}\n"
    manifest = json.loads(Path(run.manifest).read_bytes())
    parts = manifest.pop("files")
    for part in parts:
        content = Path(run.folder, part["path"]).read_bytes()
        assert part["sha256"] == hashlib.sha256(content).hexdigest()
        assert part["bytes"] == len(content)
    assert [(part["path"], part["rows"]) for part in parts] == [
        ("scores/part-00000.parquet", 2),
        ("scores/part-00001.parquet", 2),
        ("scores/part-00002.parquet", 0),
        ("_rejected/part-00000.parquet", 2),
        ("_rejected/part-00001.parquet", 1),
        ("_rejected/part-00002.parquet", 1),
    ]
    assert manifest.pop("created").startswith("20")
    assert len(manifest.pop("digest")) == 64
    statistics = Path(run.statistics).read_bytes()
    assert manifest.pop("statistics") == {
        "path": "statistics.json",
        "rows": 4,
        "bytes": len(statistics),
        "sha256": hashlib.sha256(statistics).hexdigest(),
    }
    struct = "struct<label: {}, score: float, distribution: map<string, float>>"
    assert manifest == {
        "run_id": run.run_id,
        "date": "2026-11-24",
        "format": "parquet",
        "units": 3,
        "counts": {"read": 8, "scored": 4, "rejected": 4},
        "reasons": {"duplicate_id": 2, "empty": 1, "unreadable": 1},
        "issues": {"image: truncated": 2, "text: not_utf8": 1},
        "schema": [
            {"name": "id", "type": "string"},
            {"name": "id_int", "type": "int64"},
            {"name": "category", "type": struct.format("string")},
            {"name": "topics", "type": struct.format("list<item: string>")},
            {"name": "modalities_used", "type": "list<item: string>"},
            {"name": "issues", "type": "list<item: string>"},
            {"name": "content_digest", "type": "string"},
            {"name": "model_digest", "type": "string"},
            {"name": "transform_digest", "type": "string"},
            {"name": "spec_digest", "type": "string"},
            {"name": "code_digest", "type": "string"},
            {"name": "n", "type": "double", "kind": "float", "kinds": "float, int"},
        ],
        "classes": {"category": ["bird", "cat", "dog"], "topics": ["art", "food"]},
        "digests": {"model": "m" * 8, "transform": "t" * 8, "spec": "s" * 8, "code": "c" * 8},
        "code_version": "1.2.3",
        "about": {"by": "a test"},
        "media": {
            "image": {"had": 6, "flaws": {"truncated": 2}},
            "audio": {"had": 0, "flaws": {}},
            "text": {"had": 5, "flaws": {"not_utf8": 1}},
        },
    }


@pytest.mark.parametrize("settings", [SETTINGS, JSONL])
def test_every_record_is_in_one_place_and_an_id_is_scored_once(tmp_path, settings):
    run = scores.run_folder(tmp_path)
    scores.score(run, WORKS, settings=settings)
    assert [(row["id"], row["n"]) for row in rows(run, "scores")] == [
        ("a", 2.0),
        ("b", 3.0),
        ("c", None),
        ("z", None),
    ]
    assert [(r["id"], r["source"], r["stage"], r["reason"]) for r in rows(run, "rejected")] == [
        ("b", "in.jsonl#30", "publish", "duplicate_id"),
        ("z", "in.jsonl#40", "canonicalize", "empty"),
        ("a", "in.jsonl#5", "publish", "duplicate_id"),
        ("y", "in.jsonl#0", "canonicalize", "unreadable"),
    ]


def test_a_published_score_is_the_one_that_was_given(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.score(run, WORKS)
    given = WORKS[0].scored[1].predictions["category"]
    assert rows(run, "scores")[0]["category"] == {
        "label": given.label,
        "score": given.score,
        "distribution": list(
            zip(scores.CLASSES["category"], given.distribution.tolist(), strict=True)
        ),
    }


def test_all_parts_of_a_run_have_one_schema(tmp_path):
    run = scores.run_folder(tmp_path)
    manifest = scores.score(run, WORKS)
    schemas = [pq.read_schema(run.path(file.path)) for file in manifest.scores]
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    paths = publish.open_current(str(tmp_path))
    together = pa.concat_tables([pq.read_table(path) for path in paths])
    assert together.column("n").to_pylist() == [2.0, 3.0, None, None]


def test_an_id_in_many_units_stays_in_the_first(tmp_path):
    run = scores.run_folder(tmp_path)
    works = [Work([scores.scored("same", u, unit=u), scores.scored(f"u{u}", 9)]) for u in range(12)]
    manifest = scores.score(run, works)
    assert manifest.counts == {"read": 24, "scored": 13, "rejected": 11}
    assert [row["id"] for row in rows(run, "scores")][:2] == ["same", "u0"]
    assert [row["source"] for row in rows(run, "rejected")] == [
        f"in.jsonl#{unit}" for unit in range(1, 12)
    ]


def test_a_run_without_records_is_published(tmp_path):
    run = scores.run_folder(tmp_path)
    manifest = scores.score(run, ())
    assert manifest.counts == {"read": 0, "scored": 0, "rejected": 0}
    assert publish.current(str(tmp_path), run.date) == manifest
    assert publish.open_current(str(tmp_path), run.date) == ()


# --- gates


def seal(run: RunFolder, works: Sequence[Work], limit: float) -> Manifest:
    scores.commit(run, works)
    return seal_run(run, len(works), Gates(limit), SETTINGS, {})


def test_too_many_rejected_records_are_refused_until_the_limit_is_raised(tmp_path):
    run = scores.run_folder(tmp_path)
    with pytest.raises(GateError) as refused:
        seal(run, WORKS, 0.4999)
    assert str(refused.value) == (
        "4 of 8 records are rejected (50.00%; most often: duplicate_id, 2), over the limit of "
        f"49.99%; nothing is published: see {run.folder}/_rejected, or raise --rejected-limit"
    )
    assert refused.value.exit_code == 10
    assert not Path(run.manifest).exists()
    assert complete_units(run) == {0, 1, 2}
    seal(run, WORKS, 0.5)
    with pytest.raises(GateError, match="4 of 8 records are rejected"):
        seal(run, WORKS, 0.1)


def test_a_run_that_scores_nothing_is_refused_whatever_the_limit(tmp_path):
    run = scores.run_folder(tmp_path)
    with pytest.raises(GateError, match=r"none of 1 records is scored \(most often: unreadable, 1"):
        seal(run, WORKS[2:], 1.0)


def test_a_missing_or_surplus_unit_is_refused(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.commit(run, WORKS)
    with pytest.raises(GateError, match=r"there are more than 2 units \(2\)"):
        seal(run, WORKS[:2], 1.0)
    Path(run.unit_manifest(1)).unlink()
    gates = Gates(1.0)
    with pytest.raises(GateError, match=r"not all of 3 units are complete \(without 1\)"):
        seal_run(run, 3, gates, SETTINGS, {})


def test_a_row_that_gets_lost_between_unit_and_part_is_noticed(tmp_path, monkeypatch):
    run = scores.run_folder(tmp_path)
    scores.commit(run, WORKS)
    replace = os.replace

    def replace_with_fewer_rows(source: str, target: str) -> None:
        if "/scores/" in target:
            table = pq.read_table(pa.BufferReader(Path(source).read_bytes()))
            Path(source).write_bytes(formats.encode(table.slice(1), "parquet"))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_with_fewer_rows)
    with pytest.raises(GateError, match="8 records were read, but 2 scored and 4 rejected"):
        seal(run, WORKS, 1.0)


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan")])
def test_a_limit_that_is_no_share_is_an_error(limit):
    with pytest.raises(ValueError, match="rejected_limit must be between 0 and 1"):
        Gates(limit)


# --- again


def test_a_second_start_of_a_published_run_finds_it(tmp_path):
    run = scores.run_folder(tmp_path)
    assert not publish.published(run)
    assert publish.begin(run) == publish.Start(set(), None)
    scores.score(run, WORKS)
    assert publish.published(run)
    assert publish.begin(run) == publish.Start({0, 1, 2}, run.run_id)


def test_a_second_attempt_changes_nothing(tmp_path):
    run = scores.run_folder(tmp_path)
    manifest = scores.score(run, WORKS)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")}
    assert scores.score(run, WORKS) == manifest
    after = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")}
    assert after == before


def test_parts_that_the_manifest_does_not_list_are_removed(tmp_path):
    run = scores.run_folder(tmp_path)
    Path(run.folder, "scores").mkdir(parents=True)
    Path(run.folder, "scores", "part-00099.parquet").write_bytes(b"old")
    scores.score(run, WORKS)
    assert len(list(Path(run.folder, "scores").iterdir())) == 3


def test_a_damaged_part_of_a_sealed_run_is_an_error_until_its_unit_is_scored_again(tmp_path):
    run = scores.run_folder(tmp_path)
    seal(run, WORKS, 1.0)
    path = run.path("scores/part-00001.parquet")
    Path(path).write_bytes(b"x")
    for unit in range(len(WORKS)):
        Path(run.unit_scores(unit)).unlink()  # as publishing removes them
    with pytest.raises(GateError, match=rf"^{run.unit_manifest(1)}: the unit is not complete; "):
        seal_run(run, len(WORKS), Gates(1.0), SETTINGS, {})
    assert Path(path).read_bytes() == b"x"


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int, after: bool) -> Callable[[], int]:
    """Ends the process at the given change of the file system; returns the changes so far."""
    steps = 0

    def killing(operation: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: str) -> None:
            nonlocal steps
            steps += 1
            if after:
                operation(*arguments)
            if steps == step:
                raise Killed
            if not after:
                operation(*arguments)

        return changed

    monkeypatch.setattr(os, "replace", killing(os.replace))
    monkeypatch.setattr(os, "link", killing(os.link))
    return lambda: steps


STEPS = 19  # nine files of units, six parts, statistics, manifest, pointer; one not reached


def test_the_steps_of_a_run_are_all_tried(tmp_path, monkeypatch):
    steps = kill_at(monkeypatch, 0, after=True)
    scores.score(scores.run_folder(tmp_path), WORKS)
    assert steps() == STEPS - 1


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory):
    """The files of an output where a run followed on an older one without interruption."""
    output = tmp_path_factory.mktemp("whole")
    scores.score(scores.run_folder(output, name="old"), WORKS[:1])
    scores.score(scores.run_folder(output, name="new"), WORKS)
    return files(output)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, STEPS))
def test_killed_at_any_step_readers_see_one_whole_run_and_the_next_attempt_completes_it(
    tmp_path, monkeypatch, whole_runs, step, after
):
    scores.score(scores.run_folder(tmp_path, name="old"), WORKS[:1])
    run = scores.run_folder(tmp_path, name="new")
    with monkeypatch.context() as patch:
        kill_at(patch, step, after)
        with pytest.raises(Killed):
            scores.score(run, WORKS)
    seen = publish.current(run.output, run.date)
    flipped = after and step == STEPS - 1
    assert seen is not None
    assert (seen.run_id == run.run_id) == flipped
    assert all(os.path.getsize(path) for path in publish.open_current(run.output, run.date))
    changes = step if after else step - 1
    assert complete_units(run) == set(range(min(changes // 3, 3)))
    scores.score(run, WORKS)
    assert files(tmp_path) == whole_runs


CHILD = """
import os, sys
from tests import scores
from tests.pipelines.publishing import test_publish
steps = 0
replace = os.replace
def killing(source, target):
    global steps
    steps += 1
    if steps == int(sys.argv[2]):
        os._exit(9)
    replace(source, target)
os.replace = killing
scores.score(scores.run_folder(sys.argv[1]), test_publish.WORKS)
"""


@pytest.mark.parametrize("step", [5, 12])
def test_what_a_killed_process_leaves_is_gone_after_the_next_attempt(tmp_path, step):
    run = scores.run_folder(tmp_path / "killed")
    child = subprocess.run([sys.executable, "-c", CHILD, run.output, str(step)], cwd=ROOT)
    assert child.returncode == 9
    assert [path for path in files(tmp_path) if ".tmp-" in path]
    scores.score(run, WORKS)
    scores.score(scores.run_folder(tmp_path / "whole"), WORKS)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


FULL = """
import resource, sys
from tests import scores
from tests.scores import Work
from triad_ml.transforms.errors import StorageError
many = Work([scores.scored(str(i), i) for i in range(2000)])
run = scores.run_folder(sys.argv[1], name="new")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    scores.score(run, [many])
except StorageError as error:
    sys.exit(error.exit_code)
"""


def test_a_full_disk_leaves_the_published_run_as_it_was(tmp_path):
    old = scores.run_folder(tmp_path, name="old")
    scores.score(old, WORKS)
    before = files(tmp_path)
    child = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT)
    assert child.returncode == 20
    assert files(tmp_path) == before
    assert publish.current_id(str(tmp_path), scores.DATE) == old.run_id


def test_an_output_below_a_regular_file_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").touch()
    run = scores.run_folder(tmp_path / "file")
    with pytest.raises(StorageError, match=r"^[^\n]+ is a file; choose another place$"):
        publish.begin(run)


# --- the pointer


def test_a_later_run_takes_the_place_and_an_earlier_one_can_take_it_back(tmp_path):
    first, second = (scores.run_folder(tmp_path, name=name) for name in "ab")
    for run in (first, second, first):
        scores.score(run, WORKS)
        assert publish.current_id(str(tmp_path), scores.DATE) == run.run_id
        assert publish.published(run)
    assert not publish.published(second)


def test_the_loser_of_a_race_says_who_won(tmp_path):
    first, second = (scores.run_folder(tmp_path, name=name) for name in "ab")
    for run in (first, second):
        seal(run, WORKS, 1.0)
    publish.publish(first, None)
    with pytest.raises(LostRaceError) as lost:
        publish.publish(second, None)
    assert lost.value.exit_code == 11
    assert str(lost.value) == (
        f"{tmp_path}/dt=2026-11-24/CURRENT: run {first.run_id} was published while this one was "
        f"under way; {second.run_id} is complete: run again to publish it instead"
    )
    assert publish.current_id(str(tmp_path), scores.DATE) == first.run_id
    publish.publish(first, None)
    scores.score(second, WORKS)
    assert publish.current_id(str(tmp_path), scores.DATE) == second.run_id


def test_of_two_processes_that_publish_at_once_exactly_one_wins(tmp_path):
    dates = [f"2026-11-{day:02d}" for day in range(1, 21)]
    for date in dates:
        for name in "ab":
            run = scores.run_folder(tmp_path, name=name, date=date)
            seal_run(run, 0, Gates(1.0), SETTINGS, {})
    context = multiprocessing.get_context("spawn")
    barrier, outcomes = context.Barrier(2, timeout=60), context.Queue()
    children = [
        context.Process(target=scores.race, args=(barrier, outcomes, str(tmp_path), name, dates))
        for name in "ab"
    ]
    for child in children:
        child.start()
    found = [outcomes.get(timeout=60) for _ in range(2 * len(dates))]
    for child in children:
        child.join()
    for index, date in enumerate(dates):
        ended = {name: outcome for name, i, outcome in found if i == index}
        assert sorted(ended.values()) == ["lost", "won"]
        winner = next(name for name, outcome in ended.items() if outcome == "won")
        run = scores.run_folder(tmp_path, name=winner, date=date)
        assert publish.current_id(str(tmp_path), date) == run.run_id


def test_a_second_process_with_the_same_run_that_comes_late_changes_no_published_file(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.commit(run, WORKS)
    units = tmp_path / "units"
    shutil.copytree(run.units, units)
    scores.score(run, WORKS)
    before = files(tmp_path / "dt=2026-11-24")
    # The late one had begun before: it commits its units and goes on.
    for unit, work in enumerate(WORKS):
        read = len(work.scored) + len(work.rejected)
        commit_unit(run, unit, work.scored, work.rejected, read, SETTINGS)
    assert files(run.units) == files(units)
    seal_run(run, 3, Gates(1.0), SETTINGS, {"by": "the late one"})
    publish.publish(run, None)
    assert files(tmp_path / "dt=2026-11-24") == before


def test_a_run_without_manifest_is_not_published(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.commit(run, WORKS)
    with pytest.raises(GateError, match="the run has no manifest"):
        publish.publish(run, None)


def test_a_pointer_to_nothing_is_an_error_of_one_line(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.score(run, WORKS)
    Path(run.manifest).unlink()
    with pytest.raises(StorageError, match=rf"names run {run.run_id}, but [^\n]+ is missing; "):
        publish.current(str(tmp_path), run.date)
    assert not publish.published(run)
    Path(run.date_folder, "CURRENT").write_text("../elsewhere\n")
    with pytest.raises(StorageError, match=r"CURRENT: names no run; write it anew [^\n]+$"):
        publish.current(str(tmp_path), run.date)


def test_readers_get_the_parts_of_a_date_or_of_the_latest_one(tmp_path):
    early, late = (scores.run_folder(tmp_path, date=f"2026-11-2{day}") for day in (4, 5))
    for run in (late, early):
        scores.score(run, WORKS)
    (tmp_path / "dt=2026-11-26").mkdir()
    (tmp_path / "dt=2027").mkdir()  # is no date
    parts = ["scores/part-00000.parquet", "scores/part-00001.parquet"]
    assert publish.open_current(str(tmp_path)) == tuple(late.path(part) for part in parts)
    assert publish.open_current(str(tmp_path), early.date) == tuple(
        early.path(part) for part in parts
    )
    with pytest.raises(OptionsError, match="nothing is published for 2026-11-26; run triad score"):
        publish.open_current(str(tmp_path), "2026-11-26")
    with pytest.raises(OptionsError, match="no scores are published here; run triad score"):
        publish.open_current(str(tmp_path / "absent"))


LOST = ("audio: not_found",)
SILENT = (Work([scores.scored(name, issues=LOST) for name in ("a", "b")], [scores.rejected("c")]),)


def test_the_last_step_of_a_job_refuses_what_lost_too_many_media_and_says_what_it_publishes(
    tmp_path, caplog
):
    run = scores.run_folder(tmp_path)
    unread = dataclasses.replace(SETTINGS, modalities=("image", "audio"))

    def publish_last(limits: IssuesLimits) -> None:
        scores.commit(run, SILENT)
        gates = Gates(1.0, limits)
        last = publish_step.Publication(run, 1, (), gates, unread, {}, None)
        with beam.Pipeline() as root:
            root | beam.Create([None]) | publish_step.Publish(last)

    with pytest.raises(
        GateError, match=r"audio: 2 of 2 media are not used \(100\.0%; most often: not"
    ):
        publish_last(IssuesLimits())
    assert publish.current_id(str(tmp_path), scores.DATE) is None
    assert complete_units(run) == set()  # media that are mended meanwhile count

    with caplog.at_level(logging.INFO):
        publish_last(IssuesLimits(own={"audio": 1.0}))
    assert publish.current_id(str(tmp_path), scores.DATE) == run.run_id
    assert [
        one.message
        for one in caplog.records
        if one.name == "triad_ml.pipelines.publishing.publish_step"
    ] == [
        "3 records read, 2 scored, 1 rejected",
        "rejected as empty: 1 of 3; put each medium into a column named image, audio or text",
        f"rejected records: {run.folder}/_rejected",
        "image: all 2 used",
        "audio: 2 of 2 not used (100.0%): not_found 2; deliver the files (relative paths are tried "
        "against the records file's folder, then each --media-root)",
        f"{run.folder}: published",
    ]


def test_media_of_unreadable_records_count_as_lost(tmp_path):
    broken = [
        dataclasses.replace(
            scores.rejected(name, reason=Reason.UNREADABLE), detail="image: corrupt; audio: empty"
        )
        for name in ("x", "y")
    ]
    run = scores.run_folder(tmp_path)
    scores.commit(run, (Work([scores.scored("a")], broken),))
    with pytest.raises(GateError) as refused:
        seal_run(run, 1, Gates(1.0), SETTINGS, {})
    assert str(refused.value).startswith(
        "audio: 2 of 2 media are not used (100.0%; most often: empty, 2), over the limit of 50.0%, "
        "image: 2 of 3 media are not used (66.7%; most often: corrupt, 2), over the limit of "
        "50.0%; nothing is published: ask the source to send the files again, or raise "
        "--issues-limit"
    )
