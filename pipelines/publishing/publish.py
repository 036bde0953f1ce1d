"""Publishing a scoring run: the CURRENT pointer of a date, from the first look to the flip."""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from triad_ml.pipelines.publishing import parts, run_index
from triad_ml.pipelines.publishing.commit import commit_unit, complete_units
from triad_ml.pipelines.publishing.manifest import Manifest, PartFile, UnitManifest
from triad_ml.pipelines.publishing.run_folder import (
    RUN_ID,
    RunFolder,
    check_date,
    date_folder,
    run_id,
)
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.publishing.sealing.seal import seal
from triad_ml.pipelines.runtime.names import POINTER
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.errors import DamagedError, GateError, LostRaceError, OptionsError

__all__ = [
    "Gates",
    "Manifest",
    "PartFile",
    "RunFolder",
    "ScoreSchema",
    "Start",
    "UnitManifest",
    "begin",
    "commit_unit",
    "complete_units",
    "counting",
    "current",
    "current_id",
    "current_run",
    "open_current",
    "pointed",
    "publish",
    "published",
    "published_dates",
    "read_current",
    "run_id",
    "seal",
]

_log = logging.getLogger(__name__)


class Start(NamedTuple):
    """What an attempt finds: the units that are complete, and what `CURRENT` says."""

    complete: set[int]
    current: str | None


def begin(run: RunFolder) -> Start:
    """Starts an attempt at a run: clears what killed ones left, looks at what is there.

    Raises:
        StorageError: The output cannot be written to, said before the work and not after it.
    """
    with atomic.locked(run.date_folder):
        atomic.remove_stale(run.date_folder)
    current = pointed(run.output, run.date)
    if current is not None and not RUN_ID.fullmatch(current):
        _log.warning("%s: is damaged; this run is written to it", _pointer(run.output, run.date))
    return Start(complete_units(run), current)


def publish(run: RunFolder, expected_current: str | None) -> None:
    """Makes a sealed run the published one of its date; then its units' tables are removed.

    Args:
        run: Sealed.
        expected_current: What `CURRENT` said when this one began, see `begin`.

    Raises:
        LostRaceError: Another run was published since.
        GateError: The run is not sealed.
    """
    if run_index.read_manifest(run) is None:
        raise GateError(f"{run.folder}: the run has no manifest; run again to complete it")
    _flip(run, expected_current)
    for path in atomic.list_files(run.units):
        if path.endswith(".parquet"):
            atomic.delete(path)  # each row stands in the published files


def _flip(run: RunFolder, expected_current: str | None) -> None:
    pointer = _pointer(run.output, run.date)
    before = atomic.read_if_there(pointer)
    named = _said(before)
    if named == run.run_id:
        return
    if named == expected_current:
        if atomic.replace(pointer, f"{run.run_id}\n".encode(), expected=before):
            return
        named = _said(atomic.read_if_there(pointer))
        if named == run.run_id:
            return  # by another process with the same run
    raise LostRaceError(
        f"{pointer}: run {named} was published while this one was under way; {run.run_id} is "
        "complete: run again to publish it instead"
    )


def published(run: RunFolder) -> bool:
    """Whether this very run is the published one and whole, so that there is nothing to do.

    Whether it is whole is only looked at, see `parts.found_broken`: a damaged run is not
    published, and scoring it again mends it.
    """
    if pointed(run.output, run.date) != run.run_id:
        return False
    manifest = run_index.whole_manifest(run)
    if manifest is None:
        _log.warning("%s: is missing or damaged, and is made anew", run.manifest)
        return False
    broken = parts.found_broken(run, manifest)
    for file in broken:
        _log.warning("%s: is missing or damaged, and is made anew", run.path(file.path))
    return not broken


def pointed(output: str, date: str) -> str | None:
    """What `CURRENT` says: a run id, None, or whatever became of it on a bad disk."""
    return _said(atomic.read_if_there(_pointer(output, date)))


def current_id(output: str, date: str) -> str | None:
    """The run that is published for a date, or None.

    Raises:
        DamagedError: The pointer names no run.
    """
    pointer = _pointer(output, date)
    named = pointed(output, date)
    if named is not None and not RUN_ID.fullmatch(named):
        raise DamagedError(
            f"{pointer}: names no run; write it anew with triad rollback --to "
            "RUN_ID (triad runs lists them), or with triad score of the date"
        )
    return named


def current(output: str, date: str) -> Manifest | None:
    """The manifest of the run that is published for a date, or None.

    Raises:
        DamagedError: The pointer names a run that is not there.
    """
    found = current_run(output, date)
    return None if found is None else found[1]


def current_run(output: str, date: str) -> tuple[RunFolder, Manifest] | None:
    """The folder and the manifest of the run that is published for a date, or None.

    Raises:
        DamagedError: The pointer names a run that is not there, or its manifest is damaged.
    """
    named = current_id(output, date)
    if named is None:
        return None
    run = run_index.find(output, date, named)
    manifest = run_index.read_manifest(run)
    if manifest is None:
        raise DamagedError(
            f"{_pointer(output, date)}: names run {named}, but {run.manifest} is missing; the same "
            "triad score makes it anew, and triad rollback --to lets another run of the date count"
        )
    return run, manifest


def open_current(output: str, date: str | None = None) -> tuple[str, ...]:
    """Paths of the published scores, in order; parts without rows are left out.

    Args:
        output: Folder that holds all dates.
        date: Without one the latest that is published.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: The pointer or the manifest is damaged.
    """
    run, manifest = counting(output, date)
    return tuple(run.path(file.path) for file in manifest.scores if file.rows)


def read_current(
    output: str, date: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The published scores as one table after another, each checked against the manifest.

    Args:
        output: Folder that holds all dates.
        date: Without one the latest that is published.
        columns: Only these.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: A file is missing or is not what the run wrote.
    """
    run, manifest = counting(output, date)
    for file in manifest.scores:
        if file.rows:
            yield parts.table(run, file, columns)


def published_dates(output: str) -> list[str]:
    """The dates for which a run is published, ascending."""
    dates = run_index.dates(output)
    return [date for date in dates if atomic.exists(_pointer(output, date))]


def counting(output: str, date: str | None) -> tuple[RunFolder, Manifest]:
    """The run that counts for a date, by default the latest, and its manifest.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: The pointer or the manifest is damaged.
    """
    if date is None:
        dates = published_dates(output)
        if not dates:
            raise OptionsError(f"{output}: no scores are published here; run triad score first")
        date = dates[-1]
    found = current_run(output, date)
    if found is None:
        raise OptionsError(f"{output}: nothing is published for {date}; run triad score first")
    return found


def _pointer(output: str, date: str) -> str:
    check_date(date)
    return f"{date_folder(output, date)}/{POINTER}"


def _said(content: bytes | None) -> str | None:
    """What a pointer says: a run id, or whatever became of it."""
    return None if content is None else content.decode("ascii", "backslashreplace").strip()
