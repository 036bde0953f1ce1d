"""A real Kafka broker of one node on the loopback, from jars that Maven fetches once."""

import contextlib
import dataclasses
import datetime
import socket
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipelines import programs
from pipelines.streaming.kafka_client import coordinated
from transforms.errors import OptionsError, StorageError

_DEADLINE = 120.0


@dataclasses.dataclass(frozen=True)
class Broker:
    """Where it answers.

    Attributes:
        servers: `HOST:PORT`.
        secure: `HOST:PORT` of the same broker, by TLS and with a password; "" where it has none.
        certificate: By which it is known there.
    """

    servers: str
    secure: str
    certificate: Path

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


def certify(folder: Path) -> None:
    """A self-signed certificate for `localhost`; its key is in `key-and-certificate.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key-and-certificate.pem").write_bytes(private + made)
    (folder / "certificate.pem").write_bytes(made)


def _secured(folder: Path, user: str, password: str) -> str:
    certify(folder)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    prefix = "listener.name.secure"
    return (
        f"{prefix}.sasl.enabled.mechanisms=PLAIN\n"
        f'{prefix}.plain.sasl.jaas.config={login} user_{user}="{password}";\n'
        f"{prefix}.ssl.keystore.type=PEM\n"
        f"{prefix}.ssl.keystore.location={folder}/key-and-certificate.pem\n"
    )


@contextlib.contextmanager
def broker(folder: Path, login: tuple[str, str] | None = None) -> Iterator[Broker]:
    """Starts a broker; skips the test where Java, Maven or the jars are missing.

    Args:
        folder: For its files.
        login: User and password, with which it answers by TLS, too.
    """
    try:
        java = programs.java()
        jars = programs.assemble("kafka")
    except (OptionsError, StorageError) as missing:
        pytest.skip(str(missing))
    port, controller, secure = _free_port(), _free_port(), _free_port()
    more, listener, map_ = "", "", ""
    if login is not None:
        more = _secured(folder, *login)
        listener, map_ = f",SECURE://localhost:{secure}", ",SECURE:SASL_SSL"
    settings = folder / "server.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\n"
        f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listener}\n"
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listener}\n"
        "controller.listener.names=CONTROLLER\n"
        f"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{map_}\n{more}"
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
        secured = f"localhost:{secure}" if login else ""
        yield Broker(servers, secured, folder / "certificate.pem")
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
