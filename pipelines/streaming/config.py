"""Frozen, checked settings of `triad stream`. Errors name the flag."""

import dataclasses
import math
import os
import typing

from triad_ml.pipelines.runtime.names import MessageFormat
from triad_ml.pipelines.streaming import endpoints, rules
from triad_ml.pipelines.streaming.settings import MEMORY, StreamSettings
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.transforms.errors import OptionsError

REPLAY_GROUP = "triad-replay"
"""Default consumer group of `triad replay`."""


@dataclasses.dataclass(frozen=True)
class StreamConfig(StreamSettings):
    """Settings of a stream, checked to be complete and consistent; see `StreamSettings`."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--model", self.model),
            ("--group", self.group),
            *(("--media-root", root) for root in self.media_roots),
            *([] if self.verify_key is None else [("--verify-key", self.verify_key)]),
            *([] if self.golden is None else [("--golden", self.golden)]),
            *([] if self.metrics is None else [("--metrics", self.metrics)]),
            *([] if self.kafka_config is None else [("--kafka-config", self.kafka_config)]),
        ):
            if not value.strip():
                raise OptionsError(f"{flag}: must not be empty")
        for flag, value in (("--source", self.source), ("--sink", self.sink)):
            endpoints.check(flag, value)
        for flag, number in (
            ("--message-bytes", self.message_bytes),
            ("--window", self.window),
            ("--batch-records", self.batch_records),
            ("--shards", self.shards),
            ("--batch-bytes", self.batch_bytes),
        ):
            if number < 1:
                raise OptionsError(f"{flag}: must be at least 1, got {number}")
        for flag, seconds in (
            ("--batch-seconds", self.batch_seconds),
            ("--poll-seconds", self.poll_seconds),
        ):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise OptionsError(f"{flag}: must be 0 or more, got {seconds:g}")
        _one_of("--format", self.format, ScoresFormat)
        _one_of("--message-format", self.message_format, MessageFormat)
        if self.media_files and endpoints.of(self.source).is_topic:
            raise OptionsError("--media-files: is of a folder; leave it out with a topic as source")
        if self.kafka_config is not None and not any(
            endpoints.of(address).has_client_file for address in (self.source, self.sink)
        ):
            raise OptionsError("--kafka-config: is of Kafka; leave it out without kafka://")
        if self.replay_from is not None:
            self._check_replay(self.replay_from)
        self._check_schema()
        rules.check(self)
        self._check_rejected()
        self._check_state()

    @property
    def state_folder(self) -> str | None:
        """Folder of the stream's journal; None if Kafka's committed offsets are the only state."""
        if self.state is not None:
            return self.state
        folder = endpoints.of(self.sink).folder(self.sink)
        return None if folder is None else f"{folder}/{MEMORY}"

    @property
    def source_name(self) -> str:
        """Name of the source: the same for all spellings of its address."""
        if self.replay_from is not None:
            return f"{self.source} by {self.replay_from}"
        return endpoints.of(self.source).name(self.source)

    @property
    def watched(self) -> str:
        """Path of the watched folder; "" if the source is a topic."""
        return endpoints.of(self.source).watched(self.source)

    def _check_replay(self, rows: str) -> None:
        if not endpoints.of(self.source).can_replay:
            raise OptionsError("--source: must be the topic whose messages were rejected")
        if not endpoints.of(rows).can_replay:
            raise OptionsError("--from: must be a topic, kafka://HOST:PORT/TOPIC")
        endpoints.check("--from", rows)

    def _check_schema(self) -> None:
        if self.message_schema is None:
            if self.message_format == "avro":
                raise OptionsError("--message-schema: name the file with the Avro schema")
            if self.message_schema_id is not None:
                raise OptionsError("--message-schema-id: is of a --message-schema; name that too")
        elif not self.message_schema.strip():
            raise OptionsError("--message-schema: must not be empty")
        elif self.message_format == "example":
            raise OptionsError("--message-schema: a tf.Example has none; leave it out")
        elif "://" not in self.source:
            raise OptionsError("--message-schema: is of messages; leave it out with a folder")
        if not 0 <= (self.message_schema_id or 0) < 2**32:
            raise OptionsError(
                f"--message-schema-id: must be 0 to 2**32 - 1, got {self.message_schema_id}"
            )

    def _check_rejected(self) -> None:
        sink = endpoints.of(self.sink)
        if sink.is_topic:
            if self.rejected is None or endpoints.of(self.rejected) is not sink:
                raise OptionsError(
                    f"--rejected: name the topic for rejected records as {sink.form}"
                )
            endpoints.check("--rejected", self.rejected)
            if self.rejected == self.sink:
                raise OptionsError("--rejected: must be another topic than --sink")
        elif self.rejected is not None:
            raise OptionsError("--rejected: a folder as --sink takes them too; leave it out")

    def _check_state(self) -> None:
        if self.state is not None:
            if endpoints.of(self.state).is_topic:
                raise OptionsError(f"--state: {self.state}: is a topic; name a folder")
            endpoints.check("--state", self.state)
        if endpoints.of(self.source).is_topic:
            return
        if self.state_folder is None:
            raise OptionsError(
                "--state: name a folder; with a folder as source and Kafka as sink nothing else "
                "remembers what was scored"
            )
        source = os.path.realpath(self.source)
        for flag, address in (("--sink", self.sink), ("--state", self.state)):
            folder = endpoints.of(address or "").folder(address or "")
            if not folder:
                continue
            if os.path.commonpath([source, os.path.realpath(folder)]) == source:
                raise OptionsError(f"{flag}: {address} is inside the source; choose another folder")


def _one_of(flag: str, value: str, kind: typing.Any) -> None:
    known = typing.get_args(kind)
    if value not in known:
        raise OptionsError(f"{flag}: must be one of {', '.join(known)}, got {value!r}")
