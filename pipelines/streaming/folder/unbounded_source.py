"""Beam source of an unbounded graph that reads a watched folder."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.coders import PickleCoder
from apache_beam.transforms import userstate
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.streaming.folder.source import Folder
from triad_ml.pipelines.streaming.interfaces import Item
from triad_ml.transforms.records.values import RawRecord, Rejected

_Given: Any = beam.DoFn.StateParam(userstate.BagStateSpec("given", PickleCoder()))


class ReadFolder(beam.PTransform):
    """Reads raw and rejected records from the files of a folder, each version of a file once.

    Args:
        folder: Source that selects files and decides when they are ready; parts that it delivered
            before are not read again.
        labels: Names of the labels that the spec's tasks read.
        seconds: Seconds between two looks at the folder.
        until_empty: True to read the present files and end.

    Raises:
        StorageError: If the folder cannot be listed.
    """

    def __init__(
        self, folder: Folder, labels: Sequence[str], seconds: float, until_empty: bool = False
    ) -> None:
        super().__init__()
        self._folder, self._labels = folder, tuple(labels)
        self._seconds, self._until_empty = seconds, until_empty

    @no_annotations
    def expand(self, root: Any) -> beam.PCollection[RawRecord | Rejected]:
        if self._until_empty:
            ticks = root | "Once" >> beam.Create([0], reshuffle=False)
        else:
            ticks = root | "Ticks" >> PeriodicImpulse(fire_interval=max(self._seconds, 0.1))
        one_key = beam.Map(lambda _: (0, 0)).with_output_types(tuple[int, int])
        look = beam.ParDo(
            _LookDoFn(self._folder, self._labels, self._until_empty)
        ).with_output_types(Any)
        read = beam.ParDo(_ReadDoFn()).with_output_types(RawRecord | Rejected)
        return ticks | "OneKey" >> one_key | "Look" >> look | "Read" >> read


class _LookDoFn(beam.DoFn):
    """Looks at the folder and yields items; the runner's state holds the delivered parts.

    All elements have one key, so there is one look at a time.
    """

    def __init__(self, folder: Folder, labels: Sequence[str], until_empty: bool) -> None:
        self._folder, self._labels, self._until_empty = folder, labels, until_empty

    @no_annotations
    def process(self, _: object, given: Any = _Given) -> Iterator[object]:
        self._folder.remember([*self._folder.given, *given.read()])
        while True:
            parts = self._folder.poll()
            for part in parts:
                given.add(part)
            self._folder.done(parts)
            for part, item in zip(parts, self._folder.items(parts, self._labels), strict=True):
                yield TimestampedValue(item, (part.event_time or 0) / 1000)
            if parts:
                continue
            if not self._until_empty or self._folder.is_drained():
                break
            time.sleep(self._folder.pause)


class _ReadDoFn(beam.DoFn):
    @no_annotations
    def process(self, item: Item) -> Iterator[RawRecord | Rejected]:
        yield from item.read()
