"""Kafka's client, which only streams of Kafka need, and its errors in one line."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from transforms.errors import OptionsError, StorageError

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
