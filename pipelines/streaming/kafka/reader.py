"""All partitions of a topic, read from where the past says; what becomes of the topic meanwhile."""

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
    """Fetches messages of a topic in the order of their offsets, and knows how far it came.

    A topic that was made again under its name is read from its beginning, and partitions that are
    added are taken up: the log says so. It also says which messages the log lost before they were
    read.

    Args:
        topic: What is read.
        given: Parts given out in the past.
        settings: More settings of the client.
        unlabelled: See `kafka_places.known`.

    Attributes:
        topic_id: Of the topic that is read now; "" where the brokers give none.
        ahead: What was fetched and not taken.
        ends: By partition, the offset behind what could be read at the start.
        next: By partition, the first offset that was not taken; whoever takes messages sets it.

    Raises:
        OptionsError: Where the topic does not exist, or the client's properties cannot be used.
        StorageError: Where no broker answers.
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
        """Takes notice, between batches, of what became of the topic.

        Args:
            take_up: Whether partitions that were added are read too.
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
            self._consumer.incremental_unassign(places)  # a lost place cannot be sought from
            self._consumer.incremental_assign(places)
        added = sorted(set(about.partitions) - self.next.keys())
        if added and take_up:
            numbers = ", ".join(map(str, added))
            _log.info("%s: has new partitions, which are read too: %s", self._topic.log, numbers)
            self._begin(added, ())

    def fetch(self, count: int, seconds: float) -> None:
        """Puts up to `count` messages that come within some seconds into `ahead`.

        Raises:
            StorageError: Where the broker refuses.
        """
        for one in self._topic.consume(self._consumer, count, seconds):
            if isinstance(one, Message):
                self.ahead.append(one)
            elif one.offset is None:
                self._strayed.add(one.partition)
            else:
                self._reached[one.partition] = one.offset

    def places(self) -> dict[int, int]:
        """By partition, the offset before which all was taken.

        Behind the last message stand marks of transactions, and places of what was aborted or
        compacted away: the client tells that it is beyond them.
        """
        found = dict(self.next)
        read = sorted(found.keys() - {one.partition for one in self.ahead})
        for one in self._consumer.position(list(map(self._place, read))):
            reached = self._reached.get(one.partition, 0)
            found[one.partition] = max(found[one.partition], int(one.offset), reached)
        return found

    def is_drained(self) -> bool:
        """Whether all was taken that could be read at the start."""
        places = self.places()
        return not self._strayed and all(places[n] >= end for n, end in self.ends.items())

    def behind(self, held_back: Mapping[int, int]) -> int:
        """Offsets that are there to be read and were not taken, as far as the client knows.

        Args:
            held_back: By partition, how many there are behind transactions that are open.
        """
        total = 0
        for number, place in self.places().items():
            _, high = self._consumer.get_watermark_offsets(self._place(number), cached=True)
            total += max(0, high - held_back.get(number, 0) - place)
        return total

    def is_of_this_topic(self, part: Part) -> bool:
        """Whether a part is not one of another topic, which had the name before."""
        return part.version in ("", self.topic_id)

    def commit_start(self) -> None:
        """Commits the places from which is read, before anything is: others then begin there."""
        self.commit(
            [Part(self._source(n), 0, place, self.topic_id) for n, place in self.next.items()]
        )

    def commit(self, parts: Sequence[Part]) -> None:
        """Commits the ends of those parts that are of this topic."""
        said = kafka_places.label(self.topic_id)
        offsets = [
            self._kafka.TopicPartition(self._topic.topic, partition_of(part), part.stop, said)
            for part in filter(self.is_of_this_topic, parts)
        ]
        if offsets:
            self._ask(lambda: self._consumer.commit(offsets=offsets, asynchronous=False))

    def close(self) -> None:
        """Ends reading."""
        self._consumer.close()

    def _begin(self, partitions: Sequence[int], given: Sequence[Part]) -> None:
        wanted = list(map(self._place, partitions))
        committed = self._ask(lambda: self._consumer.committed(wanted, timeout=TIMEOUT))
        self._start(
            {
                one.partition: kafka_places.known(
                    self._source(one.partition), given, one, self._unlabelled
                )
                for one in committed
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
        """Decides from where partitions are read, and tells what of them is gone or kept back."""
        bounds = self._admin.bounds(sorted(known))
        starts = {n: kafka_places.start(known[n], self.topic_id, bounds[n]) for n in bounds}
        self._tell(starts)
        for number, one in starts.items():
            low, stable, high = bounds[number]
            self.next[number], self.ends[number] = one.offset, stable
            self._reached[number] = low
            if stable < high:
                _log.info(
                    "%s: a transaction is open at offset %d: what comes from there on (%d by now) "
                    "is read once it ends",
                    *(self._source(number), stable, high - stable),
                )

    def _tell(self, starts: Mapping[int, Start]) -> None:
        for number, one in starts.items():
            kafka_places.passed_over(self._source(number), one.wanted, one.offset)
        anew = [str(number) for number, one in starts.items() if one.anew]
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
