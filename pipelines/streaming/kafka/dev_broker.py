"""Single-node Kafka broker on this machine, for development and tests."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from triad_ml.pipelines.runners import daemons
from triad_ml.pipelines.runners import java as runners_java
from triad_ml.pipelines.streaming.kafka.client import TIMEOUT, Connection, explained, load
from triad_ml.transforms.errors import OptionsError, StorageError

PORT = 9092
PATIENCE = 120.0
"""Seconds that the broker has to answer after its start."""

_CLUSTER = "4L6g3nShT-eMCtK--X86sw"
_OPTIONS = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp")


@dataclasses.dataclass(frozen=True)
class Broker:
    """Development broker: its folder, ports and process.

    Attributes:
        folder: Folder of messages, configuration and log.
        port: Port for clients, on the loopback interface.
        controller: Port of the broker's controller, which only the broker uses.
        process: Process of the broker; None if it never ran.
    """

    folder: Path
    port: int
    controller: int
    process: daemons.Started | None = None

    @property
    def servers(self) -> str:
        """Address of the broker, `HOST:PORT`."""
        return f"127.0.0.1:{self.port}"

    def described(self) -> list[str]:
        """Returns lines that describe the broker's state to users."""
        state = "runs" if daemons.runs(self.process) else "stopped"
        return [f"broker: {state}", f"topics: kafka://{self.servers}/TOPIC"]


def default_folder() -> Path:
    """Returns the folder of the user's broker."""
    return runners_java.cache("kafka") / "broker"


def read(folder: Path) -> Broker | None:
    """Reads the broker whose state is in the folder; None if none was started."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    pid, at = state["process"]
    return Broker(folder, state["port"], state["controller"], (int(pid), str(at)))


def up(
    folder: Path,
    free_port: bool = False,
    more: Callable[[Broker], Mapping[str, str]] | None = None,
) -> Broker:
    """Starts the broker unless it runs, and waits until it answers. Its messages are kept.

    Args:
        folder: Folder for messages, configuration and log.
        free_port: True to choose a free port instead of `PORT`.
        more: Function that returns settings which override Triad's.

    Raises:
        OptionsError: If Java, Maven or the client is missing, or the port is taken.
        StorageError: If the broker ends or does not answer.
    """
    load()
    java, jars = runners_java.java(), runners_java.assemble("kafka")
    free, controller = daemons.free(2)
    broker = read(folder) or Broker(folder, free if free_port else PORT, controller)
    if not daemons.runs(broker.process):
        if daemons.listens(broker.port):
            raise OptionsError(
                f"port {broker.port}: is taken; stop what listens there or use --free-port"
            )
        command = [java, *_OPTIONS, f"{jars}/*"]
        started = _start(broker, command, {} if more is None else more(broker))
        broker = dataclasses.replace(broker, process=started)
        state = {"port": broker.port, "controller": broker.controller, "process": started}
        (folder / "state.json").write_text(json.dumps(state) + "\n", encoding="utf-8")
    _wait(broker)
    return broker


def down(folder: Path) -> bool:
    """Stops the broker, keeping messages and topics; returns True if it ran."""
    broker = read(folder)
    if broker is None or broker.process is None or not daemons.runs(broker.process):
        return False
    daemons.stop([broker.process])
    return True


def create_topic(
    broker: Broker, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Creates a topic.

    Raises:
        OptionsError: If the topic exists.
        StorageError: If the broker does not answer.
    """
    kafka = load()
    from confluent_kafka.cimpl import NewTopic

    connection = Connection("AdminClient", broker.servers, {})
    new = NewTopic(name, partitions, 1, config=dict(config or {}))
    with explained(f"kafka://{broker.servers}/{name}", connection):
        try:
            connection.client.create_topics([new], request_timeout=TIMEOUT)[name].result()
        except kafka.KafkaException as error:
            if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            raise OptionsError(f"{name}: the topic is there; choose another name") from error


def _start(broker: Broker, command: list[str], settings: Mapping[str, str]) -> daemons.Started:
    folder = broker.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    place, controller = f"PLAINTEXT://{broker.servers}", f"127.0.0.1:{broker.controller}"
    own = {
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"{place},CONTROLLER://{controller}",
        "advertised.listeners": place,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "messages"),
        **settings,
    }
    common = (runners_java.DEPLOY / "kafka" / "server.properties").read_text(encoding="utf-8")
    path = folder / "server.properties"
    lines = "".join(f"{name}={value}\n" for name, value in own.items())
    path.write_text(f"{common}\n{lines}", encoding="utf-8")
    if not (folder / "messages" / "meta.properties").exists():
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(path)]
        ran = subprocess.run([*command, *tool], capture_output=True, text=True, check=False)  # noqa: S603
        if ran.returncode:
            line = " ".join((ran.stderr or ran.stdout).split())[:200]
            raise StorageError(f"{folder}: cannot be made a broker's: {line}")
    return daemons.start([*command, "kafka.Kafka", str(path)], folder / "broker.log")


def _wait(broker: Broker) -> None:
    until = time.monotonic() + PATIENCE
    while not daemons.listens(broker.port):
        ended = not daemons.runs(broker.process)
        if ended or time.monotonic() > until:
            why = "ended" if ended else f"does not answer for {PATIENCE:.0f} s"
            raise StorageError(f"broker: {why}; see {broker.folder / 'broker.log'}")
        time.sleep(0.1)
    connection = Connection("AdminClient", broker.servers, {})
    with explained(f"kafka://{broker.servers}", connection):
        connection.client.list_topics(timeout=PATIENCE)
