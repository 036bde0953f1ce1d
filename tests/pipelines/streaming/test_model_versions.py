"""Model changes of a running stream: between two batches, and only to models that pass."""

import gc
import json
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.scoring import plan as scoring_plan
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.streaming import journal
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.streaming.model_versions import Models
from triad_ml.pipelines.streaming.settings import MEMORY
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.verification import release
from triad_ml.pipelines.verification.config import ReleaseConfig
from triad_ml.transforms.errors import GateError, OptionsError, TriadError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_T = TypeVar("_T")

DEADLINE = 300.0


def wait_for(ask: Callable[[], _T | None]) -> _T:
    """Asks until there is an answer."""
    until = time.monotonic() + DEADLINE
    pause = threading.Event()
    while (found := ask()) is None:
        assert time.monotonic() < until
        pause.wait(0.1)
    return found


def rewritten(folder: Path, batch_size: int) -> str:
    """Makes another whole model of a folder, which is called with another number of rows."""
    about = json.loads((folder / bundle.ABOUT).read_text())
    about["files"] = bundle.file_digests(folder)
    about["batch_size"] = batch_size
    about["digests"]["model"] = bundle.model_digest(about["files"], batch_size)
    (folder / bundle.ABOUT).write_text(json.dumps(about))
    return str(about["digests"]["model"])


@pytest.fixture(scope="module")
def two_models(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models `one`, which counts, and `two`; no test changes it."""
    folder = tmp_path_factory.mktemp("two") / "models"
    for name in ("one", "two"):
        shutil.copytree(trained, folder / name)
    rewritten(folder / "two", 24)
    (folder / "CURRENT").write_text("one\n")
    return folder


@pytest.fixture
def models(two_models: Path) -> Iterator[Path]:
    """A copy for one test, always at the same place: a process loads a model there only once."""
    folder = two_models.parent / "copy"
    yield Path(shutil.copytree(two_models, folder))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def labelled(trained: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three records, each with the label that the model gives it."""
    lines = [json.loads(line) for line in generated.read_text().splitlines()[:3]]
    folder = Path(shutil.copytree(generated.parent, tmp_path_factory.mktemp("golden") / "in"))
    (folder / generated.name).unlink()
    path, sink = folder / "golden.jsonl", folder.parent / "labels"
    write(path, lines)
    settings = {"until_empty": True, "poll_seconds": 0}
    local.run(StreamConfig(str(trained), str(folder), str(sink), **settings), stopping.Stop())
    given = {row["id"]: row["category"]["label"] for row in rows(sink)}
    write(path, [{**line, "labels": {"category": given[line["id"]]}} for line in lines])
    return path


@pytest.fixture
def golden(labelled: Path, tmp_path: Path) -> str:
    """A copy that a test may change, with its media."""
    return str(shutil.copytree(labelled.parent, tmp_path / "golden") / labelled.name)


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def mislabel(golden: str) -> str:
    """Gives the first golden record another label, and says its id."""
    lines = [json.loads(line) for line in Path(golden).read_text().splitlines()]
    lines[0]["labels"]["category"] = "something else"
    write(Path(golden), lines)
    return str(lines[0]["id"])


def digest(folder: Path) -> str:
    return bundle.load(folder).model_digest


def rows(sink: Path) -> list[dict[str, Any]]:
    return [row for file in files(sink).values() for row in file]


def files(sink: Path) -> dict[str, list[dict[str, Any]]]:
    found = sorted((sink / "scores").rglob("*.parquet"), key=lambda path: path.name)
    return {str(path): formats.read(str(path)).to_pylist() for path in found}


@pytest.fixture
def config(models: Path, golden: str, tmp_path: Path) -> StreamConfig:
    source, sink = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    return StreamConfig(str(models), str(source), str(sink), poll_seconds=0, golden=golden)


def test_a_running_stream_takes_a_new_model_between_batches_and_lets_the_old_one_go(
    config, models, golden
):
    one, two = digest(models / "one"), digest(models / "two")
    # A batch in half a second: the check of the new model has to share the processors with them.
    running = StreamConfig(**{**vars(config), "poll_seconds": 0.5})
    stop = stopping.Stop()
    ended: list[local.Counts] = []
    thread = threading.Thread(target=lambda: ended.append(local.run(running, stop)))
    thread.start()
    sent = 0

    def send() -> None:
        nonlocal sent
        write(Path(config.source, f"{sent}.tmp"), [{"id": f"r{sent}", "text": "a red bird"}])
        Path(config.source, f"{sent}.tmp").rename(Path(config.source, f"{sent}.jsonl"))
        sent += 1

    def made(model: str) -> Callable[[], bool | None]:
        def ask() -> bool | None:
            assert thread.is_alive()
            written = {row["id"]: row["model_digest"] for row in rows(Path(config.sink))}
            if len(written) == sent:
                send()
            return model in written.values() or None

        return ask

    try:
        wait_for(made(one))
        old = weakref.ref(load_scorer(str(models / "one"), one, False))
        release.run(ReleaseConfig(str(models / "two"), golden))
        wait_for(made(two))
        wait_for(lambda: (gc.collect(), old() is None)[1] or None)
    finally:
        stop.set()
        thread.join(DEADLINE)
    assert not thread.is_alive()
    rest = StreamConfig(**{**vars(config), "until_empty": True, "golden": None})
    local.run(rest, stopping.Stop())
    written = files(Path(config.sink))
    makers = [{row["model_digest"] for row in file} for file in written.values()]
    assert all(len(each) == 1 for each in makers)
    order = [maker for each in makers for maker in each]
    assert order == sorted(order, key=[one, two].index)  # first the old one, then the new one
    assert sorted(row["id"] for row in rows(Path(config.sink))) == sorted(
        f"r{number}" for number in range(sent)
    )


def test_a_new_model_that_does_not_pass_is_refused_and_the_old_one_goes_on(
    config, models, golden, caplog
):
    one, two = models / "one", models / "two"
    with Models(config) as opened:

        def point(content: str) -> None:
            model_store.flip(str(models), content, model_store.content(str(models)))

        def refusal() -> str:
            """What is told of the release that is there, once it is refused; and only once."""
            caplog.clear()
            before = (opened.changed, opened.refused + 1)
            wait_for(lambda: (opened.at_boundary(), opened.refused == before[1] or None)[1])
            for _ in range(20):
                assert opened.at_boundary().name == "one"
            assert (opened.changed, opened.refused) == before
            told = [
                one.getMessage()
                for one in caplog.records
                if one.name.startswith("triad_ml.pipelines")
            ]
            (line,) = [line for line in told if "is refused" in line]
            return line.removeprefix("the released model is refused, model one stays in use: ")

        for pointer in ("../one", "", "a/b"):
            point(pointer)
            assert refusal().startswith(
                f"{models}/CURRENT: must hold the name of a model folder beside it, got "
            )
        point("none")
        assert refusal().startswith(f"{models}/none: is no model folder")

        content = (two / "analysis.json").read_bytes()
        (two / "analysis.json").write_text("{}")
        point("two")
        assert refusal().startswith(f"{two}/analysis.json: is not the file that was exported")

        analysis = json.loads(content)
        analysis["moments"]["audio"].reverse()
        (two / "analysis.json").write_text(json.dumps(analysis))
        rewritten(two, 48)
        point("two")
        assert "is not what preprocessing gives" in refusal()

        (two / "analysis.json").write_bytes(content)
        rewritten(two, 24)
        whole = Path(golden).read_bytes()
        name = mislabel(golden)
        point("two")
        line = refusal()
        assert line.startswith(f"{golden}: golden record {name} gets category ")
        assert line.endswith(", not something else; keep the model before, or mend the record")

        Path(golden).write_bytes(whole)
        for _ in range(20):
            assert opened.at_boundary().digest == digest(one)  # until the pointer is written again
        point("two")
        wait_for(lambda: (opened.at_boundary(), opened.changed or None)[1])
        assert opened.at_boundary().digest == digest(two)


def test_a_stream_does_not_start_with_a_model_that_does_not_pass(config, models, golden):
    name = mislabel(golden)
    with pytest.raises(GateError, match=f"golden record {name} gets category"):
        local.run(config, stopping.Stop())


def test_golden_records_without_a_pointer_are_one_line(config, models):
    (models / "CURRENT").unlink()
    settings = StreamConfig(**{**vars(config), "model": str(models / "one")})
    with pytest.raises(OptionsError) as caught:
        local.run(settings, stopping.Stop())
    assert str(caught.value) == (
        f"--golden: {models}/one has no CURRENT that names models; make one with `triad release`, "
        "or leave --golden out"
    )


def test_a_batch_that_the_model_before_began_is_done_again_by_it(config, models):
    write(Path(config.source, "a.jsonl"), [{"id": "a", "text": "a red bird"}])
    settings = StreamConfig(**{**vars(config), "until_empty": True, "golden": None})
    local.run(settings, stopping.Stop())
    before = files(Path(config.sink))
    path = Path(config.sink, MEMORY, "journal.jsonl")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])  # killed before it was done
    (models / "CURRENT").write_text("two\n")
    write(Path(config.source, "b.jsonl"), [{"id": "b", "text": "a red bird"}])
    local.run(settings, stopping.Stop())
    after = files(Path(config.sink))
    assert after.items() > before.items()
    assert {row["id"]: row["model_digest"] for row in rows(Path(config.sink))} == {
        "a": digest(models / "one"),
        "b": digest(models / "two"),
    }


def test_a_start_with_a_model_that_does_not_pass_goes_on_with_the_one_before(
    config, models, caplog
):
    one, two = digest(models / "one"), models / "two"
    settings = StreamConfig(**{**vars(config), "until_empty": True, "golden": None})
    write(Path(config.source, "a.jsonl"), [{"id": "a", "text": "a red bird"}])
    local.run(settings, stopping.Stop())
    (two / "analysis.json").write_text("{}")
    (models / "CURRENT").write_text("two\n")
    write(Path(config.source, "b.jsonl"), [{"id": "b", "text": "a red bird"}])
    assert local.run(settings, stopping.Stop()) == local.Counts(1, 1, 0)
    assert {row["id"]: row["model_digest"] for row in rows(Path(config.sink))} == dict.fromkeys(
        "ab", one
    )
    (line,) = [one.getMessage() for one in caplog.records if "is refused" in one.getMessage()]
    assert line.startswith(
        f"the released model is refused, model one stays in use: {two}/analysis.json"
    )
    shutil.rmtree(models / "one")
    with pytest.raises(GateError, match="analysis.json: is not the file that was exported"):
        local.run(settings, stopping.Stop())


def test_a_release_flips_the_pointer_only_to_a_model_that_passes(models, golden):
    said = release.run(ReleaseConfig(str(models / "two"), golden))
    two = digest(models / "two")
    assert said == f"{models}: two counts (model {two[:12]}), instead of one"
    mislabel(golden)
    with pytest.raises(TriadError):
        release.run(ReleaseConfig(str(models / "one"), golden))
    assert model_store.read(str(models)) == "two"
    (models / "CURRENT").unlink()
    said = release.run(ReleaseConfig(f"{models}/one/"))
    assert said == f"{models}: one counts (model {digest(models / 'one')[:12]}), instead of none"


def test_a_night_scores_with_the_model_that_the_pointer_names(models, golden, tmp_path):
    config = ScoreConfig(str(models), (golden,), str(tmp_path / "scores"), "2026-11-24")
    (models / "CURRENT").write_text("two\n")
    scoring_run.run(config)
    plan = scoring_plan.plan(
        ScoreConfig(str(models / "two"), (golden,), str(tmp_path / "scores"), "2026-11-24")
    )
    assert plan.published


def test_a_journal_remembers_which_model_began_a_batch(tmp_path):
    begun = journal.Journal(str(tmp_path)).begin((Part("a", 0, 1),), "d1ge57")
    assert journal.Journal(str(tmp_path)).pending == begun
    assert begun.model == "d1ge57"
