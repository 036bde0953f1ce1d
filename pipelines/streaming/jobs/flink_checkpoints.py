"""What is kept of a stream on Flink: its name, its topic's id, and its retained checkpoints."""

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
    """The name of the stream's job: always the same for the same source, group and sinks."""
    said = json.dumps([config.source, config.group, config.sink, config.rejected])
    return f"triad-stream-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def folder(config: StreamConfig) -> Path:
    """Where Flink keeps what it keeps of the stream: in `--state`, which streams may share.

    Each has a folder of its own, since a job that went on from another stream's checkpoint would
    read that one's topic on, and write into its own sinks.
    """
    return Path(os.path.abspath(config.state or "")) / stream_name(config)


def topic_id(state: Path) -> str:
    """The id of the topic from which the stream was submitted last; "" where that is not known.

    Args:
        state: The stream's `folder`.

    Raises:
        StorageError: Where it cannot be read.
    """
    return _submitted(state)[0]


def note_topic(state: Path, topic_id: str) -> None:
    """Notes from which topic the stream is submitted now: older checkpoints are of another one.

    Raises:
        StorageError: Where it cannot be written.
    """
    before, _ = _submitted(state)
    if topic_id and topic_id != before:
        said = json.dumps({"id": topic_id, "before": before}) + "\n"
        atomic.put(str(state / _TOPIC), said.encode())


def _submitted(state: Path) -> tuple[str, int]:
    """The id of the topic, and since when it is that one and no other; 0 where ever since."""
    path = state / _TOPIC
    content = atomic.read_if_there(str(path))
    if content is None:
        return "", 0
    try:
        said = json.loads(content)
        return str(said["id"]), path.stat().st_mtime_ns if said["before"] else 0
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: is damaged; restore it, or name another --state") from error


def latest(state: Path) -> Path | None:
    """The newest whole checkpoint, or savepoint, of a stream; None where there is none.

    Those of a topic that had the topic's name before do not count.

    Args:
        state: The stream's `folder`.
    """
    _, since = _submitted(state)
    found = (*state.glob("*/chk-*/_metadata"), *state.glob("savepoint-*/_metadata"))
    times = {path: path.stat().st_mtime_ns for path in found if path.is_file()}
    whole = [path for path, time in times.items() if time >= since]
    return max(whole, key=lambda path: times[path]).parent if whole else None


def chosen(config: StreamConfig) -> Path | None:
    """The checkpoint that `--from-checkpoint` names; None where it names none.

    Raises:
        OptionsError: Where it is not there, not whole, or of another topic of this name.
    """
    if config.from_checkpoint is None:
        return None
    if config.from_checkpoint == LATEST:
        found = latest(folder(config))
        if found is None:
            raise OptionsError(
                f"--from-checkpoint: {folder(config)} holds no whole checkpoint of this topic; "
                "leave it out to begin at the group's committed offsets"
            )
        return found
    path = Path(os.path.abspath(config.from_checkpoint))
    if not (path / "_metadata").is_file():
        raise OptionsError(f"--from-checkpoint: {path}: is no whole checkpoint (chk-N of Flink)")
    if (path / "_metadata").stat().st_mtime_ns < _submitted(folder(config))[1]:
        raise OptionsError(
            f"--from-checkpoint: {path}: is of the topic that had the name of {config.source} "
            "before; leave it out to begin at the group's committed offsets"
        )
    return path
