"""Records that come more or less often than once in an epoch, read from files."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf


class Copies(NamedTuple):
    """How often each record of a split comes in an epoch.

    Attributes:
        times: int64 `[records]`, in the order of the sorted files.
        rows: The records of each of these files.
    """

    times: npt.NDArray[np.int64]
    rows: Sequence[int]


def repeated(files: Sequence[str], ordered: Sequence[str], copies: Copies) -> tf.data.Dataset:
    """The records of files, each as often as `copies`, which follow the order of `ordered`, say."""
    begins = dict(zip(ordered, np.cumsum((0, *copies.rows)), strict=False))
    sizes = dict(zip(ordered, copies.rows, strict=True))
    times = tf.constant(copies.times)
    places = tf.data.Dataset.from_tensor_slices(
        (list(files), [begins[file] for file in files], [sizes[file] for file in files])
    )

    def of_file(file: tf.Tensor, begin: tf.Tensor, size: tf.Tensor) -> tf.data.Dataset:
        own = tf.data.Dataset.from_tensor_slices(tf.slice(times, [begin], [size]))
        return tf.data.Dataset.zip((tf.data.TFRecordDataset(file, compression_type="GZIP"), own))

    # One thread: several would need `deterministic`, and inflating is not what takes time here.
    read = places.interleave(of_file, cycle_length=max(1, min(4, len(files))), block_length=1)
    return read.flat_map(lambda record, n: tf.data.Dataset.from_tensors(record).repeat(n))
