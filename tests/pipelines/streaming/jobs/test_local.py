"""Local stream over folders: its scores equal the batch's bit for bit; no record is lost."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import media
from tests.reliability.nights import write_corpus
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.streaming import journal
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.streaming.settings import MEMORY
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.errors import OptionsError

OURS = (tables_rows.POSITION, tables_rows.EVENT_TIME)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a records file of 24, of which three are rejected, and their media."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "in").parent


@pytest.fixture
def stop() -> stopping.Stop:
    return stopping.Stop()


def config(model: Path, source: Path, sink: Path, **more: Any) -> StreamConfig:
    settings: dict[str, Any] = {"until_empty": True, "poll_seconds": 0, **more}
    return StreamConfig(str(model), str(source), str(sink), **settings)


def rows(sink: Path, kind: str = "scores") -> list[Row]:
    """All rows of a sink, in the order of file names."""
    paths = sorted(path for path in (sink / kind).rglob("*") if path.is_file())
    return [row for path in paths for row in formats.read(str(path)).to_pylist()]


def contents(sink: Path) -> dict[str, bytes]:
    found = [p for kind in ("scores", "rejected") for p in (sink / kind).rglob("*") if p.is_file()]
    return {str(path.relative_to(sink)): path.read_bytes() for path in found}


def without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def test_the_stream_gives_what_the_batch_gives_bit_for_bit(trained, corpus, tmp_path, stop):
    inputs = (str(corpus / "records.jsonl"),)
    limits = {"rejected_limit": 1.0}
    scoring_run.run(ScoreConfig(str(trained), inputs, str(tmp_path / "b"), "2026-11-24", **limits))
    loaded = load_scorer.cache_info().misses
    counts = local.run(config(trained, corpus, tmp_path / "s", batch_records=5), stop)
    assert load_scorer.cache_info().misses == loaded  # many batches, one model

    manifest = publish.current(str(tmp_path / "b"), "2026-11-24")
    run = publish.RunFolder(str(tmp_path / "b"), "2026-11-24", manifest.run_id)
    batch = [
        row for part in manifest.scores for row in formats.read(run.path(part.path)).to_pylist()
    ]
    # Only a whole run can know that an id stands twice: the stream scores both, under one key.
    streamed = {row["id"]: without(row, *OURS) for row in reversed(rows(tmp_path / "s"))}
    assert streamed == {row["id"]: row for row in batch}
    assert (len(rows(tmp_path / "s")), len(batch)) == (22, 21)
    refused = {row["id"]: without(row, *OURS) for row in rows(tmp_path / "s", "rejected")}
    of_batch = [r for p in manifest.rejected for r in formats.read(run.path(p.path)).to_pylist()]
    assert refused == {row["id"]: row for row in of_batch if row["reason"] != "duplicate_id"}
    assert counts == local.Counts(24, 22, 2)
    assert len(list((tmp_path / "s" / "scores").rglob("*.parquet"))) > 3


def test_rows_say_where_they_came_from_and_when_in_the_folder_of_their_window(
    trained, corpus, tmp_path, stop
):
    source = Path(shutil.copytree(corpus, tmp_path / "in"))
    os.utime(source / "records.jsonl", (1_700_000_000.5, 1_700_000_000.5))
    local.run(config(trained, source, tmp_path / "s", window=3600, format="jsonl"), stop)
    folders = {path.parent.name for path in (tmp_path / "s").rglob("*.jsonl") if "=" in str(path)}
    assert folders == {"window=20231114T220000Z"}
    first = rows(tmp_path / "s")[0]
    assert first[tables_rows.POSITION] == f"{source}/records.jsonl#0"
    assert first[tables_rows.EVENT_TIME] == "2023-11-14T22:13:20.500000+00:00"


def test_a_second_start_does_nothing_and_a_new_file_is_scored_alone(
    trained, corpus, tmp_path, stop
):
    source = Path(shutil.copytree(corpus, tmp_path / "in"))
    settings = config(trained, source, tmp_path / "s")
    local.run(settings, stop)
    before = contents(tmp_path / "s")
    assert local.run(settings, stop) == local.Counts()
    assert contents(tmp_path / "s") == before
    (source / "later.jsonl").write_text('{"id": "new", "text": "a red bird"}\n')
    assert local.run(settings, stop) == local.Counts(1, 1, 0)
    assert contents(tmp_path / "s").items() > before.items()
    assert rows(tmp_path / "s")[-1]["id"] == "new"


def test_a_batch_that_was_begun_gives_the_same_files_again(trained, corpus, tmp_path, stop):
    settings = config(trained, corpus, tmp_path / "s", batch_records=5)
    local.run(settings, stop)
    whole = contents(tmp_path / "s")
    path = tmp_path / "s" / MEMORY / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > 6
    assert len(lines) % 2 == 0
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:7])  # killed while it noted "done"
    for kind in ("scores", "rejected"):
        for file in (tmp_path / "s" / kind).rglob(f"{len(lines) // 2:08d}-*"):
            file.unlink()
    assert contents(tmp_path / "s") != whole
    local.run(settings, stop)
    assert contents(tmp_path / "s") == whole
    assert path.read_bytes() == b"".join(lines)


def test_files_that_cannot_be_read_are_rejected_and_stop_nothing(trained, tmp_path, stop):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.parquet").write_bytes(b"no parquet")
    (source / "b.csv").write_text("name,text\nx,y\n")
    (source / "c.jsonl").write_text('{"id": "c", "text": "a red bird"}\n{"id": "d"\n')
    (source / "d.jsonl").write_text("")
    (source / "notes.md").write_text("none of ours")
    (source / "e.jsonl.part").write_text("{}")
    assert local.run(config(trained, source, tmp_path / "s"), stop) == local.Counts(4, 1, 3)
    assert [row["id"] for row in rows(tmp_path / "s")] == ["c"]
    refused = rows(tmp_path / "s", "rejected")
    told = [(row["source"], row["stage"], row["reason"]) for row in refused]
    assert told == [
        (f"{source}/a.parquet#0", "read", "unparsable"),
        (f"{source}/b.csv#0", "read", "unparsable"),
        (f"{source}/c.jsonl#34", "read", "unparsable"),
    ]
    assert refused[1]["detail"].startswith(
        "unreadable from here on: none of its 2 columns is named id"
    )


def test_media_files_of_one_name_are_one_record(trained, tmp_path, stop):
    source = tmp_path / "in"
    (source / "cam").mkdir(parents=True)
    (source / "cam" / "one.JPG").write_bytes(media.jpeg())
    (source / "cam" / "one.wav").write_bytes(media.wav())
    (source / "two.txt").write_text("a red bird")
    settings = config(trained, source, tmp_path / "s", media_files=True)
    assert local.run(settings, stop) == local.Counts(2, 2, 0)
    used = {row["id"]: row["modalities_used"] for row in rows(tmp_path / "s")}
    assert used == {"cam/one": ["image", "audio"], "two": ["text"]}
    (source / "two.wav").write_bytes(media.wav())  # late: the record again, whole
    assert local.run(settings, stop) == local.Counts(1, 1, 0)
    assert rows(tmp_path / "s")[-1]["modalities_used"] == ["audio", "text"]


def test_a_part_that_is_gone_is_told_and_stops_nothing(trained, corpus, tmp_path, stop, caplog):
    source = Path(shutil.copytree(corpus, tmp_path / "in"))
    settings = config(trained, source, tmp_path / "s")
    local.run(settings, stop)
    path = tmp_path / "s" / MEMORY / "journal.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    (source / "records.jsonl").unlink()
    assert local.run(settings, stop) == local.Counts()
    assert "records.jsonl: changed or gone before it was scored" in caplog.text


def test_it_is_told_to_stop_and_does_no_further_batch(trained, corpus, tmp_path, stop):
    stop.set()
    settings = config(trained, corpus, tmp_path / "s", until_empty=False)
    assert local.run(settings, stop) == local.Counts()


def test_a_second_stream_into_one_sink_is_refused(trained, corpus, tmp_path, stop):
    folder = tmp_path / "s" / MEMORY
    with journal.opened(str(folder)), pytest.raises(OptionsError) as caught:
        local.run(config(trained, corpus, tmp_path / "s"), stop)
    assert str(caught.value) == (
        f"{folder}: another stream writes here; end it, or choose another sink"
    )


def test_a_source_that_is_not_there_leaves_the_sink_to_the_right_one(tmp_path, stop):
    with pytest.raises(OptionsError, match="none: is no folder; make it, or name another"):
        local.run(config(tmp_path / "model", tmp_path / "none", tmp_path / "s"), stop)
    assert list(tmp_path.iterdir()) == []


def test_a_sink_of_another_source_is_refused(trained, corpus, tmp_path, stop):
    local.run(config(trained, corpus, tmp_path / "s"), stop)
    other = Path(shutil.copytree(corpus, tmp_path / "other"))
    with pytest.raises(OptionsError) as caught:
        local.run(config(trained, other, tmp_path / "s"), stop)
    assert str(caught.value) == (
        f"{tmp_path}/s/_triad: is of a stream from {corpus}, not {other}; "
        "choose another sink or state"
    )
