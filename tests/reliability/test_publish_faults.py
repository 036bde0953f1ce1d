"""Publishing with full disks, broken models, changed inputs, other unit sizes, wrong clocks."""

import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import time
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import scores
from tests.reliability.forkserver import Ended
from tests.reliability.nights import DATE, RECORDS, Night, seen, statuses, write_corpus
from tests.scores import Work
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import Outcome, Scorer, ScorerHandler
from triad_ml.pipelines.publishing import gc, publish
from triad_ml.pipelines.publishing.config import GcConfig
from triad_ml.pipelines.publishing.sealing import seal
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring import score
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.media import uris
from triad_ml.transforms.records.values import CanonicalRecord

WORKS = (Work([scores.scored("a", 1)], [scores.rejected("z", 2)]), Work([scores.scored("b", 3)]))


@pytest.fixture(scope="module")
def first(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night that is published: three units of the corpus."""
    folder = tmp_path_factory.mktemp("first")
    night = Night(str(trained), str(write_corpus(folder / "records")), str(folder / "out"))
    scoring_run.run(night.config)
    return night


@pytest.fixture
def second(first: Night, tmp_path: Path) -> Night:
    """The same corpus in one file, another run, to be published over a copy of `first`."""
    inputs = shutil.copytree(Path(first.inputs).parent, tmp_path / "records") / "records.jsonl"
    output = shutil.copytree(first.output, tmp_path / "out")
    return dataclasses.replace(first, inputs=str(inputs), output=str(output))


def rows(output: object) -> list[dict[str, Any]]:
    """The published scores, in order of their ids."""
    paths = publish.open_current(str(output), DATE)
    found = [row for path in paths for row in formats.read(path).to_pylist()]
    return sorted(found, key=lambda row: str(row["id"]))


def temporary(output: object) -> list[Path]:
    return [path for path in Path(str(output)).rglob("*") if ".tmp-" in path.name]


def refused(ended: Ended, exit_code: int) -> str:
    """The one line of a command that failed as it should."""
    assert ended.exit_code == exit_code, ended.said
    assert "Traceback" not in ended.said
    (line,) = ended.lines
    return line


# --- T3: models that cannot score


class ShortHandler(ScorerHandler):
    """Loses the last outcome of each batch."""

    def run_inference(
        self,
        batch: Sequence[CanonicalRecord],
        model: Scorer,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Outcome]:
        return list(super().run_inference(batch, model, inference_args))[:-1]


def test_a_handler_that_loses_a_record_publishes_nothing(first, second, monkeypatch):
    monkeypatch.setattr(score, "ScorerHandler", ShortHandler)
    with pytest.raises(GateError, match=r"^unit 0: 7 records were read, but 5 scored"):
        scoring_run.run(second.config)
    assert seen(second.output) == seen(first.output)


@pytest.mark.parametrize(
    ("damage", "exit_code"), [("missing file", 10), ("no model", 12), ("does not load", None)]
)
def test_a_model_that_cannot_score_publishes_nothing(
    first, second, own_model, fork_server, damage, exit_code
):
    graph = own_model / bundle.SAVED_MODEL / "saved_model.pb"
    if damage == "missing file":
        graph.unlink()
    elif damage == "no model":
        (own_model / bundle.ABOUT).unlink()
    else:
        graph.write_bytes(b"\xff" * 100)
        about = json.loads((own_model / bundle.ABOUT).read_text())
        about["files"] = bundle.file_digests(own_model)
        about["digests"]["model"] = bundle.model_digest(about["files"], about["batch_size"])
        (own_model / bundle.ABOUT).write_text(json.dumps(about))
    ended = fork_server.run(dataclasses.replace(second, model=str(own_model)).argv)
    if exit_code is None:
        assert ended.exit_code not in (0, None), ended.said
    else:
        assert str(own_model) in refused(ended, exit_code)
    assert seen(second.output) == seen(first.output)


# --- T6: another cut


@pytest.mark.parametrize(("unit_records", "units"), [(100, 1), (12, 2), (4, 7)])
def test_another_number_of_units_gives_the_same_rows_and_no_part_of_the_run_before(
    first, second, unit_records, units
):
    scoring_run.run(
        dataclasses.replace(second, inputs=first.inputs, unit_records=unit_records).config
    )
    manifest = publish.current(second.output, DATE)
    assert manifest is not None
    assert manifest.units == len(manifest.scores) == units
    assert seen(second.output)[0] != seen(first.output)[0]
    assert rows(second.output) == rows(first.output)
    assert manifest.counts == {"read": 24, "scored": 21, "rejected": 3}


def test_another_number_of_files_gives_the_same_rows(first, second, tmp_path):
    lines = Path(second.inputs).read_bytes().splitlines(keepends=True)
    for count in (4, 2):
        for part in range(count):
            chosen = lines[part * RECORDS // count : (part + 1) * RECORDS // count]
            Path(second.inputs).with_name(f"{count}-{part}.jsonl").write_bytes(b"".join(chosen))
        pattern = str(Path(second.inputs).with_name(f"{count}-*.jsonl"))
        scoring_run.run(dataclasses.replace(second, inputs=pattern, unit_records=100).config)
        manifest = publish.current(second.output, DATE)
        assert manifest is not None
        assert manifest.units == len(manifest.scores) == count
        assert rows(second.output) == rows(first.output)


def test_a_second_start_of_the_command_touches_no_file(second, fork_server):
    assert fork_server.run(second.argv).exit_code == 0
    before = statuses(second.output)
    ended = fork_server.run(second.argv, faults=[("count_calls", second.output)])
    assert ended.exit_code == 0, ended.said
    assert "already published, nothing to do" in ended.said
    assert statuses(second.output) == before


# --- T7: a runner that does everything again


def test_bundles_that_run_three_times_publish_the_same_bytes(first, second):
    again = dataclasses.replace(
        first, output=second.output + "-again", beam_args=("--direct_runner_bundle_repeat=2",)
    )
    scoring_run.run(again.config)
    assert seen(again.output) == seen(first.output)


# --- T8: two at once


def test_of_two_commands_at_once_the_later_one_exits_with_11(first, second, fork_server):
    early = dataclasses.replace(second, unit_records=100)
    child = fork_server.start(early.argv, faults=[("pause_at", early.run.unit_rejected(0))])
    child.stopped()
    other = dataclasses.replace(second, unit_records=12)
    assert fork_server.run(other.argv).exit_code == 0
    won = seen(second.output)
    child.go_on()
    line = refused(child.ended(), 11)
    assert f"run {won[0]} was published while this one was under way" in line
    assert seen(second.output) == won
    assert fork_server.run(early.argv).exit_code == 0
    assert seen(second.output)[0] not in (won[0], seen(first.output)[0])


# --- T9: places that cannot be written


def test_a_limit_on_file_sizes_ends_the_run_and_the_next_one_completes_it(
    first, second, fork_server
):
    line = refused(fork_server.run(second.argv, faults=[("limit_file_size", 2000)]), 20)
    assert line.endswith(
        "file too large; raise the limit on file sizes (ulimit -f), then run the same command again"
    )
    assert seen(second.output) == seen(first.output)
    assert temporary(second.output) == []
    assert fork_server.run(second.argv).exit_code == 0
    assert rows(second.output) == rows(first.output)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "triad-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("free", [2, 8, 16])
def test_a_full_disk_ends_the_run_and_the_next_one_completes_it(
    first, second, fork_server, small_disk, free
):
    night = second.moved(shutil.copytree(second.output, small_disk / "out"))
    filler = small_disk / "filler"
    disk = os.statvfs(small_disk)
    filler.write_bytes(b"x" * ((disk.f_bavail - free) * disk.f_bsize))
    line = refused(fork_server.run(night.argv), 20)
    assert line.endswith(
        "no space left on device; free some space or choose another place, "
        "then run the same command again"
    )
    assert seen(night.output) == seen(first.output)
    filler.unlink()
    killed = Path(night.output, f"dt={DATE}", f"CURRENT.tmp-{'0' * 32}")
    killed.write_bytes(b"half")
    assert fork_server.run(night.argv).exit_code == 0
    assert rows(night.output) == rows(first.output)
    assert temporary(night.output) == []


def test_a_read_only_folder_is_said_before_anything_is_scored(first, second, fork_server):
    before = statuses(second.output)
    ended = fork_server.run(second.argv, faults=[("make_read_only", second.output)])
    if ended.exit_code == 1 and "faults.py" in ended.said:
        pytest.skip("no right to mount a folder read-only")
    line = refused(ended, 20)
    assert line.endswith("read-only file system; choose a place that can be written to")
    assert "units to score" not in ended.said
    assert statuses(second.output) == before
    assert seen(second.output) == seen(first.output)


# --- T21: time, names, and inputs that move


class Backwards(datetime.datetime):
    """A clock that loses an hour each time somebody looks."""

    looked = 0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Backwards":
        cls.looked += 1
        return cls(2026, 11, 24, 12, tzinfo=tz) - datetime.timedelta(hours=cls.looked)


def test_a_clock_that_goes_backwards_between_runs_publishes_the_later_run(tmp_path, monkeypatch):
    clock = types.SimpleNamespace(datetime=Backwards, UTC=datetime.UTC)
    monkeypatch.setattr(seal, "datetime", clock)
    created = []
    for name in ("a", "b", "a"):
        run = scores.run_folder(tmp_path, name=name)
        scores.score(run, WORKS)
        assert publish.published(run)
        manifest = publish.current(str(tmp_path), DATE)
        assert manifest is not None
        created.append(manifest.created)
    assert created == [
        "2026-11-24T11:00:00+00:00",
        "2026-11-24T10:00:00+00:00",
        "2026-11-24T11:00:00+00:00",  # sealed once, published twice
    ]


@pytest.mark.parametrize("days", [-400, 400])
def test_times_of_files_decide_nothing_but_what_gc_keeps(tmp_path, days):
    whole = scores.run_folder(tmp_path / "whole")
    scores.score(whole, WORKS)
    run = scores.run_folder(tmp_path / "out")
    scores.commit(run, WORKS)
    for path in Path(run.output).rglob("*"):
        os.utime(path, (time.time() + days * 86400,) * 2)
    before = statuses(run.units)
    assert publish.complete_units(run) == {0, 1}
    scores.commit(run, WORKS)
    assert statuses(run.units) == before
    scores.score(run, WORKS)
    assert seen(run.output) == seen(whole.output)
    gc.run(GcConfig(run.output, keep_days=0))
    assert seen(run.output) == seen(whole.output)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia"])
@pytest.mark.parametrize("date", ["2026-03-29", "2026-10-25", "2011-12-30", "2024-02-29"])
def test_a_day_that_has_no_24_hours_is_a_day(tmp_path, monkeypatch, zone, date):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        run = scores.run_folder(tmp_path, date=date)
        scores.score(run, WORKS)
    finally:
        monkeypatch.undo()
        time.tzset()
    manifest = publish.current(str(tmp_path), date)
    assert manifest is not None
    assert manifest.date == date
    assert manifest.created.endswith("+00:00")


def removed(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"id": "late", "text": "a late record"}\n')


def changed_in_place(path: Path) -> None:
    content = path.read_bytes().replace(b"generated-", b"elsewhere-")
    with path.open("r+b") as file:
        file.write(content)


@pytest.mark.parametrize("change", [removed, cut, longer, changed_in_place])
def test_an_input_that_changes_while_it_is_scored_is_not_published(
    first, second, fork_server, change
):
    path = Path(second.inputs)
    night = dataclasses.replace(second, unit_records=4)
    stored, times = path.read_bytes(), path.stat()
    child = fork_server.start(night.argv, faults=[("pause_at", night.run.unit_rejected(1))])
    child.stopped()
    change(path)
    child.go_on()
    line = refused(child.ended(), 20)
    assert line.startswith(f"triad: {path}: ")
    assert seen(night.output) == seen(first.output)

    # The file comes back as it was: nothing of the changed one is taken for scored.
    path.write_bytes(stored)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    scoring_run.run(night.config)
    assert rows(night.output) == rows(first.output)


@pytest.mark.parametrize(
    "name", ["Rekörde № 1.jsonl", "with spaces.jsonl", "two\nlines.jsonl", "a[1]*?.jsonl"]
)
def test_files_of_odd_names_are_scored_and_named(first, second, name):
    path = Path(second.inputs).with_name(name)
    Path(second.inputs).rename(path)
    scoring_run.run(dataclasses.replace(second, inputs=str(path)).config)
    assert rows(second.output) == rows(first.output)
    manifest = publish.current(second.output, DATE)
    assert manifest is not None
    run = publish.RunFolder(second.output, DATE, manifest.run_id)
    sources = {
        row["source"].rpartition("#")[0]
        for part in manifest.rejected
        for row in formats.read(run.path(part.path)).to_pylist()
    }
    assert sources == {uris.spelled(str(path))}


def test_an_output_of_an_odd_name_is_written_and_collected(first, second, tmp_path):
    night = second.moved(tmp_path / "Ausgänge\nvon heute *")
    scoring_run.run(night.config)
    assert rows(night.output) == rows(first.output)
    gc.run(GcConfig(night.output, keep_days=0))
    assert rows(night.output) == rows(first.output)
    assert atomic.list_folders(night.output) == [f"{night.output}/dt={DATE}"]
