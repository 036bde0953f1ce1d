"""Near-duplicates among records, found by the files of their fingerprints."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from triad_ml.pipelines.preprocessing import fingerprints
from triad_ml.transforms.duplicates import groups, leaks, search
from triad_ml.transforms.duplicates.base import Bytes
from triad_ml.transforms.duplicates.document import Found
from triad_ml.transforms.duplicates.registry import FINGERPRINTS
from triad_ml.transforms.duplicates.search import Alike, Indices
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.files.scratch import ScratchFolder
from triad_ml.transforms.records.values import SPLITS
from triad_ml.transforms.spec import split as spec_split
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.split import ALONE, KeptTogether, Split

MOST_MEDIA = 2_000_000
"""Largest number of media of a modality that are compared: the first ones of the input.

A search takes about 200 bytes of memory for each of them, and up to 1.2 kB of the local disk.
"""

_ROWS = 4_096


@dataclasses.dataclass(frozen=True)
class Records:
    """Records of some files of fingerprints, in the order of the input; the first of each id.

    Attributes:
        table: Their `fingerprints.KEYS`.
        places: Index in the table of each row of the files, file by file; -1 for a later record of
            an id, which is none of these records.
    """

    table: pa.Table
    places: Indices

    def rows(self) -> Iterator[tuple[str, str | None, str | None]]:
        """Yields id, group and named split of each record."""
        for batch in self.table.select(["id", "group", "split"]).to_batches(_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


@dataclasses.dataclass(frozen=True)
class Compared:
    """Near-duplicates among the media of one modality.

    Attributes:
        records: Index of the record of each medium with a fingerprint, ascending, int64 `[n]`.
        alike: Near-duplicates among these media.
        plain: Number of media without a fingerprint.
        over: Number of media with a fingerprint that are left out, because there are too many.
    """

    records: Indices
    alike: Alike
    plain: int
    over: int


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Near-duplicates among records.

    Attributes:
        records: Records that were compared.
        compared: Near-duplicates by modality.
    """

    records: Records
    compared: Mapping[str, Compared]

    def named(self, settings: Split, together: KeptTogether = ALONE) -> dict[str, Found]:
        """Names near-duplicates by the ids and splits of their records, by modality."""
        splits = np.fromiter(
            (
                SPLITS.index(spec_split.split_of(*row, settings, together))
                for row in self.records.rows()
            ),
            np.int64,
        )
        ids = self.records.table["id"]
        found = {}
        for name, one in self.compared.items():
            owners = one.records

            def id_of(medium: int, owners: Indices = owners) -> str:
                return str(ids[int(owners[medium])].as_py())

            found[name] = leaks.found(one.alike, splits[owners], id_of, one.plain, one.over)
        return found

    def kept_together(self, settings: Split) -> KeptTogether:
        """Chooses a split for each group of near-duplicates.

        Raises:
            GateError: Some media were not compared, because there are too many.
        """
        for name, one in self.compared.items():
            if one.over:
                raise GateError(
                    f"split.keep_together: {one.over} media of {name} are beyond the {MOST_MEDIA} "
                    "that are compared; leave it out, or preprocess parts of the records"
                )
        rows = list(self.records.rows())
        keys = [spec_split.key(record_id, group, settings) for record_id, group, _ in rows]
        pairs = [
            (one.records[one.alike.first], one.records[one.alike.second])
            for one in self.compared.values()
        ]
        ids, splits = [row[0] for row in rows], [row[2] for row in rows]
        return groups.kept_together(ids, keys, splits, pairs, settings)


def find(paths: Sequence[str], spec: Spec, most: int = MOST_MEDIA) -> NearDuplicates:
    """Finds the near-duplicates among the media of records, by modality.

    The result does not depend on the order of the files.

    Args:
        paths: Paths of the files that `WriteFingerprints` wrote.
        spec: Spec with the modalities.
        most: Largest number of media of a modality.
    """
    names = spec.modalities.names
    with ScratchFolder() as folder:
        files = [fingerprints.local(path, str(folder), number) for number, path in enumerate(paths)]
        known = records(files)
        return NearDuplicates(known, {name: _compare(files, known, name, most) for name in names})


def records(paths: Sequence[str]) -> Records:
    """Reads the records of local files that `WriteFingerprints` wrote, without fingerprints."""
    tables = [
        fingerprints.KEYS.empty_table(),
        *(fingerprints.read(path).select(fingerprints.KEYS.names) for path in paths),
    ]
    whole = pa.concat_tables(tables)
    order = np.lexsort((whole["offset"].to_numpy(), whole["unit"].to_numpy()))
    ordered = whole.take(order)
    codes = ordered["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, firsts = np.unique(codes, return_index=True)
    firsts.sort()
    places = np.full(order.size, -1)
    places[order[firsts]] = np.arange(firsts.size)
    return Records(ordered.take(firsts), places)


def _compare(paths: Sequence[str], known: Records, name: str, most: int) -> Compared:
    fingerprint = FINGERPRINTS[name]
    owners = [np.empty(0, np.int64)]
    start = plain = 0
    for path in paths:
        table = fingerprints.read(path)
        rows, present = _rows(table, known.places[start:], name)
        owners.append(known.places[start + rows])
        plain += present - rows.size
        start += table.num_rows
    ordered = np.sort(np.concatenate(owners))
    kept = ordered[:most]
    with _mapped(kept.size, fingerprint.size) as whole:
        start = 0
        for path in paths:
            table = fingerprints.read(path)
            rows, _ = _rows(table, known.places[start:], name)
            place = np.searchsorted(ordered, known.places[start + rows])
            chosen = rows[place < most]
            content = b"".join(table[name].take(chosen).to_pylist())
            made = np.frombuffer(content, np.uint8).reshape(-1, fingerprint.size)
            whole[place[place < most]] = made
            start += table.num_rows
        alike = search.find(whole, fingerprint)
    return Compared(kept, alike, plain, ordered.size - kept.size)


def _rows(table: pa.Table, places: Indices, name: str) -> tuple[Indices, int]:
    """Returns the rows whose record has a fingerprint, and the number of rows with a medium."""
    counts = places[: table.num_rows] >= 0
    present = counts & table[f"has_{name}"].to_numpy()
    made = present & pc.is_valid(table[name]).to_numpy()
    return np.flatnonzero(made), int(present.sum())


@contextlib.contextmanager
def _mapped(number: int, size: int) -> Iterator[Bytes]:
    """Yields an array in a file that is removed at the end, uint8 `[number, size]`."""
    with ScratchFolder() as folder:
        if number:
            yield np.memmap(Path(folder, "array"), np.uint8, "w+", shape=(number, size))
        else:
            yield np.empty((0, size), np.uint8)
