"""Publishing of a run: one atomic change of the pointer `CURRENT` of its date, and reading it."""

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
    """State of a run when an attempt at it begins.

    Attributes:
        complete: Indices of the units that are complete.
        current: Text of `CURRENT`: a run id, or other text if it is damaged; None if it is missing.
    """

    complete: set[int]
    current: str | None


def begin(run: RunFolder) -> Start:
    """Begins an attempt at a run: removes temporary files of killed processes, and reads the state.

    Raises:
        StorageError: The output cannot be written to; it is reported before the work, not after.
    """
    with atomic.locked(run.date_folder):
        atomic.remove_stale(run.date_folder)
    current = pointed(run.output, run.date)
    if current is not None and not RUN_ID.fullmatch(current):
        _log.warning("%s: is damaged; this run is written to it", _pointer(run.output, run.date))
    return Start(complete_units(run), current)


def publish(run: RunFolder, expected_current: str | None) -> None:
    """Makes a sealed run the published one of its date, then removes its units' tables.

    Args:
        run: Folder of the sealed run.
        expected_current: Text of `CURRENT` when this attempt began, see `begin`.

    Raises:
        LostRaceError: Another run was published since then.
        GateError: The run is not sealed.
    """
    if run_index.read_manifest(run) is None:
        raise GateError(f"{run.folder}: the run has no manifest; run again to complete it")
    _flip(run, expected_current)
    for path in atomic.list_files(run.units):
        if path.endswith(".parquet"):
            atomic.delete(path)  # The published files hold each row.


def _flip(run: RunFolder, expected_current: str | None) -> None:
    pointer = _pointer(run.output, run.date)
    before = atomic.read_if_there(pointer)
    named = _text(before)
    if named == run.run_id:
        return
    if named == expected_current:
        if atomic.replace(pointer, f"{run.run_id}\n".encode(), expected=before):
            return
        named = _text(atomic.read_if_there(pointer))
        if named == run.run_id:
            return  # Another process published the same run.
    raise LostRaceError(
        f"{pointer}: run {named} was published while this one was under way; {run.run_id} is "
        "complete: run again to publish it instead"
    )


def published(run: RunFolder) -> bool:
    """Returns True if this run is the published one and is whole, so that nothing is to be done.

    The files are checked as by `parts.found_broken`. A damaged run returns False, so that scoring
    it again mends it.
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
    """Returns the text of `CURRENT`, unchecked: a run id, other text if damaged, or None."""
    return _text(atomic.read_if_there(_pointer(output, date)))


def current_id(output: str, date: str) -> str | None:
    """Returns the id of the run that is published for a date, or None.

    Raises:
        DamagedError: The pointer holds no run id.
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
    """Returns the manifest of the run that is published for a date, or None.

    Raises:
        DamagedError: The pointer names a run that does not exist, or its manifest is damaged.
    """
    run = current_run(output, date)
    return None if run is None else run[1]


def current_run(output: str, date: str) -> tuple[RunFolder, Manifest] | None:
    """Returns the folder and the manifest of the run that is published for a date, or None.

    Raises:
        DamagedError: The pointer names a run that does not exist, or its manifest is damaged.
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
    """Returns the paths of the published scores, in order; parts without rows are left out.

    Args:
        output: Folder that holds all dates.
        date: Date of the scores; None takes the latest that is published.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: The pointer or the manifest is damaged.
    """
    run, manifest = counting(output, date)
    return tuple(run.path(file.path) for file in manifest.scores if file.rows)


def read_current(
    output: str, date: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Yields the published scores part by part, each checked against the manifest.

    Args:
        output: Folder that holds all dates.
        date: Date of the scores; None takes the latest that is published.
        columns: Names of the columns to read; None reads all.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: A file is missing or is not what the run wrote.
    """
    run, manifest = counting(output, date)
    for file in manifest.scores:
        if file.rows:
            yield parts.table(run, file, columns)


def published_dates(output: str) -> list[str]:
    """Returns the dates for which a run is published, ascending."""
    dates = run_index.dates(output)
    return [date for date in dates if atomic.exists(_pointer(output, date))]


def counting(output: str, date: str | None) -> tuple[RunFolder, Manifest]:
    """Returns the published run of a date and its manifest; None takes the latest date.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: The pointer or the manifest is damaged.
    """
    if date is None:
        dates = published_dates(output)
        if not dates:
            raise OptionsError(f"{output}: no scores are published here; run triad score first")
        date = dates[-1]
    run = current_run(output, date)
    if run is None:
        raise OptionsError(f"{output}: nothing is published for {date}; run triad score first")
    return run


def _pointer(output: str, date: str) -> str:
    check_date(date)
    return f"{date_folder(output, date)}/{POINTER}"


def _text(content: bytes | None) -> str | None:
    """Decodes the content of a pointer, even if it is damaged."""
    return None if content is None else content.decode("ascii", "backslashreplace").strip()
