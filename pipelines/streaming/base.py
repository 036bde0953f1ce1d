"""Stream endpoint interface: everything that Triad asks of one kind of source or sink."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from triad_ml.pipelines.streaming.settings import StreamSettings

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.score import Scores
    from triad_ml.pipelines.streaming.interfaces import Part, Sink, Source
    from triad_ml.pipelines.tables.schema import ScoreSchema


class Endpoint:
    """A kind of place that is streamed from or to; a class for each scheme of addresses.

    A subclass is imported with the settings, so it imports Beam and clients in its methods only.

    Attributes:
        form: Form of a sink's address, for messages.
        read_by: Names of the runners that stream from it.
        written_by: Names of the runners that stream to it.
        is_topic: Whether it holds messages: rejected records then need a topic of their own, and as
            a source it remembers what was read.
        has_client_file: Whether a file with properties of its client may be given.
        can_replay: Whether messages that were rejected can be read again.
    """

    form: ClassVar[str]
    read_by: ClassVar[frozenset[str]] = frozenset()
    written_by: ClassVar[frozenset[str]] = frozenset()
    is_topic: ClassVar[bool] = True
    has_client_file: ClassVar[bool] = False
    can_replay: ClassVar[bool] = False

    def check(self, flag: str, address: str) -> None:
        """Refuses an address that has not the form of this kind.

        Raises:
            OptionsError: Naming the flag.
        """
        raise NotImplementedError

    def name(self, address: str) -> str:
        """The name of a source, however its address was written."""
        return address

    def watched(self, address: str) -> str:
        """The folder that a source watches; "" where it watches none."""
        return ""

    def folder(self, address: str) -> str | None:
        """The folder that a sink writes into; None where it writes into none."""
        return None

    def check_source(self, address: str, settings: StreamSettings) -> None:
        """Refuses a source that is not there.

        Raises:
            OptionsError: Where there is none, or its client's properties cannot be used.
            StorageError: Where nothing answers.
        """

    def check_sink(self, address: str, settings: StreamSettings) -> None:
        """Refuses a sink that is not there and would not be made; see `check_source`."""

    def check_output(self, address: str) -> None:
        """Refuses a sink in whose place something of the user's is.

        Raises:
            OptionsError: Naming something that is there.
            StorageError: Where a folder cannot be listed.
        """

    def source(
        self, settings: StreamSettings, labels: Sequence[str], given: "Sequence[Part]"
    ) -> "Source":
        """Opens the source of micro-batches.

        Args:
            settings: Of the stream.
            labels: The label names that the spec's tasks read.
            given: Parts that were given out before.
        """
        raise NotImplementedError

    def sink(self, settings: StreamSettings, run: "ScoreSchema") -> "Sink":
        """Opens the sink of micro-batches.

        Args:
            settings: Of the stream.
            run: Common properties of all rows.
        """
        raise NotImplementedError

    def write(self, scores: "Scores", settings: StreamSettings, run: "ScoreSchema") -> None:
        """Adds the steps that write the rows of an unbounded graph.

        Args:
            scores: Rows by key.
            settings: Of the stream.
            run: Common properties of all rows.
        """
        raise NotImplementedError
