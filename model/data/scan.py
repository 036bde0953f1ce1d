"""Scan of a split: one pass that checks files, counts labels, and keeps a small split in memory.

The scan parses the TFRecord framing itself. TensorFlow's reader crashes the process on a wrong
record length, so it only reads files that passed the scan.
"""

import dataclasses
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.data import datasets, record_size
from triad_ml.model.layout import Layout
from triad_ml.model.tasks.base import FeatureDescription
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import tfrecord_reader
from triad_ml.transforms.files.gzip_reader import inflated
from triad_ml.transforms.spec.training import DATASET_FEATURE

RESIDENT_BYTES = 2**30
"""Largest split that is kept in memory, in decompressed bytes; reading it takes twice as much."""

_CHUNK, _CHUNK_BYTES = 256, 64 * 2**20  # largest number of records, and bytes, parsed at once
_REMEDY = "run triad preprocess with a new --output"

_Version = tuple[int, int, int]
"""Inode, size and modification time of a file."""


class Shard(NamedTuple):
    """Expected content of a file, as preprocessing wrote it.

    Attributes:
        rows: Number of records.
        sha256: SHA-256 of the file.
    """

    rows: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Survey:
    """Result of the scan of a split.

    Attributes:
        files: The files, in the order of `datasets.in_order`.
        num_records: Number of records in all files.
        num_bytes: Size of all records in bytes, decompressed.
        labelled: By task, the number of records with a label.
        class_counts: By task, int64 `[classes]`: the number of records of each class; for a tagging
            task the number of spans; zeros for generation, empty for regression.
        records: All serialized records, string `[records]`; None if there are none, or too many to
            keep.
        versions: By file, its inode, size and modification time when it was read.
        rows: Number of records in each file.
        sampled: Columns that sampling needs, each `[records]`, in the order of the files. If the
            spec has a mixture: the names of data sets as `DATASET_FEATURE`, and the ids as `id`,
            both bytes. If a task has `imbalance: balanced_sampling`: its classes by the name of the
            task, see `TaskHead.sampled`.
    """

    files: tuple[str, ...]
    num_records: int
    num_bytes: int
    labelled: Mapping[str, int]
    class_counts: Mapping[str, npt.NDArray[np.int64]]
    records: tf.Tensor | None
    versions: Mapping[str, _Version]
    rows: tuple[int, ...] = ()
    sampled: Mapping[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)

    def unchanged_files(self) -> tuple[str, ...]:
        """Returns the files for another read, after a check that none has changed since the scan.

        Files of a split in memory are not checked, as they are not read again.

        Raises:
            StorageError: If a file has changed; names the first one.
        """
        for file in self.files if self.records is None else ():
            if _version(os.stat(file)) != self.versions[file]:
                raise StorageError(
                    f"{file}: changed since it was checked; leave the data of a training as it is, "
                    "and start again"
                )
        return self.files


def survey(
    files: Sequence[str],
    layout: Layout,
    shards: Mapping[str, Shard] | None = None,
    budget: int = RESIDENT_BYTES,
) -> Survey:
    """Scans a split: checks every byte, counts records and labels, and keeps a small split.

    Args:
        files: TFRecord files, gzip.
        layout: Layout of the files.
        shards: By file, its expected content; None skips this comparison.
        budget: Largest decompressed size that is kept in memory, in bytes; see `RESIDENT_BYTES`.

    Raises:
        OptionsError: If a file is damaged or is not the one in `shards`; names the first one, and
            the position of the damage.
        StorageError: If a file cannot be read; names the first one.
    """
    heads = heads_of(layout.spec, layout.classes)
    description: FeatureDescription = dict(_sampled_description(layout))
    for head in heads.values():
        description |= head.label_features()
    ordered = tuple(datasets.in_order(files))
    num_records = num_bytes = 0
    labelled = dict.fromkeys(layout.spec.tasks, 0)
    counts = {name: np.zeros(len(layout.classes[name]), np.int64) for name in layout.spec.tasks}
    versions: dict[str, _Version] = {}
    kept: list[tf.Tensor] | None = []
    rows: list[int] = []
    sampled: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _sampled_names(layout)}
    for file in ordered:
        before = num_records
        expected = shards[file] if shards is not None else None
        for chunk in _chunks(_records(file, layout, versions, expected)):
            serialized = tf.constant(chunk, tf.string)
            num_records += len(chunk)
            num_bytes += sum(map(len, chunk))
            if num_bytes > budget:
                kept = None
            elif kept is not None:
                kept.append(serialized)
            columns = _parsed(serialized, description, file)
            labels = {name: head.labels(columns) for name, head in heads.items()}
            for name, parts in sampled.items():
                if name in heads:
                    parts.append(heads[name].sampled(labels[name].numpy()))
                else:
                    parts.append(columns[name].numpy())
            for name, values in labels.items():
                with_label, per_class = heads[name].count(values.numpy())
                labelled[name] += with_label
                counts[name] += per_class
        rows.append(num_records - before)
    records = tf.concat(kept, axis=0) if kept else None
    joined = {name: np.concatenate(parts) for name, parts in sampled.items() if parts}
    return Survey(
        ordered,
        num_records,
        num_bytes,
        labelled,
        counts,
        records,
        versions,
        tuple(rows),
        joined,
    )


def _sampled_description(layout: Layout) -> dict[str, tf.io.FixedLenFeature]:
    names = ("id", DATASET_FEATURE) if layout.spec.mixture is not None else ()
    return dict.fromkeys(names, tf.io.FixedLenFeature([], tf.string))


def _sampled_names(layout: Layout) -> tuple[str, ...]:
    task = layout.spec.balanced_task
    return (*_sampled_description(layout), *((task,) if task is not None else ()))


def _chunks(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record)
        if len(chunk) == _CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _records(
    file: str, layout: Layout, versions: dict[str, _Version], expected: Shard | None
) -> Iterator[bytes]:
    """Yields the records of a file; notes its version, and compares its digest at the end."""
    try:
        with _Hashed(file) as stored:
            versions[file] = _version(os.fstat(stored.fileno()))
            with inflated(io.BufferedReader(stored, 2**20), file) as content:
                records = tfrecord_reader.frames(
                    content, file, longest=record_size.longest_record(layout), remedy=_REMEDY
                )
                for index, record in enumerate(records):
                    if expected is not None and index == expected.rows:
                        raise OptionsError(
                            f"{file}: holds more than the {index} records that preprocessing "
                            f"wrote; {_REMEDY}"
                        )
                    yield record
            if expected is not None and stored.sha256.hexdigest() != expected.sha256:
                raise OptionsError(f"{file}: is not the file that preprocessing wrote; {_REMEDY}")
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(
            f"{file}: cannot be read: {why}; check the path, or {_REMEDY}"
        ) from error


class _Hashed(io.FileIO):
    """File that hashes its content while it is read once, from beginning to end."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.sha256 = hashlib.sha256()

    def readinto(self, buffer: object, /) -> int:
        view = cast(memoryview, buffer)
        count = super().readinto(view)
        self.sha256.update(view[:count])
        return count


def _version(status: os.stat_result) -> _Version:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _parsed(
    serialized: tf.Tensor, description: Mapping[str, object], file: str
) -> Mapping[str, tf.Tensor]:
    try:
        parsed: Mapping[str, tf.Tensor] = tf.io.parse_example(serialized, description)
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        # UnicodeDecodeError if TensorFlow's message quotes bytes of the record.
        raise OptionsError(f"{file}: a record has not the labels of the spec; {_REMEDY}") from error
    return parsed
