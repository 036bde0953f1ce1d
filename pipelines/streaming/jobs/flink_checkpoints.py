"""State of a stream on Flink: job name, id of the source topic, and retained checkpoints."""

import hashlib
import json
import os
from pathlib import Path

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.transforms.errors import OptionsError, StorageError

LATEST = "latest"

_TOPIC = "topic.json"


def stream_name(config: StreamConfig) -> str:
    """Returns the name of the stream's job, determined by its source, group and sinks."""
    identity = json.dumps([config.source, config.group, config.sink, config.rejected])
    return f"triad-stream-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def folder(config: StreamConfig) -> Path:
    """Returns the folder of the stream's checkpoints: a subfolder of `--state`.

    Streams may share `--state`, but each has a separate subfolder: a job that resumed from another
    stream's checkpoint would read that stream's topic and write into its own sinks.
    """
    return Path(os.path.abspath(config.state or "")) / stream_name(config)


def topic_id(state: Path) -> str:
    """Returns the id of the topic at the stream's last submission; "" if unknown.

    Args:
        state: Folder of the stream, see `folder`.

    Raises:
        StorageError: If it cannot be read.
    """
    return _submitted(state)[0]


def note_topic(state: Path, topic_id: str) -> None:
    """Notes the id of the topic from which the stream is submitted now.

    If the id differs from the noted one, older checkpoints belong to another topic.

    Raises:
        StorageError: If it cannot be written.
    """
    before, _ = _submitted(state)
    if topic_id and topic_id != before:
        content = json.dumps({"id": topic_id, "before": before}) + "\n"
        atomic.put(str(state / _TOPIC), content.encode())


def _submitted(state: Path) -> tuple[str, int]:
    """Returns the noted id of the topic, and the time at which that topic replaced another one.

    The time is in nanoseconds since 1970; 0 if the topic replaced none.
    """
    path = state / _TOPIC
    content = atomic.read_if_there(str(path))
    if content is None:
        return "", 0
    try:
        topic = json.loads(content)
        return str(topic["id"]), path.stat().st_mtime_ns if topic["before"] else 0
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: is damaged; restore it, or name another --state") from error


def latest(state: Path) -> Path | None:
    """Returns the newest complete checkpoint or savepoint of a stream; None if there is none.

    Those of an earlier topic of the same name are ignored.

    Args:
        state: Folder of the stream, see `folder`.
    """
    _, since = _submitted(state)
    paths = (*state.glob("*/chk-*/_metadata"), *state.glob("savepoint-*/_metadata"))
    times = {path: path.stat().st_mtime_ns for path in paths if path.is_file()}
    whole = [path for path, time in times.items() if time >= since]
    return max(whole, key=lambda path: times[path]).parent if whole else None


def chosen(config: StreamConfig) -> Path | None:
    """Returns the checkpoint that `--from-checkpoint` names; None if the flag is not set.

    Raises:
        OptionsError: If it does not exist, is incomplete, or is of an earlier topic of this name.
    """
    if config.from_checkpoint is None:
        return None
    if config.from_checkpoint == LATEST:
        newest = latest(folder(config))
        if newest is None:
            raise OptionsError(
                f"--from-checkpoint: {folder(config)} holds no whole checkpoint of this topic; "
                "leave it out to begin at the group's committed offsets"
            )
        return newest
    path = Path(os.path.abspath(config.from_checkpoint))
    if not (path / "_metadata").is_file():
        raise OptionsError(f"--from-checkpoint: {path}: is no whole checkpoint (chk-N of Flink)")
    if (path / "_metadata").stat().st_mtime_ns < _submitted(folder(config))[1]:
        raise OptionsError(
            f"--from-checkpoint: {path}: is of the topic that had the name of {config.source} "
            "before; leave it out to begin at the group's committed offsets"
        )
    return path
