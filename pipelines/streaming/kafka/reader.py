"""Reader of all partitions of a topic, which follows changes of the topic while it reads."""

import collections
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.kafka import places as kafka_places
from triad_ml.pipelines.streaming.kafka.admin import About, TopicAdmin, Watch
from triad_ml.pipelines.streaming.kafka.client import TIMEOUT, coordinated, explained, load
from triad_ml.pipelines.streaming.kafka.places import Known, Start
from triad_ml.pipelines.streaming.kafka.topic import Topic, partition_of
from triad_ml.pipelines.streaming.messages.parser import Message

_log = logging.getLogger(__name__)


class Reader:
    """Consumer that fetches a topic's messages in the order of their offsets and tracks progress.

    A topic that is created again under its name is read from its beginning, and added partitions
    are read too. The log reports both, and messages that the topic removed before they were read.

    Args:
        topic: Topic that is read.
        given: Parts that were delivered before.
        settings: Further properties of the client.
        unlabelled: Id of the topic for committed offsets without one, see `places.known`.

    Attributes:
        topic_id: Id of the topic that is read now; "" if the brokers have no ids.
        ahead: Messages that are fetched and not yet taken.
        ends: By partition, the offset after the last message that could be read at the start.
        next: By partition, the first offset that is not taken; the caller that takes messages sets
            it.

    Raises:
        OptionsError: If the topic does not exist, or the client's properties cannot be used.
        StorageError: If no broker answers.
    """

    def __init__(
        self,
        topic: Topic,
        given: Sequence[Part],
        settings: Mapping[str, Any],
        unlabelled: str = "",
    ) -> None:
        self._kafka, self._topic, self._unlabelled = load(), topic, unlabelled
        self._admin = TopicAdmin(topic.servers, topic.topic, topic.config_file)
        about = self._admin.about()
        self._watch, self.topic_id = Watch(self._admin), about.id
        self._connection = topic.connect(settings)
        self._consumer = self._connection.client
        self.ahead: collections.deque[Message] = collections.deque()
        self.next: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._strayed: set[int] = set()
        self._begin(about.partitions, given)

    def look(self, take_up: bool = True) -> None:
        """Checks, between batches, if the topic has changed, and adapts to it.

        Args:
            take_up: True to read added partitions too.
        """
        strayed, self._strayed = self._strayed, set()
        about = self._admin.about() if strayed else self._watch.seen(self._connection.alarmed())
        if about is None:
            return
        if about.id != self.topic_id and about.id and self.topic_id:
            self._read_anew(about)
            return
        if strayed:
            self._start({n: [Known(self.next[n], self.topic_id)] for n in strayed})
            places = [self._place(number, self.next[number]) for number in strayed]
            self._consumer.incremental_unassign(places)  # seek fails at an offset that is gone
            self._consumer.incremental_assign(places)
        added = sorted(set(about.partitions) - self.next.keys())
        if added and take_up:
            numbers = ", ".join(map(str, added))
            _log.info("%s: has new partitions, which are read too: %s", self._topic.log, numbers)
            self._begin(added, ())

    def fetch(self, count: int, seconds: float) -> None:
        """Appends up to `count` messages that arrive within some seconds to `ahead`.

        Raises:
            StorageError: If the broker refuses.
        """
        for message in self._topic.consume(self._consumer, count, seconds):
            if isinstance(message, Message):
                self.ahead.append(message)
            elif message.offset is None:
                self._strayed.add(message.partition)
            else:
                self._reached[message.partition] = message.offset

    def places(self) -> dict[int, int]:
        """Returns by partition the offset before which everything is taken.

        It may lie after the last message's offset: transaction markers, aborted messages and
        compacted messages have offsets too, and the client's position shows that it has passed
        them.
        """
        places = dict(self.next)
        read = sorted(places.keys() - {message.partition for message in self.ahead})
        for position in self._consumer.position(list(map(self._place, read))):
            number = position.partition
            reached = self._reached.get(number, 0)
            places[number] = max(places[number], int(position.offset), reached)
        return places

    def is_drained(self) -> bool:
        """Returns True if everything is taken that could be read at the start."""
        places = self.places()
        return not self._strayed and all(places[n] >= end for n, end in self.ends.items())

    def behind(self, held_back: Mapping[int, int]) -> int:
        """Returns the number of readable offsets that are not taken, as far as the client knows.

        Args:
            held_back: Number of offsets after open transactions, by partition.
        """
        total = 0
        for number, place in self.places().items():
            _, high = self._consumer.get_watermark_offsets(self._place(number), cached=True)
            total += max(0, high - held_back.get(number, 0) - place)
        return total

    def is_of_this_topic(self, part: Part) -> bool:
        """Returns False if a part belongs to an earlier topic of the same name."""
        return part.version in ("", self.topic_id)

    def commit_start(self) -> None:
        """Commits the start offsets before anything is read; other consumers then begin there."""
        self.commit(
            [Part(self._source(n), 0, place, self.topic_id) for n, place in self.next.items()]
        )

    def commit(self, parts: Sequence[Part]) -> None:
        """Commits the end offsets of those parts that belong to this topic."""
        metadata = kafka_places.label(self.topic_id)
        offsets = [
            self._kafka.TopicPartition(self._topic.topic, partition_of(part), part.stop, metadata)
            for part in filter(self.is_of_this_topic, parts)
        ]
        if offsets:
            self._ask(lambda: self._consumer.commit(offsets=offsets, asynchronous=False))

    def close(self) -> None:
        """Closes the consumer."""
        self._consumer.close()

    def _begin(self, partitions: Sequence[int], given: Sequence[Part]) -> None:
        wanted = list(map(self._place, partitions))
        committed = self._ask(lambda: self._consumer.committed(wanted, timeout=TIMEOUT))
        self._start(
            {
                offset.partition: kafka_places.known(
                    self._source(offset.partition), given, offset, self._unlabelled
                )
                for offset in committed
            }
        )
        self._consumer.incremental_assign([self._place(n, self.next[n]) for n in partitions])

    def _read_anew(self, about: About) -> None:
        known = {n: [Known(self.next.get(n, 0), self.topic_id)] for n in about.partitions}
        self.topic_id = about.id
        self.next.clear()
        self.ends.clear()
        self.ahead.clear()
        self._start(known)
        self._consumer.assign([self._place(n, self.next[n]) for n in about.partitions])

    def _start(self, known: Mapping[int, Sequence[Known]]) -> None:
        """Sets the start offsets of partitions; reports removed messages and open transactions."""
        bounds = self._admin.bounds(sorted(known))
        starts = {n: kafka_places.start(known[n], self.topic_id, bounds[n]) for n in bounds}
        self._tell(starts)
        for number, start in starts.items():
            low, stable, high = bounds[number]
            self.next[number], self.ends[number] = start.offset, stable
            self._reached[number] = low
            if stable < high:
                _log.info(
                    "%s: a transaction is open at offset %d: what comes from there on (%d by now) "
                    "is read once it ends",
                    *(self._source(number), stable, high - stable),
                )

    def _tell(self, starts: Mapping[int, Start]) -> None:
        for number, start in starts.items():
            kafka_places.passed_over(self._source(number), start.wanted, start.offset)
        anew = [str(number) for number, start in starts.items() if start.anew]
        if anew:
            _log.warning(
                "%s: is another topic than the one of this name that was read before, or its log "
                "was cut: read from the beginning, partitions %s",
                *(self._topic.log, ", ".join(anew)),
            )

    def _ask(self, question: Callable[[], Any]) -> Any:
        with explained(self._topic.log, self._connection):
            return coordinated(question)

    def _source(self, partition: int) -> str:
        return f"{self._topic.log}/{partition}"

    def _place(self, partition: int, offset: int | None = None) -> Any:
        more = () if offset is None else (offset,)
        return self._kafka.TopicPartition(self._topic.topic, partition, *more)
