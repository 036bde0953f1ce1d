"""Kafka's client, which only streams of Kafka need, and its errors in one line."""

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from transforms.errors import OptionsError, StorageError

_T = TypeVar("_T")

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
def explained(place: str) -> Iterator[None]:
    """Makes a `StorageError` of what Kafka refuses."""
    kafka = load()
    try:
        yield
    except kafka.KafkaException as error:
        said = error.args[0]
        reason = said.str() if isinstance(said, kafka.KafkaError) else str(error)
        raise StorageError(
            f"{place}: {' '.join(reason.split())}; check the address and the broker, then run again"
        ) from error
