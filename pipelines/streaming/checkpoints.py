"""What Flink keeps of a stream: its name, and its retained checkpoints."""

import hashlib
import json
import os
from pathlib import Path

from pipelines.stream_config import StreamConfig
from transforms.errors import OptionsError

LATEST = "latest"


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


def latest(state: Path) -> Path | None:
    """The newest whole checkpoint, or savepoint, of a stream; None where there is none.

    Args:
        state: The stream's `folder`.
    """
    found = (*state.glob("*/chk-*/_metadata"), *state.glob("savepoint-*/_metadata"))
    whole = [path for path in found if path.is_file()]
    return max(whole, key=lambda path: path.stat().st_mtime_ns).parent if whole else None


def chosen(config: StreamConfig) -> Path | None:
    """The checkpoint that `--from-checkpoint` names; None where it names none.

    Raises:
        OptionsError: Where it is not there, or not whole.
    """
    if config.from_checkpoint is None:
        return None
    if config.from_checkpoint == LATEST:
        found = latest(folder(config))
        if found is None:
            raise OptionsError(
                f"--from-checkpoint: {folder(config)} holds no whole checkpoint; leave it out to "
                "begin at the group's committed offsets"
            )
        return found
    path = Path(os.path.abspath(config.from_checkpoint))
    if not (path / "_metadata").is_file():
        raise OptionsError(f"--from-checkpoint: {path}: is no whole checkpoint (chk-N of Flink)")
    return path
