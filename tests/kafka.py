"""A real Kafka broker of one node on the loopback, from jars that Maven fetches once."""

import contextlib
import dataclasses
import socket
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipelines import programs
from pipelines.streaming.kafka_client import coordinated
from transforms.errors import OptionsError, StorageError

_DEADLINE = 120.0


@dataclasses.dataclass(frozen=True)
class Broker:
    """Where it answers, as `HOST:PORT`."""

    servers: str

    def topic(self, partitions: int = 1, **config: str) -> str:
        """A new topic; `config` with underscores for dots."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        admin = AdminClient({"bootstrap.servers": self.servers})
        settings = {key.replace("_", "."): value for key, value in config.items()}
        new = NewTopic(name, partitions, 1, config=settings)
        admin.create_topics([new])[name].result(_DEADLINE)
        return name

    def uri(self, topic: str) -> str:
        return f"kafka://{self.servers}/{topic}"

    def send(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        partition: int = 0,
        more: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Sends messages, with a header and a time of their place, and `more` headers."""
        producer = Producer({"bootstrap.servers": self.servers, "message.max.bytes": 2**24})
        for place, value in enumerate(values):
            headers = [("place", str(place).encode()), *more]
            time = 1_700_000_000_000 + place
            producer.produce(topic, value, partition=partition, headers=headers, timestamp=time)
        assert producer.flush(_DEADLINE) == 0

    def read(self, topic: str) -> list[Message]:
        """All messages of partition 0, in order."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": uuid.uuid4().hex})
        place = TopicPartition(topic, 0, 0)
        found: list[Message] = []
        try:
            _, end = consumer.get_watermark_offsets(place, timeout=_DEADLINE)
            consumer.assign([place])
            while not found or found[-1].offset() + 1 < end:
                if not end:
                    break
                message = consumer.poll(_DEADLINE)
                assert message is not None
                assert message.error() is None
                found.append(message)
        finally:
            consumer.close()
        return found

    def committed(self, topic: str, group: str, partition: int = 0) -> int:
        """The committed offset of a partition; negative where there is none."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            wanted = [TopicPartition(topic, partition)]
            (place,) = coordinated(lambda: consumer.committed(wanted, timeout=_DEADLINE))
            return int(place.offset)
        finally:
            consumer.close()


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """Starts a broker; skips the test where Java, Maven or the jars are missing."""
    try:
        java = programs.java()
        jars = programs.assemble("kafka")
    except (OptionsError, StorageError) as missing:
        pytest.skip(str(missing))
    port, controller = _free_port(), _free_port()
    settings = folder / "server.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\n"
        f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n"
        "controller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        f"log.dirs={folder}/logs\noffsets.topic.replication.factor=1\n"
        "offsets.topic.num.partitions=1\ntransaction.state.log.replication.factor=1\n"
        "log.retention.ms=-1\n"  # the messages' times are long ago
        "group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n"
    )
    options = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    format_ = ["kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"]
    subprocess.run([java, *options, *format_, str(settings)], check=True, capture_output=True)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [java, *options, "kafka.Kafka", str(settings)], stdout=said, stderr=said
        )
    try:
        servers = f"127.0.0.1:{port}"
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        assert admin.list_topics(timeout=_DEADLINE).brokers  # waits until it answers
        yield Broker(servers)
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
