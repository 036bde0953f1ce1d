"""Frozen, checked settings of what runs on this machine for trying. Errors name the flag."""

import dataclasses
import typing

from triad_ml.pipelines.runtime.checks import need
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class FlinkConfig:
    """What is done to the Flink cluster on this machine.

    Attributes:
        action: What is done.
        folder: Where its state is; None takes the user's cache.
        free_ports: Whether `up` chooses free ports.
        dashboard: Of another cluster, whose jobs are meant.
        job: Name or id of the job that is to end.
        state: Folder of the stream, for a savepoint.
    """

    action: typing.Literal["up", "status", "down", "jobs", "cancel", "drain"]
    folder: str | None = None
    free_ports: bool = False
    dashboard: str | None = None
    job: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        if self.folder is not None:
            need("--folder", self.folder)


@dataclasses.dataclass(frozen=True)
class KafkaConfig:
    """What is done to the Kafka broker on this machine.

    Attributes:
        action: What is done.
        folder: Where its messages are; None takes the user's cache.
        free_port: Whether `up` chooses a free port.
        topic: The one that is made.
        partitions: Of that topic.
        compacted: Whether the topic keeps one message for each key.
    """

    action: typing.Literal["up", "status", "down", "topic"]
    folder: str | None = None
    free_port: bool = False
    topic: str = ""
    partitions: int = 1
    compacted: bool = False

    def __post_init__(self) -> None:
        if self.folder is not None:
            need("--folder", self.folder)
        if self.partitions < 1:
            raise OptionsError(f"--partitions: must be at least 1, got {self.partitions}")
