"""kill -9 during scoring: readers see the whole old run or the whole new one, no record twice."""

import dataclasses
import logging
import random
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.reliability.forkserver import ForkServer
from tests.reliability.nights import DATE, Night, seen, status, write_corpus
from triad_ml.pipelines.publishing import gc
from triad_ml.pipelines.publishing.commit import complete_units
from triad_ml.pipelines.publishing.config import GcConfig
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.scoring import run as scoring_run

pytestmark = pytest.mark.slow

FRESH_KILLS, SEALING_KILLS, TIMED_KILLS = 20, 12, 4
_SEED = 20261124


def moments(count: int, salt: int) -> list[float]:
    """Seeded shares of a run, one in each of `count` equal parts of it."""
    rng = random.Random(_SEED + salt)
    return [(index + rng.random()) / count for index in range(count)]


@dataclasses.dataclass(frozen=True)
class Whole:
    """Runs that nothing interrupted.

    Attributes:
        night: The new run; its output holds only the old run, published.
        all_units: An output where, beside that, all units of the new run are complete.
        old: What a reader saw before.
        new: What a reader sees when the new run is published.
        units: Of the new run.
        calls: File system calls of the new run.
        sealing_calls: File system calls of a new run that finds all its units complete.
        seconds: That the new run took.
    """

    night: Night
    all_units: Path
    old: tuple[str, Mapping[str, bytes]]
    new: tuple[str, Mapping[str, bytes]]
    units: int
    calls: int
    sealing_calls: int
    seconds: float


@pytest.fixture(scope="module")
def whole(
    text_model: Path, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    night = Night(str(text_model), str(write_corpus(folder / "records")), str(folder / "before"))
    scoring_run.run(dataclasses.replace(night, unit_records=100).config)
    old = seen(night.output)

    after = night.moved(shutil.copytree(night.output, folder / "after"))
    started = time.monotonic()
    finished = fork_server.run(after.argv, faults=[("count_calls", after.output)])
    seconds = time.monotonic() - started
    assert finished.exit_code == 0, finished.said
    new = seen(after.output)
    run = RunFolder(after.output, DATE, new[0])

    # A gate that refuses leaves all units complete, and nothing is sealed.
    refused = night.moved(shutil.copytree(night.output, folder / "all-units"))
    ended = fork_server.run([*refused.argv, "--rejected-limit", "0"])
    assert ended.exit_code == 10, ended.said
    for made in (run.path("scores"), run.rejected):
        shutil.rmtree(made.replace(after.output, refused.output))
    again = night.moved(shutil.copytree(refused.output, folder / "sealed"))
    resumed = fork_server.run(again.argv, faults=[("count_calls", again.output)])
    assert resumed.exit_code == 0, resumed.said
    assert seen(again.output) == new
    (calls,), (sealing_calls,) = finished.notes, resumed.notes
    return Whole(
        night,
        Path(refused.output),
        old,
        new,
        unit_count(run),
        calls,
        sealing_calls,
        seconds,
    )


def unit_count(run: RunFolder) -> int:
    return len(list(Path(run.units).glob("*.json")))


def check_after_kill(whole: Whole, night: Night, caplog: pytest.LogCaptureFixture) -> None:
    """What must hold whenever the run was killed."""
    found = seen(night.output)
    assert found in (whole.old, whole.new)
    run = RunFolder(night.output, DATE, whole.new[0])
    complete = complete_units(run)
    before = {unit: status(run.unit_manifest(unit)) for unit in complete}

    with caplog.at_level(logging.INFO, "triad_ml"):
        scoring_run.run(night.config)

    ours = [
        record for record in caplog.records if record.name.startswith("triad_ml.pipelines.scoring")
    ]
    said = [record.getMessage() for record in ours]
    if found == whole.new:
        assert said[-1] == f"{run.folder}: already published, nothing to do"
    else:
        missing = whole.units - len(complete)
        assert said[0] == f"{run.folder}: {missing} of {whole.units} units to score"
    assert {unit: status(run.unit_manifest(unit)) for unit in complete} == before
    assert seen(night.output) == whole.new

    gc.run(GcConfig(night.output, keep_days=0))
    assert seen(night.output) == whole.new
    left = {path.relative_to(run.date_folder) for path in Path(night.output).rglob("*.*")}
    folder = Path(f"_runs/run={run.run_id}")
    units = {folder / "_units" / f"{unit:05d}.json" for unit in range(whole.units)}
    locks = {Path(".lock"), folder / ".lock"}
    assert left == {folder / name for name in whole.new[1]} | units | locks


def kill(fork_server: ForkServer, night: Night, call: int) -> None:
    """Starts a run that is killed before a call of the file system."""
    ended = fork_server.run(night.argv, faults=[("kill_at", night.output, call)])
    assert ended.signal == signal.SIGKILL, ended.said


@pytest.mark.parametrize("moment", moments(FRESH_KILLS, 1), ids="{:.3f}".format)
def test_a_run_killed_at_any_call_is_completed_by_the_next(
    whole: Whole,
    fork_server: ForkServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    moment: float,
) -> None:
    night = whole.night.moved(shutil.copytree(whole.night.output, tmp_path / "out"))
    kill(fork_server, night, 1 + int(moment * whole.calls))
    check_after_kill(whole, night, caplog)


@pytest.mark.parametrize("moment", moments(SEALING_KILLS, 2), ids="{:.3f}".format)
def test_a_run_killed_at_any_call_of_its_sealing_is_completed_by_the_next(
    whole: Whole,
    fork_server: ForkServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    moment: float,
) -> None:
    night = whole.night.moved(shutil.copytree(whole.all_units, tmp_path / "out"))
    kill(fork_server, night, 1 + int(moment * whole.sealing_calls))
    run = RunFolder(night.output, DATE, whole.new[0])
    assert complete_units(run) == set(range(whole.units))
    check_after_kill(whole, night, caplog)


@pytest.mark.parametrize("moment", moments(TIMED_KILLS, 3), ids="{:.3f}".format)
def test_a_run_killed_at_any_time_is_completed_by_the_next(
    whole: Whole,
    fork_server: ForkServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    moment: float,
) -> None:
    night = whole.night.moved(shutil.copytree(whole.night.output, tmp_path / "out"))
    ended = fork_server.run(night.argv, kill_after=moment * whole.seconds)
    # On a machine that is faster now than it was before, the run may be through already.
    assert ended.signal == signal.SIGKILL or ended.exit_code == 0, ended.said
    check_after_kill(whole, night, caplog)
