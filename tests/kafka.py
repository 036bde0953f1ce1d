"""Real Kafka broker of one node on the loopback, from jars that Maven downloads once."""

import contextlib
import dataclasses
import datetime
import functools
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from triad_ml.pipelines.runners import java
from triad_ml.pipelines.streaming.interfaces import Part, Source
from triad_ml.pipelines.streaming.kafka import dev_broker
from triad_ml.pipelines.streaming.kafka.client import coordinated
from triad_ml.transforms.errors import OptionsError, StorageError

_DEADLINE = 120.0


@dataclasses.dataclass(frozen=True)
class Broker:
    """Running broker.

    Attributes:
        servers: Address `HOST:PORT`.
        secure: Address `HOST:PORT` with TLS and password; "" if the broker has none.
        certificate: Path of the certificate of the secure address.
    """

    servers: str
    secure: str
    certificate: Path

    @property
    def _settings(self) -> dict[str, Any]:
        """Settings of the tests' clients, which log nothing."""
        return {"bootstrap.servers": self.servers, "log_level": 0}

    def topic(self, partitions: int = 1, **config: str) -> str:
        """Creates a topic and returns its name; `config` has underscores instead of dots."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        admin = AdminClient(self._settings)
        settings = {key.replace("_", "."): value for key, value in config.items()}
        new = NewTopic(name, partitions, 1, config=settings)
        admin.create_topics([new])[name].result(_DEADLINE)
        self._until_known(name)
        return name

    def uri(self, topic: str) -> str:
        return f"kafka://{self.servers}/{topic}"

    def again(self, topic: str) -> None:
        """Deletes a topic and creates it again under the same name."""
        admin = AdminClient(self._settings)
        before = self.topic_id(topic)
        admin.delete_topics([topic])[topic].result(_DEADLINE)
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(_DEADLINE)
        self._until_known(topic, before)

    def _until_known(self, topic: str, before: str = "") -> None:
        """Waits until the broker knows a created topic, whose id is not `before`."""
        until = time.monotonic() + _DEADLINE
        while self.topic_id(topic) in ("", before):
            assert time.monotonic() < until

    def widen(self, topic: str, partitions: int) -> None:
        """Increases the number of partitions."""
        admin = AdminClient(self._settings)
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(_DEADLINE)

    def remove(self, topic: str, offset: int) -> None:
        """Removes the messages of partition 0 before an offset, as retention does."""
        admin = AdminClient(self._settings)
        (removed,) = admin.delete_records([TopicPartition(topic, 0, offset)]).values()
        assert removed.result(_DEADLINE).low_watermark == offset

    def topic_id(self, topic: str) -> str:
        """Returns the id of a topic; "" if the broker knows no topic of this name."""
        admin = AdminClient(self._settings)
        described = admin.describe_topics(TopicCollection([topic]))[topic]
        with contextlib.suppress(KafkaException):
            return str(described.result(_DEADLINE).topic_id)
        return ""

    def send(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        partition: int = 0,
        more: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Sends messages with a header and a timestamp made of their index, and `more` headers."""
        producer = Producer({**self._settings, "message.max.bytes": 2**24})
        for place, value in enumerate(values):
            headers = [("place", str(place).encode()), *more]
            time = 1_700_000_000_000 + place
            producer.produce(topic, value, partition=partition, headers=headers, timestamp=time)
        assert producer.flush(_DEADLINE) == 0

    def read(self, topic: str) -> list[Message]:
        """Returns all messages of partition 0, in order."""
        consumer = Consumer({**self._settings, "group.id": uuid.uuid4().hex})
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
        """Returns the committed offset of a partition; a negative number if there is none."""
        consumer = Consumer({**self._settings, "group.id": group})
        try:
            wanted = [TopicPartition(topic, partition)]
            (place,) = coordinated(lambda: consumer.committed(wanted, timeout=_DEADLINE))
            return int(place.offset)
        finally:
            consumer.close()


def polled(source: Source) -> tuple[Part, ...]:
    """Polls a source until it returns parts."""
    until = time.monotonic() + _DEADLINE
    while not (parts := source.poll()):
        assert time.monotonic() < until
    return parts


def certify(folder: Path) -> None:
    """Writes a self-signed certificate for `localhost`, with its key in another file too."""
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


def _secured(started: dev_broker.Broker, secure: str, login: tuple[str, str]) -> dict[str, str]:
    """Returns the settings of a broker that also listens with TLS and password."""
    folder, (user, password) = started.folder, login
    certify(folder)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    prefix = "listener.name.secure"
    plain, listener = f"PLAINTEXT://{started.servers}", f"SECURE://{secure}"
    return {
        "listeners": f"{plain},CONTROLLER://127.0.0.1:{started.controller},{listener}",
        "advertised.listeners": f"{plain},{listener}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"
        ),
        f"{prefix}.sasl.enabled.mechanisms": "PLAIN",
        f"{prefix}.plain.sasl.jaas.config": f'{login} user_{user}="{password}";',
        f"{prefix}.ssl.keystore.type": "PEM",
        f"{prefix}.ssl.keystore.location": f"{folder}/key-and-certificate.pem",
    }


@contextlib.contextmanager
def broker(folder: Path, login: tuple[str, str] | None = None) -> Iterator[Broker]:
    """Starts a broker; skips the test if Java, Maven or the jars are missing.

    Args:
        folder: Folder for the broker's files.
        login: User and password of an additional address with TLS.
    """
    try:
        java.java()
        java.assemble("kafka")
    except (OptionsError, StorageError) as missing:
        pytest.skip(str(missing))
    secure = f"localhost:{_free_port()}" if login else ""
    more = functools.partial(_secured, secure=secure, login=login) if login else None
    try:
        started = dev_broker.up(folder, free_port=True, more=more)
        yield Broker(started.servers, secure, folder / "certificate.pem")
    finally:
        dev_broker.down(folder)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
