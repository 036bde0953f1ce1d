"""Publishing a scoring run: the CURRENT pointer of a date, from the first look to the flip."""

from typing import NamedTuple

from pipelines import storage
from pipelines.commits import commit_unit, complete_units
from pipelines.gates import Gates
from pipelines.names import POINTER
from pipelines.runs import (
    RUN_ID,
    Manifest,
    PartFile,
    RunFolder,
    RunSettings,
    UnitManifest,
    check_date,
    date_folder,
    run_id,
)
from pipelines.sealing import read_manifest, seal
from transforms.errors import GateError, LostRaceError, OptionsError, StorageError

__all__ = [
    "Gates",
    "Manifest",
    "PartFile",
    "RunFolder",
    "RunSettings",
    "Start",
    "UnitManifest",
    "begin",
    "commit_unit",
    "complete_units",
    "current",
    "current_id",
    "open_current",
    "publish",
    "published",
    "published_dates",
    "read_manifest",
    "run_id",
    "seal",
]


class Start(NamedTuple):
    """What an attempt finds: the units that are complete, and the run that is published."""

    complete: set[int]
    current: str | None


def begin(run: RunFolder) -> Start:
    """Starts an attempt at a run: clears what killed ones left, looks at what is there.

    Raises:
        StorageError: The output cannot be written to, said before the work and not after it.
    """
    with storage.locked(run.date_folder):
        storage.remove_stale(run.date_folder)
    return Start(complete_units(run), current_id(run.output, run.date))


def publish(run: RunFolder, expected_current: str | None) -> None:
    """Makes a sealed run the published one of its date; then its units' tables are removed.

    Args:
        run: Sealed.
        expected_current: The run that was published when this one began, see `begin`.

    Raises:
        LostRaceError: Another run was published since.
        GateError: The run is not sealed.
    """
    if read_manifest(run) is None:
        raise GateError(f"{run.folder}: the run has no manifest; run again to complete it")
    _flip(run, expected_current)
    for path in storage.list_files(run.units):
        if path.endswith(".parquet"):
            storage.delete(path)  # each row stands in the published files


def _flip(run: RunFolder, expected_current: str | None) -> None:
    pointer = _pointer(run.output, run.date)
    before = storage.read_if_there(pointer)
    named = _run_named(pointer, before)
    if named == run.run_id:
        return
    if named == expected_current:
        if storage.replace(pointer, f"{run.run_id}\n".encode(), expected=before):
            return
        named = current_id(run.output, run.date)
        if named == run.run_id:
            return  # by another process with the same run
    raise LostRaceError(
        f"{pointer}: run {named} was published while this one was under way; {run.run_id} is "
        "complete: run again to publish it instead"
    )


def published(run: RunFolder) -> bool:
    """Whether this very run is the published one, so that there is nothing to do."""
    return current_id(run.output, run.date) == run.run_id and read_manifest(run) is not None


def current_id(output: str, date: str) -> str | None:
    """The run that is published for a date, or None.

    Raises:
        StorageError: The pointer cannot be read or names no run.
    """
    pointer = _pointer(output, date)
    return _run_named(pointer, storage.read_if_there(pointer))


def current(output: str, date: str) -> Manifest | None:
    """The manifest of the run that is published for a date, or None.

    Raises:
        StorageError: The pointer names a run that is not there.
    """
    named = current_id(output, date)
    if named is None:
        return None
    run = RunFolder(output, date, named)
    manifest = read_manifest(run)
    if manifest is None:
        raise StorageError(
            f"{_pointer(output, date)}: names run {named}, but {run.manifest} is missing; restore "
            "the run, or score the date again"
        )
    return manifest


def open_current(output: str, date: str | None = None) -> tuple[str, ...]:
    """Paths of the published scores, in order; parts without rows are left out.

    Args:
        output: Folder that holds all dates.
        date: Without one the latest that is published.

    Raises:
        OptionsError: Nothing is published.
        StorageError: The pointer or the manifest is damaged.
    """
    if date is None:
        date = _latest(output)
    manifest = current(output, date)
    if manifest is None:
        raise OptionsError(f"{output}: nothing is published for {date}; run triad score first")
    run = RunFolder(output, date, manifest.run_id)
    return tuple(run.path(file.path) for file in manifest.scores if file.rows)


def published_dates(output: str) -> list[str]:
    """The dates for which a run is published, ascending."""
    names = [path.rpartition("/")[2] for path in storage.list_folders(output)]
    dates = sorted(name.removeprefix("dt=") for name in names if name.startswith("dt="))
    return [date for date in dates if storage.exists(_pointer(output, date))]


def _latest(output: str) -> str:
    dates = published_dates(output)
    if not dates:
        raise OptionsError(f"{output}: no scores are published here; run triad score first")
    return dates[-1]


def _pointer(output: str, date: str) -> str:
    check_date(date)
    return f"{date_folder(output, date)}/{POINTER}"


def _run_named(pointer: str, content: bytes | None) -> str | None:
    if content is None:
        return None
    named = content.decode("ascii", "replace").strip()
    if not RUN_ID.fullmatch(named):
        raise StorageError(
            f"{pointer}: names no run; write the id of the run that counts into it: it stands in "
            "the name run=ID of a folder beside it"
        )
    return named
