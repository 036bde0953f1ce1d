"""What Flink keeps of a stream: its name, and its retained checkpoints."""

import hashlib
import json
from pathlib import Path

from pipelines.stream_config import StreamConfig
from transforms.errors import OptionsError

LATEST = "latest"


def stream_name(config: StreamConfig) -> str:
    """The name of the stream's job: always the same for the same source, group and sinks."""
    said = json.dumps([config.source, config.group, config.sink, config.rejected])
    return f"triad-stream-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def latest(state: Path) -> Path | None:
    """The newest whole checkpoint, or savepoint, in a stream's state; None where there is none."""
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
        found = latest(Path(config.state or ""))
        if found is None:
            raise OptionsError(
                f"--from-checkpoint: {config.state} holds no whole checkpoint; leave it out to "
                "begin at the group's committed offsets"
            )
        return found
    path = Path(config.from_checkpoint)
    if not (path / "_metadata").is_file():
        raise OptionsError(f"--from-checkpoint: {path}: is no whole checkpoint (chk-N of Flink)")
    return path
