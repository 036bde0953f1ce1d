"""Frozen, checked settings of `triad stream`. Errors name the flag."""

import dataclasses
import math
import os
import typing

from pipelines import options
from transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """What a stream reads, loads and writes.

    Attributes:
        model: Folder that training wrote.
        source: The folder that is watched.
        sink: Folder for scores, rejected records and the stream's memory.
        media_files: Whether the source's files are media, matched by name; else records files.
        format: Of the files that are written.
        window: Seconds of event time whose scores lie in one folder.
        batch_records: About how many records of one file are scored at once.
        poll_seconds: How often the source is looked at, and how long a file must not have changed
            before it is read.
        media_roots: Folders beside that of the records file in which media may lie.
        until_empty: Whether to end once all that is there is scored.
        verify_key: PEM file of the public key that the model must be signed with; None asks for no
            signature.
    """

    model: str
    source: str
    sink: str
    media_files: bool = False
    format: options.ScoresFormat = "parquet"
    window: int = 60
    batch_records: int = 1024
    poll_seconds: float = 2.0
    media_roots: tuple[str, ...] = ()
    until_empty: bool = False
    verify_key: str | None = None

    def __post_init__(self) -> None:
        for flag, value in (
            ("--model", self.model),
            ("--source", self.source),
            ("--sink", self.sink),
            *(("--media-root", root) for root in self.media_roots),
            *([] if self.verify_key is None else [("--verify-key", self.verify_key)]),
        ):
            if not value.strip():
                raise OptionsError(f"{flag}: must not be empty")
        for flag, place in (("--source", self.source), ("--sink", self.sink)):
            scheme, colon, _ = place.partition("://")
            if colon:
                raise OptionsError(f"{flag}: {scheme}:// is not streamed; give a local folder")
        for flag, number in (("--window", self.window), ("--batch-records", self.batch_records)):
            if number < 1:
                raise OptionsError(f"{flag}: must be at least 1, got {number}")
        if not (math.isfinite(self.poll_seconds) and self.poll_seconds >= 0):
            raise OptionsError(f"--poll-seconds: must be 0 or more, got {self.poll_seconds:g}")
        known = typing.get_args(options.ScoresFormat)
        if self.format not in known:
            raise OptionsError(f"--format: must be one of {', '.join(known)}, got {self.format!r}")
        source, sink = os.path.realpath(self.source), os.path.realpath(self.sink)
        if os.path.commonpath([source, sink]) == source:
            raise OptionsError(f"--sink: {self.sink} is inside the source; choose another folder")
