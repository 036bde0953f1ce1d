"""Training files -> batches: parsing, order and padding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.data import record_size
from triad_ml.model.data.batches import pad_batch, parse
from triad_ml.model.layout import Layout


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


SHUFFLE_BYTES = 256 * 2**20
"""What the shuffle of a larger split holds in memory."""


def train_dataset(
    files: Sequence[str],
    layout: Layout,
    batch_size: int,
    seed: int,
    epoch: int,
    resident: tf.Tensor | None = None,
    shuffle_bytes: int = SHUFFLE_BYTES,
    copies: Copies | None = None,
) -> tf.data.Dataset:
    """Gives every record once, or as often as `copies` say.

    The order is one that only `files`, `seed`, `epoch` and `copies` decide.

    Where the split is in memory it is shuffled as a whole. Otherwise the files are shuffled, read
    side by side, and shuffled within blocks of half of `shuffle_bytes`.

    Args:
        files: TFRecord files, gzip; their own order does not matter.
        layout: What they hold.
        batch_size: Rows of every batch; the last one is filled up with rows that hold nothing.
        seed: Of the training.
        epoch: From 1 on.
        resident: The records of the same files, string `[records]`; None reads them anew.
        shuffle_bytes: See above.
        copies: How often each record comes; None is once.

    Returns:
        A dataset of `Batch`.
    """
    random = np.random.default_rng([seed, epoch])
    if resident is not None:
        chosen = np.arange(resident.shape[0])
        if copies is not None:
            chosen = np.repeat(chosen, copies.times)
        order = tf.data.Dataset.from_tensor_slices(random.permutation(chosen))
        records = order.batch(batch_size).map(lambda rows: tf.gather(resident, rows))
        return _batches(records, layout, batch_size)
    shuffled = [sorted(files)[place] for place in random.permutation(len(files))]
    block = max(shuffle_bytes // (2 * record_size.record_bytes(layout)), batch_size)
    block_seed = int(random.integers(2**31))

    def shuffle(index: tf.Tensor, records: tf.Tensor) -> tf.Tensor:
        # Dataset.shuffle would mix TensorFlow's global seed into the order.
        return tf.random.experimental.stateless_shuffle(records, [block_seed, index])

    records = records_of(shuffled) if copies is None else repeated(shuffled, sorted(files), copies)
    blocks = records.batch(block).enumerate().map(shuffle).prefetch(1)
    return _batches(blocks.rebatch(batch_size), layout, batch_size)


def eval_dataset(
    files: Sequence[str], layout: Layout, batch_size: int, resident: tf.Tensor | None = None
) -> tf.data.Dataset:
    """Gives every record once, in an order that only `files` decides; see `train_dataset`."""
    if resident is not None:
        records = tf.data.Dataset.from_tensor_slices(resident)
    else:
        records = records_of(sorted(files))
    return _batches(records.batch(batch_size), layout, batch_size)


def _batches(records: tf.data.Dataset, layout: Layout, batch_size: int) -> tf.data.Dataset:
    parsed = parse(layout)
    batches = records.map(
        lambda serialized: pad_batch(parsed(serialized), batch_size),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(2)


def records_of(files: Sequence[str]) -> tf.data.Dataset:
    """The serialized records of TFRecord files, gzip."""
    return tf.data.TFRecordDataset(
        list(files), compression_type="GZIP", num_parallel_reads=max(1, min(4, len(files)))
    )
