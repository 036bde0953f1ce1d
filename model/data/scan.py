"""What a split holds: one pass that checks its files, counts, and reads small splits whole.

The pass reads the framing itself. TensorFlow's reader ends the process where a file lies about a
length, so it only gets files that passed.
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

from triad_ml.model.data import record_size
from triad_ml.model.layout import Layout
from triad_ml.model.tasks.base import FeatureDescription
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import tfrecord_reader
from triad_ml.transforms.files.gzip_reader import inflated
from triad_ml.transforms.spec.training import DATASET_FEATURE

RESIDENT_BYTES = 2**30
"""A split of at most so many bytes, inflated, is kept in memory; reading it takes twice that."""

_CHUNK, _CHUNK_BYTES = 256, 64 * 2**20  # at most what is counted at a time
_REMEDY = "run triad preprocess with a new --output"

_Version = tuple[int, int, int]
"""Inode, size and time of change of a file."""


class Shard(NamedTuple):
    """What a file must be: its records and its SHA-256, as preprocessing counted and hashed it."""

    rows: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Survey:
    """What one pass over a split found.

    Attributes:
        files: The files, sorted.
        num_records: Of all files.
        num_bytes: Of all records, decompressed.
        labelled: Number of records with a label, per task.
        class_counts: int64 `[classes]`, per task: the records of each class; of a tagging task the
            spans; of a generation task nothing.
        records: string `[records]`, all of them; None where they are none, or too many to keep.
        versions: By file, what it was when it was read.
        rows: The records of each file.
        sampled: `[records]` each, in the order of the files: where the spec has a mixture the names
            of data sets as `DATASET_FEATURE`, and the ids as `id`, both bytes; where a task has
            `imbalance: balanced_sampling` its class ids, int64, by its name.
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
        """The files, for whoever reads them again; those of a split in memory are not looked at.

        Raises:
            StorageError: Naming the first that is not as it was when it was checked.
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
    """Checks every byte of every file, counts records and labels, and keeps a split that is small.

    Args:
        files: TFRecord files, gzip.
        layout: What they hold.
        shards: By file, what it must be; files are not compared with anything if None.
        budget: See `RESIDENT_BYTES`.

    Raises:
        OptionsError: Naming the first file that is damaged, and where it is, or that is not the
            file of `shards`.
        StorageError: Naming the first file that cannot be read.
    """
    heads = heads_of(layout.spec, layout.classes)
    description: FeatureDescription = dict(_sampled_description(layout))
    for head in heads.values():
        description |= head.label_features()
    ordered = tuple(sorted(files))
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
                parts.append((labels if name in labels else columns)[name].numpy())
            for name, values in labels.items():
                found, each = heads[name].count(values.numpy())
                labelled[name] += found
                counts[name] += each
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
    """The records of a file; notes its version, and compares its digest at its end."""
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
    """A file that hashes what is read of it; it is read once, from its beginning to its end."""

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
        # The latter where TensorFlow's message quotes bytes of the record.
        raise OptionsError(f"{file}: a record has not the labels of the spec; {_REMEDY}") from error
    return parsed
