"""Learning of a subword vocabulary, as an analyzer of tf.Transform."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from tensorflow_transform.beam import experimental

from triad_ml.transforms.features import subwords

MOST_WORDS = 200_000
"""Number of words, the most frequent ones, from which subwords are learned."""


class LearnPieces(experimental.PTransformAnalyzer):
    """Learns subwords from batches of words; returns the path of a file with one subword per line.

    Args:
        name: Name of the file.
        size: Largest number of subwords.
    """

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self._name = name
        self._size = size

    def expand(self, batches: beam.PCollection[tuple[Any]]) -> beam.PCollection[str]:
        path = FileSystems.join(self.base_temp_dir, self._name)
        return (
            batches
            | "Words" >> beam.FlatMap(_words)
            | "Count" >> beam.combiners.Count.PerElement()
            | "MostFrequent" >> beam.combiners.Top.Of(MOST_WORDS, key=_frequency)
            | "Learn" >> beam.Map(_write, path=path, size=self._size)
        )


def _words(batch: tuple[Any]) -> Iterable[bytes]:
    return [bytes(word) for word in batch[0]]


def _frequency(counted: tuple[bytes, int]) -> tuple[int, bytes]:
    return counted[1], counted[0]


def _write(counted: Sequence[tuple[bytes, int]], path: str, size: int) -> str:
    """Writes the subwords; a repeated call writes the same file."""
    pieces = subwords.learn({word.decode(): count for word, count in counted}, size)
    with FileSystems.create(path, mime_type="text/plain") as file:
        file.write("".join(f"{piece}\n" for piece in pieces).encode())
    return path
