"""Metadata of a topic from the brokers: its id, its partitions and their first and last offsets."""

import concurrent.futures
import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from triad_ml.pipelines.streaming.kafka.client import (
    TIMEOUT,
    Connection,
    coordinated,
    explained,
    load,
)
from triad_ml.transforms.errors import OptionsError, StorageError

LOOK = 10.0
"""Seconds between two queries of a topic's metadata while it is read."""

_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # all zeros, from brokers before Kafka 2.8

_log = logging.getLogger(__name__)


class About(NamedTuple):
    """Id and partitions of a topic.

    Attributes:
        id: Id of the topic; a topic that is created again under the same name has another id. "" if
            the brokers have no ids.
        partitions: Numbers of its partitions.
    """

    id: str
    partitions: tuple[int, ...]


class Bounds(NamedTuple):
    """Offsets of one partition.

    Attributes:
        low: First offset that the log still has.
        stable: Last stable offset: everything before it can be read; an open transaction follows if
            it is below `high`.
        high: High watermark: the offset after the last message.
    """

    low: int
    stable: int
    high: int


class TopicAdmin:
    """Administrator client for the metadata of one topic.

    Args:
        servers: Address of the brokers, `HOST:PORT`.
        topic: Name of the topic.
        config_file: File with properties of the client, see `properties.read`.

    Raises:
        OptionsError: If the file cannot be used.
    """

    def __init__(self, servers: str, topic: str, config_file: str | None = None) -> None:
        self.log = f"kafka://{servers}/{topic}"
        self._kafka, self._topic = load(), topic
        self._connection = Connection("AdminClient", servers, {}, config_file)

    def about(self) -> About:
        """Returns the topic's id and partitions.

        Raises:
            OptionsError: If there is no such topic.
            StorageError: If no broker answers.
        """
        return self.told(self.ask())

    def ask(self) -> "concurrent.futures.Future[Any]":
        """Requests the topic's id and partitions without waiting; see `told` for the answer."""
        topics = self._kafka.TopicCollection([self._topic])
        self._connection.told()  # drains the client's events, which would queue up forever
        self._connection.forget()
        asked = self._connection.client.describe_topics(topics, request_timeout=TIMEOUT)
        future: concurrent.futures.Future[Any] = asked[self._topic]
        return future

    def told(self, asked: "concurrent.futures.Future[Any]") -> About:
        """Returns the answer to `ask`, waiting for it if necessary; raises as `about`."""
        errors = self._kafka.KafkaError
        with explained(self.log, self._connection):
            try:
                description = asked.result()
            except self._kafka.KafkaException as error:
                if error.args[0].code() != errors.UNKNOWN_TOPIC_OR_PART:
                    raise
                raise OptionsError(
                    f"{self.log}: no such topic; create it, or name another"
                ) from error
        topic_id = str(description.topic_id)
        partitions = tuple(sorted(partition.id for partition in description.partitions))
        return About("" if topic_id == _NO_ID else topic_id, partitions)

    def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Returns the current first and last offsets of partitions, by partition.

        Raises:
            StorageError: If no broker answers.
        """
        committed = self._kafka.IsolationLevel.READ_COMMITTED
        uncommitted = self._kafka.IsolationLevel.READ_UNCOMMITTED
        spec: Any = self._kafka.admin.OffsetSpec
        low, stable, high = (
            self._offsets(partitions, which, level)
            for which, level in (
                (spec.earliest(), uncommitted),
                (spec.latest(), committed),
                (spec.latest(), uncommitted),
            )
        )
        return {number: Bounds(low[number], stable[number], high[number]) for number in partitions}

    def _offsets(self, partitions: Sequence[int], which: Any, level: Any) -> dict[int, int]:
        wanted = {self._kafka.TopicPartition(self._topic, number): which for number in partitions}

        def ask() -> dict[int, int]:
            asked = self._connection.client.list_offsets(
                wanted, isolation_level=level, request_timeout=TIMEOUT
            )
            return {key.partition: int(future.result().offset) for key, future in asked.items()}

        with explained(self.log, self._connection):
            return coordinated(ask)


class Watch:
    """Periodic query of a topic's metadata, each `LOOK` seconds, without waiting for the answer.

    If the topic is gone or the brokers do not answer, one line in the log reports it, and another
    line their return.

    Args:
        admin: Client that queries the metadata.
    """

    def __init__(self, admin: TopicAdmin) -> None:
        self._admin = admin
        self._asked: concurrent.futures.Future[Any] | None = None
        self._at = time.monotonic() + LOOK
        self._waits = False

    def seen(self, alarm: bool) -> About | None:
        """Returns the topic's id and partitions if a new answer has arrived, else None.

        Args:
            alarm: True to query at once, before `LOOK` seconds have passed.
        """
        if self._asked is None:
            if alarm or time.monotonic() >= self._at:
                self._asked = self._admin.ask()
            return None
        if not self._asked.done():
            return None
        asked, self._asked, self._at = self._asked, None, time.monotonic() + LOOK
        try:
            about = self._admin.told(asked)
        except (OptionsError, StorageError) as error:
            if not self._waits:
                _log.warning("%s; the stream waits meanwhile", str(error).partition(";")[0])
            self._waits = True
            return None
        if self._waits:
            _log.info("%s: answers again", self._admin.log)
        self._waits = False
        return about
