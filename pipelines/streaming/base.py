"""Interface of stream endpoints: everything that Triad needs of one kind of source or sink."""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from triad_ml.pipelines.streaming.settings import StreamSettings

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.score import Scores
    from triad_ml.pipelines.streaming.interfaces import Part, Sink, Source
    from triad_ml.pipelines.tables.schema import ScoreSchema


class Endpoint(abc.ABC):
    """Kind of source or sink of a stream, such as a folder or a Kafka topic.

    There is one subclass for each scheme of addresses. Subclasses are imported with the settings,
    so they import Beam and clients only inside their methods.

    Attributes:
        form: Form of a sink's address, for error messages.
        read_by: Names of the runners that can stream from it.
        written_by: Names of the runners that can stream to it.
        is_topic: True if it holds messages. Rejected records then need a separate topic, and as a
            source it remembers which messages were read.
        has_client_file: True if its client takes a file of properties.
        can_replay: True if rejected messages can be read again.
    """

    form: ClassVar[str]
    read_by: ClassVar[frozenset[str]] = frozenset()
    written_by: ClassVar[frozenset[str]] = frozenset()
    is_topic: ClassVar[bool] = True
    has_client_file: ClassVar[bool] = False
    can_replay: ClassVar[bool] = False

    @abc.abstractmethod
    def check(self, flag: str, address: str) -> None:
        """Refuses an address that does not have this kind's form.

        Raises:
            OptionsError: If it has another form; the message names the flag.
        """

    def name(self, address: str) -> str:
        """Returns the canonical name of a source: the same for all spellings of its address."""
        return address

    def watched(self, address: str) -> str:
        """Returns the folder that a source watches; "" if it watches none."""
        return ""

    def folder(self, address: str) -> str | None:
        """Returns the folder that a sink writes into; None if it writes into none."""
        return None

    def check_source(self, address: str, settings: StreamSettings) -> None:
        """Refuses a source that does not exist.

        Raises:
            OptionsError: If it does not exist, or its client's properties cannot be used.
            StorageError: If no server answers.
        """
        return None

    def check_sink(self, address: str, settings: StreamSettings) -> None:
        """Refuses a missing sink that the stream would not create; raises as `check_source`."""
        return None

    def check_output(self, address: str) -> None:
        """Refuses a sink whose address already holds other files of the user.

        Raises:
            OptionsError: If there are such files; the message names one of them.
            StorageError: If a folder cannot be listed.
        """
        return None

    def source(
        self, settings: StreamSettings, labels: Sequence[str], given: "Sequence[Part]"
    ) -> "Source":
        """Opens the source of micro-batches.

        Args:
            settings: Settings of the stream.
            labels: Names of the labels that the spec's tasks read.
            given: Parts that were delivered before, in the journal's order.
        """
        raise NotImplementedError

    def sink(self, settings: StreamSettings, run: "ScoreSchema") -> "Sink":
        """Opens the sink of micro-batches.

        Args:
            settings: Settings of the stream.
            run: Common properties of all rows.
        """
        raise NotImplementedError

    def write(self, scores: "Scores", settings: StreamSettings, run: "ScoreSchema") -> None:
        """Adds the steps that write the rows of an unbounded graph.

        Args:
            scores: Rows by key.
            settings: Settings of the stream.
            run: Common properties of all rows.
        """
        raise NotImplementedError
