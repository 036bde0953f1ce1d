"""What a split holds: one pass that counts records and labels, and reads small splits whole."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.data import Layout, label_description, labels_of, records_of
from transforms.errors import StorageError

RESIDENT_BYTES = 2 * 2**30
"""A split of at most so many bytes, decompressed, is kept in memory during training."""

_CHUNK = 256  # records that are counted at a time


@dataclasses.dataclass(frozen=True)
class Survey:
    """What one pass over a split counts.

    Attributes:
        files: The files, sorted.
        num_records: Of all files.
        num_bytes: Of all records, decompressed.
        labelled: Number of records with a label, per task.
        class_counts: int64 `[classes]`, per task: the records of each class.
    """

    files: tuple[str, ...]
    num_records: int
    num_bytes: int
    labelled: Mapping[str, int]
    class_counts: Mapping[str, npt.NDArray[np.int64]]


def survey(files: Sequence[str], layout: Layout) -> Survey:
    """Counts records and labels, reading every file once to its end.

    Raises:
        StorageError: Naming the first file that cannot be read.
    """
    description = label_description(layout)
    num_records = num_bytes = 0
    labelled = dict.fromkeys(layout.spec.tasks, 0)
    counts = {name: np.zeros(len(layout.classes[name]), np.int64) for name in layout.spec.tasks}
    for serialized in _chunks(files):
        num_records += int(serialized.shape[0])
        num_bytes += int(tf.reduce_sum(tf.strings.length(serialized)))
        labels = labels_of(tf.io.parse_example(serialized, description), layout)
        for name, values in labels.items():
            found = values.numpy()
            if found.ndim == 2:
                known = found[found[:, 0] >= 0] if found.size else found
                labelled[name] += len(known)
                counts[name] += known.sum(axis=0).astype(np.int64)
            else:
                labelled[name] += int((found >= 0).sum())
                known = found[(found >= 0) & (found < len(counts[name]))]
                counts[name] += np.bincount(known, minlength=len(counts[name]))
    return Survey(tuple(sorted(files)), num_records, num_bytes, labelled, counts)


def read_resident(split: Survey, budget: int = RESIDENT_BYTES) -> tf.Tensor | None:
    """Reads a whole split into memory, string `[records]`, or gives None where it is too large."""
    if not split.num_records or split.num_bytes > budget:
        return None
    return records_of(split.files).batch(split.num_records).get_single_element()


def _chunks(files: Sequence[str]) -> Iterator[tf.Tensor]:
    for file in sorted(files):
        try:
            yield from records_of([file]).batch(_CHUNK)
        except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
            raise StorageError(
                f"{file}: the file is damaged or gone; run triad preprocess again"
            ) from error
