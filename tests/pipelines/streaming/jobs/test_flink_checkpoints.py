"""Choice of the Flink checkpoint from which a stream resumes."""

import os
from pathlib import Path
from typing import Any

import pytest

from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import flink_checkpoints
from triad_ml.transforms.errors import OptionsError


def config(state: Path, source: str = "clips", **more: Any) -> StreamConfig:
    topics = (f"kafka://h:1/{name}" for name in (source, "scores", "rejected"))
    return StreamConfig("model", *topics, state=str(state), runner="flink", **more)


def keep(folder: Path, age: int, whole: bool = True) -> Path:
    """Makes what Flink leaves of a checkpoint, as if it were so many seconds old."""
    folder.mkdir(parents=True)
    (folder / "0f1e").write_bytes(b"state")
    if whole:
        (folder / "_metadata").write_bytes(b"metadata")
        os.utime(folder / "_metadata", (1_700_000_000 - age,) * 2)
    return folder


def test_the_latest_checkpoint_is_the_newest_whole_one_of_any_job_or_savepoint_of_the_stream(
    tmp_path: Path,
) -> None:
    one = config(tmp_path, from_checkpoint="latest")
    ours = flink_checkpoints.folder(one)
    assert ours == tmp_path / flink_checkpoints.stream_name(one)
    keep(ours / "savepoint-1-2", age=300)
    older = keep(ours / "job1" / "chk-99", age=200)
    keep(ours / "job2" / "chk-8", age=0, whole=False)
    assert flink_checkpoints.chosen(one) == older
    newer = keep(ours / "job2" / "chk-7", age=100)
    assert flink_checkpoints.chosen(one) == newer
    last = keep(ours / "savepoint-3-4", age=50)
    assert flink_checkpoints.chosen(one) == last


def test_the_latest_checkpoint_is_never_one_of_another_stream_in_the_same_state(
    tmp_path: Path,
) -> None:
    other = config(tmp_path, source="other")
    keep(flink_checkpoints.folder(other) / "job" / "chk-1", age=0)
    one = config(tmp_path, from_checkpoint="latest")
    with pytest.raises(OptionsError) as caught:
        flink_checkpoints.chosen(one)
    assert str(caught.value) == (
        f"--from-checkpoint: {flink_checkpoints.folder(one)} holds no whole checkpoint of this "
        "topic; leave it out to begin at the group's committed offsets"
    )


def test_a_checkpoint_may_be_named_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(tmp_path / "kept" / "chk-3", age=0)
    monkeypatch.chdir(tmp_path)
    assert flink_checkpoints.chosen(config(tmp_path, from_checkpoint="kept/chk-3")) == kept
    assert flink_checkpoints.folder(config(Path("kept"))).is_relative_to(tmp_path / "kept")


def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    cut = keep(tmp_path / "chk-3", age=0, whole=False)
    with pytest.raises(OptionsError) as caught:
        flink_checkpoints.chosen(config(tmp_path, from_checkpoint=str(cut)))
    assert str(caught.value) == (
        f"--from-checkpoint: {cut}: is no whole checkpoint (chk-N of Flink)"
    )


def test_without_a_checkpoint_named_the_committed_offsets_say_where_to_begin(
    tmp_path: Path,
) -> None:
    one = config(tmp_path)
    keep(flink_checkpoints.folder(one) / "job" / "chk-1", age=0)
    assert flink_checkpoints.chosen(one) is None
