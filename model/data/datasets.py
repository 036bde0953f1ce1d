"""Datasets of batches from training files: order of the records, copies and padding."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.data import record_size
from triad_ml.model.data.batches import pad_batch, parse
from triad_ml.model.layout import Layout


def in_order(files: Iterable[str]) -> list[str]:
    """Sorts files by their names, so that the folders that hold them decide nothing."""
    return sorted(files, key=lambda file: (os.path.basename(file), file))


class Copies(NamedTuple):
    """Number of copies of each record of a split in an epoch.

    Attributes:
        times: Number of copies, int64 `[records]`, in the order of the sorted files.
        rows: Number of records in each of these files.
    """

    times: npt.NDArray[np.int64]
    rows: Sequence[int]


def repeated(files: Sequence[str], ordered: Sequence[str], copies: Copies) -> tf.data.Dataset:
    """Reads the records of files, each repeated by its number of copies.

    Args:
        files: TFRecord files, gzip, in the order of reading.
        ordered: The same files, sorted, as `copies` counts them.
        copies: Number of copies of each record.
    """
    begins = dict(zip(ordered, np.cumsum((0, *copies.rows)), strict=False))
    sizes = dict(zip(ordered, copies.rows, strict=True))
    times = tf.constant(copies.times)
    slices = tf.data.Dataset.from_tensor_slices(
        (list(files), [begins[file] for file in files], [sizes[file] for file in files])
    )

    def of_file(file: tf.Tensor, begin: tf.Tensor, size: tf.Tensor) -> tf.data.Dataset:
        own = tf.data.Dataset.from_tensor_slices(tf.slice(times, [begin], [size]))
        return tf.data.Dataset.zip((tf.data.TFRecordDataset(file, compression_type="GZIP"), own))

    # One thread: several would need `deterministic`, and decompression takes little of the time.
    read = slices.interleave(of_file, cycle_length=max(1, min(4, len(files))), block_length=1)
    return read.flat_map(lambda record, n: tf.data.Dataset.from_tensors(record).repeat(n))


SHUFFLE_BYTES = 256 * 2**20
"""Memory in bytes for the shuffle of a split that is not kept in memory."""


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
    """Reads the batches of one training epoch, in a shuffled but reproducible order.

    Only `files`, `seed`, `epoch` and `copies` decide the order. A split in memory is shuffled as a
    whole. For another split, the order of the files is shuffled, up to four files are read at once,
    and their records are shuffled within blocks of half of `shuffle_bytes`.

    Args:
        files: TFRecord files, gzip; the order of this list has no effect.
        layout: Layout of the files.
        batch_size: Number of rows in every batch; the last one is padded with empty rows.
        seed: Seed of the training.
        epoch: Number of the epoch, from 1.
        resident: Records of the same files in memory, string `[records]`; None reads the files.
        shuffle_bytes: Memory for shuffling a split that is not in memory, in bytes.
        copies: Number of copies of each record; None reads each once.

    Returns:
        Dataset of `Batch`.
    """
    random = np.random.default_rng([seed, epoch])
    if resident is not None:
        chosen = np.arange(resident.shape[0])
        if copies is not None:
            chosen = np.repeat(chosen, copies.times)
        order = tf.data.Dataset.from_tensor_slices(random.permutation(chosen))
        records = order.batch(batch_size).map(lambda rows: tf.gather(resident, rows))
        return _batches(records, layout, batch_size)
    shuffled = [in_order(files)[index] for index in random.permutation(len(files))]
    block = max(shuffle_bytes // (2 * record_size.record_bytes(layout)), batch_size)
    block_seed = int(random.integers(2**31))

    def shuffle(index: tf.Tensor, records: tf.Tensor) -> tf.Tensor:
        # `Dataset.shuffle` would mix TensorFlow's global seed into the order.
        return tf.random.experimental.stateless_shuffle(records, [block_seed, index])

    records = (
        records_of(shuffled) if copies is None else repeated(shuffled, in_order(files), copies)
    )
    blocks = records.batch(block).enumerate().map(shuffle).prefetch(1)
    return _batches(blocks.rebatch(batch_size), layout, batch_size)


def eval_dataset(
    files: Sequence[str], layout: Layout, batch_size: int, resident: tf.Tensor | None = None
) -> tf.data.Dataset:
    """Reads every record once, in an order that only `files` decides; see `train_dataset`."""
    if resident is not None:
        records = tf.data.Dataset.from_tensor_slices(resident)
    else:
        records = records_of(in_order(files))
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
    """Reads the serialized records of TFRecord files, gzip."""
    return tf.data.TFRecordDataset(
        list(files), compression_type="GZIP", num_parallel_reads=max(1, min(4, len(files)))
    )
