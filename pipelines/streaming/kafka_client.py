"""Kafka's client, which only streams of Kafka need, and its errors in one line."""

import contextlib
import importlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pipelines.streaming import kafka_properties
from transforms.errors import OptionsError, StorageError

_T = TypeVar("_T")

_PLACE_AND_TIME = re.compile(r"^\w+://\S+: | \(after \d+ms in state \w+[^()]*\)$")

TIMEOUT = 10.0
"""Seconds that a broker has to answer a question."""


def load() -> Any:
    """The module `confluent_kafka`.

    Raises:
        OptionsError: Where it is not installed.
    """
    try:
        return importlib.import_module("confluent_kafka")
    except ModuleNotFoundError as error:
        raise OptionsError(
            "kafka://: the Kafka client is not installed; pip install 'triad[streams]'"
        ) from error


class Connection:
    """A consumer or producer, and the last thing it told of a broker.

    Args:
        kind: What to make.
        servers: `HOST:PORT`.
        settings: What is ours to decide.
        config_file: See `kafka_properties.read`.

    Raises:
        OptionsError: A file, or a property in it, that cannot be used.
    """

    def __init__(
        self,
        kind: Literal["Consumer", "Producer"],
        servers: str,
        settings: Mapping[str, Any],
        config_file: str | None = None,
    ) -> None:
        kafka = load()
        given = kafka_properties.read(config_file)
        ours = {"bootstrap.servers": servers, "error_cb": self._note, **settings}
        self._told = ""
        self._passing = {kafka.KafkaError._ALL_BROKERS_DOWN, kafka.KafkaError._TRANSPORT}
        try:
            self.client = getattr(kafka, kind)({**given, **ours})
        except kafka.KafkaException as error:
            if not given:
                raise
            said = kafka_properties.without_values(error.args[0].str(), given)
            raise OptionsError(f"{kafka_properties.FLAG}: {config_file}: {said}; mend it") from None

    def _note(self, error: Any) -> None:
        if error.code() not in self._passing:
            self._told = _PLACE_AND_TIME.sub("", error.str())

    def told(self) -> str:
        """What the client said since `forget` that is more than a connection gone, or ""."""
        self.client.poll(0)  # calls back
        return self._told

    def forget(self) -> None:
        """What was told before is of no matter now."""
        self._told = ""


def coordinated(ask: Callable[[], _T]) -> _T:
    """Asks a group's coordinator; again, for a while, where the brokers only choose or load one.

    Raises:
        KafkaException: Any other error at once, and that one in the end.
    """
    kafka = load()
    passing = {
        kafka.KafkaError.NOT_COORDINATOR,
        kafka.KafkaError.COORDINATOR_NOT_AVAILABLE,
        kafka.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        kafka.KafkaError._WAIT_COORD,
    }
    until = time.monotonic() + TIMEOUT
    while True:
        try:
            return ask()
        except kafka.KafkaException as error:
            if error.args[0].code() not in passing or time.monotonic() >= until:
                raise
        time.sleep(0.1)


@contextlib.contextmanager
def explained(place: str, connection: Connection | None = None) -> Iterator[None]:
    """Makes a `StorageError` of what Kafka refuses, with what the connection was told of it."""
    kafka = load()
    if connection is not None:
        connection.forget()
    try:
        yield
    except kafka.KafkaException as error:
        said = error.args[0]
        reason = said.str() if isinstance(said, kafka.KafkaError) else str(error)
        reason = (connection and connection.told()) or reason
        raise StorageError(
            f"{place}: {' '.join(reason.split())}; check the address and the broker, then run again"
        ) from error
