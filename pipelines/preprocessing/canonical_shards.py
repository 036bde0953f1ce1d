"""Canonical records between the passes of preprocessing: a TFRecord file for each split and bundle.

They are files, not a PCollection that both passes read. So media are decoded from their source only
once, and neither go through a shuffle nor stay in memory, whatever the runner does with
PCollections.
"""

import dataclasses
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import apache_beam as beam
from apache_beam.io import tfrecordio
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from triad_ml.pipelines.storage.tfrecord_writer import RecordFile
from triad_ml.transforms.graph import raw_examples
from triad_ml.transforms.media import effects
from triad_ml.transforms.records import live
from triad_ml.transforms.records.values import SPLITS, CanonicalRecord, Position
from triad_ml.transforms.spec import split as spec_split
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.split import ALONE, KeptTogether

MOST_GROUPS = len(SPLITS)
"""Largest number of groups kept for a file: they are only compared with the number of splits."""

_ROWS = "rows"


@dataclasses.dataclass(frozen=True)
class CanonicalFile:
    """One complete file of serialized canonical examples, all of one split.

    Attributes:
        path: Path of the file.
        split: Split of its records.
        rows: Number of records.
        unnamed: Number of records with an unusable label, by task.
        groups: First `MOST_GROUPS` groups of its records. A record without a group, or with a split
            of its own, counts as a group.
        copies: Number of copies of its records that the file holds as well, by change; see
            `effects.copies`.
    """

    path: str
    split: str
    rows: int
    unnamed: Mapping[str, int] = dataclasses.field(default_factory=dict)
    groups: tuple[str, ...] = ()
    copies: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Written(NamedTuple):
    """Outputs of `WriteCanonical`.

    Attributes:
        files: Complete files.
        places: Pairs of a record's id and its position; an id may occur more than once.
    """

    files: beam.PCollection[CanonicalFile]
    places: beam.PCollection[tuple[str, Position]]


@dataclasses.dataclass
class WriteCanonical(beam.PTransform):
    """Writes canonical records; returns the `.files` and the `.places` of the records' ids.

    The copies that the spec asks for are written behind each record of the training split.

    Args:
        spec: Spec with the features and the splits.
        folder: Folder to write to. Readers must ignore files that no element of `.files` names.
        together: Records that are kept in one split.
    """

    spec: Spec
    folder: str
    together: KeptTogether = ALONE

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, records: beam.PCollection[CanonicalRecord]) -> Written:
        write = beam.ParDo(_WriteDoFn(self.spec, self.folder, self.together)).with_output_types(
            CanonicalFile
        )
        outputs = records | "Write" >> write.with_outputs(_ROWS, main="files")
        return Written(outputs["files"], outputs[_ROWS])


class _WriteDoFn(beam.DoFn):
    """Keeps one file open for each split; a retried bundle writes files with new names."""

    def __init__(self, spec: Spec, folder: str, together: KeptTogether = ALONE) -> None:
        self._spec = spec
        self._folder = folder
        self._together = together

    def start_bundle(self) -> None:
        self._files: dict[str, RecordFile] = {}
        self._rows: dict[str, int] = {}
        self._unnamed: dict[str, Counter[str]] = {}
        self._groups: dict[str, set[str]] = {}
        self._copies: dict[str, Counter[str]] = {}
        self._done = live.Batched()

    def process(
        self, record: CanonicalRecord
    ) -> Iterator[beam.pvalue.TaggedOutput[Literal["rows"], tuple[str, Position]]]:
        split = spec_split.split_of(
            record.id, record.group, record.split, self._spec.split, self._together
        )
        example = raw_examples.from_record(record, self._spec, self._together)
        if split not in self._files:
            path = f"{self._folder}/{split}-{uuid.uuid4().hex}.tfrecord"
            self._files[split] = RecordFile(path)
            self._rows[split] = 0
            self._unnamed[split] = Counter()
            self._groups[split] = set()
            self._copies[split] = Counter()
        self._files[split].write(example.serialized)
        self._rows[split] += 1
        self._unnamed[split].update(example.unnamed)
        if len(self._groups[split]) < MOST_GROUPS:
            self._groups[split].add(self._group(record))
        if split == "train":
            for change, copy in effects.copies(record, self._spec):
                example = raw_examples.from_record(copy, self._spec, self._together)
                self._files[split].write(example.serialized)
                self._copies[split][change] += 1
        self._done.one()
        yield beam.pvalue.TaggedOutput(_ROWS, (record.id, record.position))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._done.tell()
        for split, writer in self._files.items():
            writer.close()
            unnamed, groups = dict(self._unnamed[split]), tuple(sorted(self._groups[split]))
            file = CanonicalFile(
                writer.path, split, self._rows[split], unnamed, groups, dict(self._copies[split])
            )
            yield WindowedValue(file, GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def _group(self, record: CanonicalRecord) -> str:
        own = spec_split.key(record.id, record.group, self._spec.split)
        if not record.split and own in self._together.leaders:
            return f"together {self._together.leaders[own]}"
        if record.split or not record.group:
            return f"record {record.id}"
        return f"group {record.group}"


@dataclasses.dataclass
class ReadCanonical(beam.PTransform):
    """Reads serialized canonical examples of some files.

    Args:
        paths: Paths of the files.
        without: Identities of records to leave out, see `raw_examples.identity`.
    """

    paths: tuple[str, ...]
    without: frozenset[tuple[str, int, int]] = frozenset()

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[bytes]:
        paths = root | "Paths" >> beam.Create(self.paths, reshuffle=False)
        serialized = paths | "Read" >> tfrecordio.ReadAllFromTFRecord()
        if not self.without:
            return serialized
        return serialized | "LeaveOut" >> beam.Filter(
            lambda example: raw_examples.identity(example) not in self.without
        )
