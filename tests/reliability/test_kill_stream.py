"""kill -9 during streaming: no record is missing, and duplicates are equal."""

import dataclasses
import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.reliability.forkserver import ForkServer
from tests.reliability.nights import write_corpus
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.streaming.journal import Journal

pytestmark = pytest.mark.slow

KILLS = 14
_SEED = 20261125


def moments() -> list[float]:
    """Seeded shares of a run, one in each of `KILLS` equal parts of it."""
    rng = random.Random(_SEED)
    return [(index + rng.random()) / KILLS for index in range(KILLS)]


@dataclasses.dataclass(frozen=True)
class Whole:
    """A stream that nothing interrupted: its options, what it wrote, its file system calls."""

    options: tuple[str, ...]
    written: dict[str, bytes]
    calls: int
    sink: Path

    def argv(self, sink: Path) -> list[str]:
        return ["stream", *self.options, "--sink", str(sink), "--until-empty"]


def written(sink: Path) -> dict[str, bytes]:
    """Every file of a sink, by name: the lock aside."""
    found = [path for path in sink.rglob("*") if path.is_file() and path.name != "in-use"]
    return {str(path.relative_to(sink)): path.read_bytes() for path in found}


def files(all_: dict[str, bytes]) -> dict[str, bytes]:
    """Those that are output."""
    return {name: content for name, content in all_.items() if name.endswith(".parquet")}


@pytest.fixture(scope="module")
def whole(
    text_model: Path, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    folder = tmp_path_factory.mktemp("whole-stream")
    source = write_corpus(folder / "in").parent
    shutil.copy(source / "records.jsonl", source / "again.jsonl")
    options = ("--model", str(text_model), "--source", str(source), "--poll-seconds", "0")
    options = (*options, "--batch-records", "8")
    one = Whole(options, {}, 0, folder / "out")
    ended = fork_server.run(one.argv(folder / "out"), faults=[("count_calls", str(folder / "out"))])
    assert ended.exit_code == 0, ended.said
    assert "48 read, 42 scored, 6 rejected" in ended.said
    return Whole(options, written(one.sink), int(ended.notes[0]), one.sink)


def go_on(whole: Whole, sink: Path) -> None:
    """Runs the stream to its end in this process, which has the model already."""
    assert main.main(whole.argv(sink)) == 0


@pytest.mark.parametrize("moment", moments(), ids="{:.3f}".format)
def test_a_stream_killed_at_any_call_goes_on_to_the_same_files(
    whole: Whole, fork_server: ForkServer, tmp_path: Path, moment: float
) -> None:
    sink = tmp_path / "out"
    call = 1 + int(moment * whole.calls)
    killed = fork_server.run(whole.argv(sink), faults=[("kill_at", str(sink), call)])
    assert killed.signal == signal.SIGKILL, killed.said
    there = written(sink)
    finished = {name for name in there if name.endswith(".parquet")}
    assert all(there[name] == whole.written[name] for name in finished)

    go_on(whole, sink)
    assert written(sink) == whole.written


@pytest.mark.parametrize("moment", moments()[1::4], ids="{:.3f}".format)
def test_a_stream_killed_while_it_compacts_its_journal_forgets_nothing(
    whole: Whole,
    fork_server: ForkServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    moment: float,
) -> None:
    sink = tmp_path / "out"
    call = 1 + int(moment * whole.calls)  # compaction adds calls: the end of a run is left out
    faults = [("compact_always",), ("kill_at", str(sink), call)]
    killed = fork_server.run(whole.argv(sink), faults=faults)
    assert killed.signal == signal.SIGKILL, killed.said
    ended = fork_server.run(whole.argv(sink), faults=[("compact_always",)])
    assert ended.exit_code == 0, ended.said
    assert files(written(sink)) == files(whole.written)
    compacted, plain = (Journal(str(one)) for one in (sink / "_triad", whole.sink / "_triad"))
    assert (compacted.last, compacted.done, compacted.pending) == (plain.last, plain.done, None)
    assert b'{"last":' in (sink / "_triad" / "journal.jsonl").read_bytes()
    capsys.readouterr()
    go_on(whole, sink)
    assert "ended: 0 read" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_stream_after_the_batch_in_hand_with_0(
    whole: Whole, fork_server: ForkServer, tmp_path: Path, number: signal.Signals
) -> None:
    sink = tmp_path / "out"
    child = fork_server.start(whole.argv(sink), faults=[("pause_at", f"{sink}/scores/")])
    child.stopped()
    os.kill(child.pid, number)
    child.go_on()
    ended = child.ended()
    assert ended.exit_code == 0, ended.said
    journal = (sink / "_triad" / "journal.jsonl").read_text().splitlines()
    assert [line[:9] for line in journal] == ['{"begin":', '{"done":1']
    assert "ended: " in ended.said
    go_on(whole, sink)
    assert written(sink) == whole.written
