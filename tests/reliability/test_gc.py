"""Garbage collection: unpublished runs are removed, and runs that may be needed stay."""

import json
import logging
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests import scores
from tests.reliability.flaky_storage import FlakyStorage
from tests.reliability.forkserver import ForkServer
from tests.reliability.nights import DATE, Night, seen, write_corpus
from tests.scores import SETTINGS, Work
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import gc, publish
from triad_ml.pipelines.publishing.config import GcConfig
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import OptionsError, StorageError

WORKS = (Work([scores.scored("a", 1)], [scores.rejected("z", 2)]), Work([scores.scored("b", 3)]))
DAY = 24 * 3600


def tree(folder: object) -> dict[str, bytes]:
    root = Path(str(folder))
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def date_back(folder: object, days: float) -> None:
    """Makes all files as old as that; a negative number lies in the future."""
    for path in Path(str(folder)).rglob("*"):
        os.utime(path, (time.time() - days * DAY,) * 2)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two dates: one with a published run, an older one and one that was never finished."""
    output = tmp_path / "out"
    for name in ("old", "new"):
        scores.score(scores.run_folder(output, name=name), WORKS)
    scores.commit(scores.run_folder(output, name="unfinished"), WORKS[:1])
    scores.score(scores.run_folder(output, name="other", date="2026-11-25"), WORKS)
    date_back(output, 3)
    return output


def test_what_no_pointer_names_is_removed(output, capsys):
    old, new, unfinished = (
        scores.run_folder(output, name=name) for name in ("old", "new", "unfinished")
    )
    before = tree(output)
    removed = gc.run(GcConfig(str(output)))
    gone = sorted([old.folder, unfinished.folder])
    assert removed.runs == gone
    size = {folder: sum(map(len, tree_before(before, folder, output))) for folder in gone}
    assert removed.bytes == sum(size.values()) > 0
    assert capsys.readouterr().out.splitlines() == [
        f"removed {folder} ({size[folder]} bytes)" for folder in gone
    ]
    assert tree(output) == {
        name: content
        for name, content in before.items()
        if not any(f"{output}/{name}".startswith(f"{folder}/") for folder in gone)
    }
    assert not Path(old.folder).exists()
    assert publish.published(new)
    assert gc.run(GcConfig(str(output))) == gc.Removed()


def tree_before(before: dict[str, bytes], folder: str, output: Path) -> list[bytes]:
    return [content for name, content in before.items() if f"{output}/{name}".startswith(folder)]


def test_a_dry_run_says_the_same_and_changes_nothing(output, capsys):
    temporary = Path(scores.run_folder(output, name="new").folder, "x.json.tmp-" + "0" * 32)
    temporary.write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    planned = gc.run(GcConfig(str(output), dry_run=True))
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    said = capsys.readouterr().out
    assert gc.run(GcConfig(str(output))) == planned
    assert capsys.readouterr().out == said.replace("would remove", "removed")
    assert planned.temporary == [str(temporary)]


def test_a_run_is_kept_for_days_after_it_or_the_pointer_changed(output, caplog):
    old, unfinished = (scores.run_folder(output, name=name) for name in ("old", "unfinished"))
    with caplog.at_level(logging.INFO, logger="triad_ml.pipelines.publishing.gc"):
        kept = gc.run(GcConfig(str(output), keep_days=4))
    why = "is kept: it or CURRENT changed in the days to keep"
    assert sorted(one.message for one in caplog.records) == sorted(
        [
            f"{old.folder}: {why}",
            f"{unfinished.folder}: {why}",
            "runs removed: 0, of 0 bytes in all",
        ]
    )
    assert (kept.runs, kept.bytes) == ([], 0)
    assert kept.kept == {
        run.folder: "it or CURRENT changed in the days to keep" for run in (old, unfinished)
    }
    Path(unfinished.unit_manifest(0)).touch()
    removed = gc.run(GcConfig(str(output), keep_days=2))
    assert removed.runs == [old.folder]
    assert list(removed.kept) == [unfinished.folder]
    date_back(output, 3)
    Path(unfinished.date_folder, "CURRENT").touch()  # readers of the run before may be at it
    assert list(gc.run(GcConfig(str(output), keep_days=2)).kept) == [unfinished.folder]


def test_files_of_the_future_are_kept_until_no_days_are(output):
    old = scores.run_folder(output, name="old")
    date_back(old.folder, -30)
    assert list(gc.run(GcConfig(str(output))).kept) == [old.folder]
    assert gc.run(GcConfig(str(output), keep_days=0)).runs == [old.folder]


@pytest.mark.parametrize(
    "name",
    [
        "dt=2026-11-24/notes.txt",
        "dt=2026-11-24/run=latest/manifest.json",
        "dt=2026-11-24/run=0123/x",
        "dt=yesterday/run={old}/manifest.json",
        "2026-11-24/run={old}/manifest.json",
        "run={old}/manifest.json",
        "dt=2026-11-24/{old}/manifest.json",
        "dt=2026-11-24/copy/run={old}/manifest.json",
        "beam-temp-x/part",
    ],
)
def test_what_triad_did_not_write_stays(output, name):
    old = scores.run_folder(output, name="old")
    path = output / name.format(old=old.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"somebody's")
    date_back(output, 3)
    assert old.folder in gc.run(GcConfig(str(output), keep_days=0)).runs
    assert path.read_bytes() == b"somebody's"


@pytest.mark.parametrize("name", ["notes.txt", "scores/part-00000.csv", "units/x.json", "a/b"])
def test_a_run_that_holds_a_file_of_others_stays_whole(output, name):
    old = scores.run_folder(output, name="old")
    path = Path(old.folder, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"somebody's")
    before = tree(old.folder)
    removed = gc.run(GcConfig(str(output), keep_days=0))
    assert removed.kept == {old.folder: f"holds {path}, which triad does not write"}
    assert tree(old.folder) == before


def test_links_are_not_followed(output, tmp_path):
    old = scores.run_folder(output, name="old")
    elsewhere = tmp_path / "elsewhere"
    shutil.move(old.folder, elsewhere)
    Path(old.folder).symlink_to(elsewhere)
    before = tree(elsewhere)
    assert old.folder not in gc.run(GcConfig(str(output), keep_days=0)).runs
    assert tree(elsewhere) == before
    assert Path(old.folder).is_symlink()


def test_temporary_files_of_dead_processes_go_and_those_of_living_ones_stay(output, monkeypatch):
    run = scores.run_folder(output, name="new")
    dead = Path(run.units, "00000.json.tmp-" + "a" * 32)
    dead.write_bytes(b"half")
    found = []
    replace = os.replace

    def replace_after_gc(source: str, target: str) -> None:
        found.append(gc.run(GcConfig(str(output), keep_days=0)).temporary)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_after_gc)
        atomic.put(f"{run.units}/00007.json", b"whole")
    assert found == [[str(dead)]]
    assert Path(run.units, "00007.json").read_bytes() == b"whole"


def test_tables_that_a_killed_publisher_left_go(output):
    run = scores.run_folder(output, name="new")
    scores.commit(scores.run_folder(output.parent / "again", name="new"), WORKS)
    tables = Path(scores.run_folder(output.parent / "again", name="new").units).glob("*.parquet")
    left = sorted(shutil.copy(table, run.units) for table in tables)
    assert len(left) == 4
    whole = seen(output)
    assert gc.run(GcConfig(str(output), keep_days=0)).tables == left
    assert seen(output) == whole
    assert publish.published(run)


def test_the_folder_of_a_date_in_which_nothing_is_left_goes(tmp_path):
    run = scores.run_folder(tmp_path / "out")
    publish.begin(run)
    scores.commit(run, WORKS)
    (tmp_path / "out" / "dt=2026-11-30").mkdir()
    removed = gc.run(GcConfig(str(tmp_path / "out"), keep_days=0))
    assert removed.runs == [run.folder]
    assert removed.dates == [run.date_folder, f"{tmp_path}/out/dt=2026-11-30"]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("damage", ["no run", "missing run"])
def test_a_date_whose_pointer_cannot_be_trusted_stays_and_the_others_are_done(output, damage):
    old = scores.run_folder(output, name="old")
    other = scores.run_folder(output, name="older", date="2026-11-25")
    scores.commit(other, WORKS)
    pointer = Path(old.date_folder, "CURRENT")
    pointer.write_text("nowhere\n" if damage == "no run" else "0" * 24 + "\n")
    before = tree(old.date_folder)
    with pytest.raises(StorageError, match=rf"^{pointer}: names [^\n]+$"):
        gc.run(GcConfig(str(output), keep_days=0))
    assert tree(old.date_folder) == before
    assert not Path(other.folder).exists()


# --- while others work


def test_a_run_in_progress_stays_and_is_published(
    trained: Path, fork_server: ForkServer, tmp_path: Path
):
    night = Night(str(trained), str(write_corpus(tmp_path / "in")), str(tmp_path / "out"))
    night = night.with_units_of(100)
    run = night.run
    child = fork_server.start(night.argv, faults=[("pause_at", run.unit_rejected(0))])
    child.stopped()
    before = tree(night.output)
    removed = gc.run(GcConfig(night.output, keep_days=0))
    assert (removed.runs, removed.kept) == ([], {run.folder: "a process works in it"})
    assert tree(night.output) == before
    child.go_on()
    ended = child.ended()
    assert ended.exit_code == 0, ended.said
    assert seen(night.output)[0] == run.run_id


def test_what_a_killed_gc_leaves_can_be_scored_again_or_removed_by_the_next(
    fork_server: ForkServer, output: Path, tmp_path: Path
):
    whole = seen(output)
    scores.score(scores.run_folder(tmp_path / "old", name="old"), WORKS)
    old = seen(tmp_path / "old")
    counted = tmp_path / "counted"
    shutil.copytree(output, counted)
    argv = ["gc", "--keep-days", "0", "--output"]
    ended = fork_server.run([*argv, str(counted)], faults=[("count_calls", str(counted))])
    assert ended.exit_code == 0, ended.said
    (calls,) = ended.notes
    left = set(tree(counted))
    for call in range(1, calls + 1, 3):
        killed = tmp_path / f"killed-{call}"
        shutil.copytree(output, killed)
        ended = fork_server.run([*argv, str(killed)], faults=[("kill_at", str(killed), call)])
        assert ended.signal == signal.SIGKILL, ended.said
        assert seen(killed) == whole
        again = scores.run_folder(shutil.copytree(killed, tmp_path / f"again-{call}"), name="old")
        scores.score(again, WORKS)
        assert seen(again.output) == old
        gc.run(GcConfig(str(killed), keep_days=0))
        assert set(tree(killed)) == left


# --- the command


def test_the_command_prints_a_summary_in_json_as_the_last_line(output, capsys):
    old = scores.run_folder(output, name="old")
    assert main.main(["gc", "--output", str(output), "--keep-days", "2"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["runs"] == sorted(
        [old.folder, scores.run_folder(output, name="unfinished").folder]
    )
    assert summary["bytes"] > 0
    assert {key: summary[key] for key in ("tables", "temporary", "dates", "kept")} == {
        "tables": [],
        "temporary": [],
        "dates": [],
        "kept": {},
    }


def test_the_command_exits_with_20_where_a_pointer_is_damaged(output, capsys):
    pointer = output / f"dt={DATE}" / "CURRENT"
    pointer.write_text("nowhere\n")
    assert main.main(["gc", "--output", str(output)]) == 20
    assert capsys.readouterr().err == (
        f"triad: {pointer}: names no run; write it anew with triad rollback --to RUN_ID (triad "
        "runs lists them), or with triad score of the date\n"
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--output", " "], "--output: must not be empty"),
        (["--output", "x", "--keep-days", "-1"], "--keep-days: must be at least 0, got -1"),
        (["--output", "gs://b/x", "--keep-days", "0"], "--keep-days: must be at least 1 on gs://"),
        (["--output", "nowhere"], "nowhere: no run is here; name the --output of triad score"),
        (["--output", "x", "--", "--y"], "--: triad gc uses no Beam"),
    ],
)
def test_wrong_options_exit_with_12(argv, said, capsys):
    assert main.main(["gc", *argv]) == OptionsError.exit_code
    assert said in capsys.readouterr().err


# --- gs://


def test_in_a_bucket_runs_go_by_their_age_alone(flaky: FlakyStorage):
    old, new = (scores.run_folder(flaky.uri, name=name) for name in ("old", "new"))
    for run in (old, new):
        scores.score(run, WORKS)
    assert gc.run(GcConfig(flaky.uri)).kept == {
        old.folder: "it or CURRENT changed in the days to keep"
    }
    flaky.age("", "2026-11-01T00:00:00.000000Z")
    whole = flaky.objects()
    with atomic.in_use(old.folder):  # a scoring that has begun again
        assert list(gc.run(GcConfig(flaky.uri)).kept) == [old.folder]
    atomic.delete(f"{old.folder}/.lock")
    assert gc.run(GcConfig(flaky.uri, dry_run=True)).runs == [old.folder]
    assert flaky.objects() == whole
    assert gc.run(GcConfig(flaky.uri)).runs == [old.folder]
    inner = f"{old.folder}/".removeprefix(f"{flaky.uri}/")
    assert flaky.objects() == {
        name: content for name, content in whole.items() if not name.startswith(inner)
    }
    publish.seal(new, len(WORKS), publish.Gates(1.0), SETTINGS, {})
