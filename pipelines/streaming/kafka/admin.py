"""What brokers say of a topic beside its messages: which one it is, its partitions, their ends."""

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
"""Seconds between looks at a topic while it is read."""

_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # zeros: of brokers before 2.8

_log = logging.getLogger(__name__)


class About(NamedTuple):
    """What a topic is.

    Attributes:
        id: Of this very topic: one that is made again under its name has another. "" where the
            brokers give none.
        partitions: Their numbers.
    """

    id: str
    partitions: tuple[int, ...]


class Bounds(NamedTuple):
    """Offsets of one partition.

    Attributes:
        low: The first one that is left.
        stable: The one behind the last that can be read: a transaction that is open comes next.
        high: The one behind the last.
    """

    low: int
    stable: int
    high: int


class TopicAdmin:
    """Asks the brokers about one topic.

    Args:
        servers: `HOST:PORT`.
        topic: Its name.
        config_file: With properties of the client, see `kafka_properties`.

    Raises:
        OptionsError: Where the file cannot be used.
    """

    def __init__(self, servers: str, topic: str, config_file: str | None = None) -> None:
        self.log = f"kafka://{servers}/{topic}"
        self._kafka, self._topic = load(), topic
        self._connection = Connection("AdminClient", servers, {}, config_file)

    def about(self) -> About:
        """Which topic it is.

        Raises:
            OptionsError: Where there is no such topic.
            StorageError: Where no broker answers.
        """
        return self.told(self.ask())

    def ask(self) -> "concurrent.futures.Future[Any]":
        """Asks which topic it is, and does not wait."""
        named = self._kafka.TopicCollection([self._topic])
        self._connection.told()  # takes what the client said meanwhile: it would queue for ever
        self._connection.forget()
        asked = self._connection.client.describe_topics(named, request_timeout=TIMEOUT)
        found: concurrent.futures.Future[Any] = asked[self._topic]
        return found

    def told(self, asked: "concurrent.futures.Future[Any]") -> About:
        """What was answered; see `about`."""
        errors = self._kafka.KafkaError
        with explained(self.log, self._connection):
            try:
                said = asked.result()
            except self._kafka.KafkaException as error:
                if error.args[0].code() != errors.UNKNOWN_TOPIC_OR_PART:
                    raise
                raise OptionsError(
                    f"{self.log}: no such topic; create it, or name another"
                ) from error
        name = str(said.topic_id)
        partitions = tuple(sorted(one.id for one in said.partitions))
        return About("" if name == _NO_ID else name, partitions)

    def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Where partitions begin and end now.

        Raises:
            StorageError: Where no broker answers.
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
            return {place.partition: int(one.result().offset) for place, one in asked.items()}

        with explained(self.log, self._connection):
            return coordinated(ask)


class Watch:
    """Looks at a topic each `LOOK` seconds while it is read, and never waits for the answer.

    A topic that is gone, and brokers that do not answer, are told in the log, once; and once more
    when they are back.

    Args:
        admin: Asks.
    """

    def __init__(self, admin: TopicAdmin) -> None:
        self._admin = admin
        self._asked: concurrent.futures.Future[Any] | None = None
        self._at = time.monotonic() + LOOK
        self._waits = False

    def seen(self, alarm: bool) -> About | None:
        """What the topic is, now and then.

        Args:
            alarm: Whether there is a reason to look at once.
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
