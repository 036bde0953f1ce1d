"""Stream endpoint of Kafka: topics as sources and sinks."""

import urllib.parse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from triad_ml.pipelines.streaming.base import Endpoint
from triad_ml.pipelines.streaming.settings import StreamSettings
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.score import Scores
    from triad_ml.pipelines.streaming.interfaces import Part, Sink, Source
    from triad_ml.pipelines.streaming.kafka.sink import KafkaSink
    from triad_ml.pipelines.tables.schema import ScoreSchema


KAFKA = "kafka://"


def kafka_place(uri: str) -> tuple[str, str] | None:
    """Returns `HOST:PORT` and topic of `kafka://HOST:PORT/TOPIC`; None for any other string."""
    if not uri.startswith(KAFKA):
        return None
    servers, slash, topic = uri.removeprefix(KAFKA).partition("/")
    try:
        port = urllib.parse.urlsplit(f"//{servers}").port
    except ValueError:
        return None
    if not (slash and topic and port and servers.rpartition(":")[0]) or "@" in servers:
        return None
    return (servers, topic) if all(c.isalnum() or c in "._-" for c in topic) else None


class KafkaEndpoint(Endpoint):
    """Topic of Kafka; the consumer group's committed offsets record what was read."""

    form = "kafka://HOST:PORT/TOPIC"
    read_by = frozenset({"local", "flink"})
    written_by = frozenset({"local", "flink"})
    has_client_file = True
    can_replay = True

    def check(self, flag: str, address: str) -> None:
        if kafka_place(address) is None:
            raise OptionsError(f"{flag}: must be {self.form}, of one topic")

    def check_source(self, address: str, settings: StreamSettings) -> None:
        from triad_ml.pipelines.streaming.kafka import admin

        servers, topic = place(address)
        admin.TopicAdmin(servers, topic, settings.kafka_config).about()

    def check_sink(self, address: str, settings: StreamSettings) -> None:
        self.check_source(address, settings)

    def source(
        self, settings: StreamSettings, labels: Sequence[str], given: "Sequence[Part]"
    ) -> "Source":
        """Opens the topic; with `replay_from`, only the messages that rejected rows name."""
        from triad_ml.pipelines.streaming.kafka.source import KafkaSource
        from triad_ml.pipelines.streaming.messages import parser as messages_parser

        parser = messages_parser.parser(settings, labels)
        rows = settings.replay_from
        limits = (settings.batch_records, settings.batch_seconds)
        source = KafkaSource(
            *(*place(rows or settings.source), settings.group, parser, *limits),
            given,
            settings.kafka_config,
            settings.batch_bytes,
            only_there=rows is not None,
        )
        if rows is None:
            return source
        from triad_ml.pipelines.streaming.kafka.replay import Replay
        from triad_ml.pipelines.streaming.kafka.topic import Topic

        originals = Topic(*place(settings.source), settings.group, settings.kafka_config)
        return Replay(source, originals, parser)

    def sink(self, settings: StreamSettings, run: "ScoreSchema") -> "Sink":
        return _sink(settings, run)

    def write(self, scores: "Scores", settings: StreamSettings, run: "ScoreSchema") -> None:
        from triad_ml.pipelines.streaming.kafka.flink_io import WriteRows

        _ = scores | "Write" >> WriteRows(_sink(settings, run))


def place(address: str) -> tuple[str, str]:
    """Returns `HOST:PORT` and topic of an address that was checked before."""
    servers_and_topic = kafka_place(address)
    if servers_and_topic is None:
        raise AssertionError(f"{address}: was checked")
    return servers_and_topic


def _sink(settings: StreamSettings, run: "ScoreSchema") -> "KafkaSink":
    from triad_ml.pipelines.streaming.kafka.sink import KafkaSink

    rejected = place(settings.rejected or "")
    return KafkaSink(*place(settings.sink), *rejected, run, settings.kafka_config)
