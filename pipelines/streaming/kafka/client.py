"""Kafka's client, which only streams of Kafka need, and its errors in one line."""

import contextlib
import importlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from triad_ml.pipelines.streaming.kafka import properties
from triad_ml.transforms import extras
from triad_ml.transforms.errors import OptionsError, StorageError

_T = TypeVar("_T")

_PLACE_AND_TIME = re.compile(r"^(\w+://)?\S+/\w+: | \(after \d+ms in state \w+[^()]*\)$")

TIMEOUT = 6.0
"""Seconds that a broker has to answer a question."""

_CHOICE = 10.0
"""Seconds that brokers have to choose who is to answer."""

_log = logging.getLogger(__name__)


def load() -> Any:
    """The module `confluent_kafka`.

    Raises:
        OptionsError: Where it is not installed.
    """
    try:
        return importlib.import_module("confluent_kafka")
    except ModuleNotFoundError as error:
        raise OptionsError(
            f"kafka://: the Kafka client is not installed; {extras.remedy('streams')}"
        ) from error


class _ForTheVerbose:
    """Takes the lines that the client logs at each try; it would write them to stderr itself."""

    def log(self, level: int, *said: Any) -> None:
        del level  # the client calls it an error to have no connection yet, which often passes
        _log.debug(*said)


class Connection:
    """A consumer, producer or administrator, and the last thing it told of a broker.

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
        kind: Literal["Consumer", "Producer", "AdminClient"],
        servers: str,
        settings: Mapping[str, Any],
        config_file: str | None = None,
    ) -> None:
        kafka = load()
        given = properties.read(config_file)
        ours = {"bootstrap.servers": servers, "error_cb": self._note, **settings}
        self._told = self._gone = ""
        self._alarm = False
        self._errors = kafka.KafkaError
        module = importlib.import_module("confluent_kafka.admin") if "Admin" in kind else kafka
        try:
            self.client = getattr(module, kind)({**given, **ours, "logger": _ForTheVerbose()})
        except kafka.KafkaException as error:
            if not given:
                raise
            said = properties.without_values(error.args[0].str(), given)
            raise OptionsError(f"{properties.FLAG}: {config_file}: {said}; mend it") from None

    def _note(self, error: Any) -> None:
        if error.code() == self._errors._ALL_BROKERS_DOWN:
            self._alarm = True
        elif error.code() == self._errors._TRANSPORT:
            self._gone = _PLACE_AND_TIME.sub("", error.str())
        else:
            self._told = _PLACE_AND_TIME.sub("", error.str())

    def told(self) -> str:
        """What the client said since `forget`: why it is not let in, else why it has no connection.

        A consumer is asked only once nothing more is read with it: asking takes what was fetched.
        """
        self.client.poll(0)  # calls back
        return self._told or self._gone

    def forget(self) -> None:
        """What was told before is of no matter now."""
        self._told = self._gone = ""

    def alarmed(self) -> bool:
        """Whether the client said, since this was asked last, that it has no connection left."""
        alarm, self._alarm = self._alarm, False
        return alarm


def coordinated(ask: Callable[[], _T]) -> _T:
    """Asks; again, for a while, where the brokers only choose or load who is to answer.

    Raises:
        KafkaException: Any other error at once, and that one in the end.
    """
    kafka = load()
    passing = {
        kafka.KafkaError.NOT_COORDINATOR,
        kafka.KafkaError.COORDINATOR_NOT_AVAILABLE,
        kafka.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        kafka.KafkaError._WAIT_COORD,
        kafka.KafkaError.LEADER_NOT_AVAILABLE,
        kafka.KafkaError.NOT_LEADER_FOR_PARTITION,
    }
    until = time.monotonic() + _CHOICE
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
