"""Kafka's client, an optional dependency, and its errors as one-line messages."""

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
"""Seconds that a broker has to answer a request."""

_CHOICE = 10.0
"""Seconds that brokers have to elect a coordinator or leader."""

_log = logging.getLogger(__name__)


def load() -> Any:
    """Imports and returns the module `confluent_kafka`.

    Raises:
        OptionsError: If it is not installed.
    """
    try:
        return importlib.import_module("confluent_kafka")
    except ModuleNotFoundError as error:
        raise OptionsError(
            f"kafka://: the Kafka client is not installed; {extras.remedy('streams')}"
        ) from error


class _DebugLogger:
    """Logger of the client's own lines at debug level; by default they are written to stderr."""

    def log(self, level: int, *line: Any) -> None:
        del level  # the client logs as an error that it has no connection yet, which often passes
        _log.debug(*line)


class Connection:
    """Consumer, producer or administrator client, with its last error from a broker.

    Args:
        kind: Kind of client.
        servers: Address of the brokers, `HOST:PORT`.
        settings: Properties that Triad sets; they override those of the file.
        config_file: File with properties of the client, see `properties.read`.

    Raises:
        OptionsError: If the file, or a property in it, cannot be used.
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
            self.client = getattr(module, kind)({**given, **ours, "logger": _DebugLogger()})
        except kafka.KafkaException as error:
            if not given:
                raise
            reason = properties.without_values(error.args[0].str(), given)
            raise OptionsError(f"{properties.FLAG}: {config_file}: {reason}; mend it") from None

    def _note(self, error: Any) -> None:
        if error.code() == self._errors._ALL_BROKERS_DOWN:
            self._alarm = True
        elif error.code() == self._errors._TRANSPORT:
            self._gone = _PLACE_AND_TIME.sub("", error.str())
        else:
            self._told = _PLACE_AND_TIME.sub("", error.str())

    def told(self) -> str:
        """Returns the client's last error since `forget`: a refused access, else a lost connection.

        It is called for a consumer only once nothing more is read with it, since the call discards
        fetched messages.
        """
        self.client.poll(0)  # runs the callbacks
        return self._told or self._gone

    def forget(self) -> None:
        """Discards the errors that were noted before."""
        self._told = self._gone = ""

    def alarmed(self) -> bool:
        """Returns True if the client has lost all connections since the last call."""
        alarm, self._alarm = self._alarm, False
        return alarm


def coordinated(ask: Callable[[], _T]) -> _T:
    """Calls `ask`, and retries for `_CHOICE` seconds while brokers elect a coordinator or leader.

    Raises:
        KafkaException: At once for any other error; for these after the last retry.
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
    """Converts Kafka's errors to `StorageError`, with the connection's last error as the reason."""
    kafka = load()
    if connection is not None:
        connection.forget()
    try:
        yield
    except kafka.KafkaException as error:
        cause = error.args[0]
        reason = cause.str() if isinstance(cause, kafka.KafkaError) else str(error)
        reason = (connection and connection.told()) or reason
        raise StorageError(
            f"{place}: {' '.join(reason.split())}; check the address and the broker, then run again"
        ) from error
