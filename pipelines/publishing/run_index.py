"""Which runs lie in the folder of a date, and where."""

from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import (
    HIDDEN,
    RUN_ID,
    RunFolder,
    check_date,
    date_folder,
)
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import DamagedError, OptionsError


def dates(output: str) -> list[str]:
    """The dates that have a folder in what `triad score` wrote, sorted."""
    found = []
    for folder in atomic.list_folders(output):
        key, _, date = folder.rpartition("/")[2].partition("=")
        try:
            check_date(date)
        except OptionsError:
            continue
        if key == "dt":
            found.append(date)
    return sorted(found)


def nothing(output: str, date: str | None = None) -> OptionsError:
    """The error for a folder without runs, or without those of a date."""
    known = dates(output)
    if date is None or not known:
        return OptionsError(f"{output}: no run is here; name the --output of triad score")
    there = known[0] if len(known) == 1 else f"one from {known[0]} to {known[-1]}"
    return OptionsError(f"{output}: no run of {date} is here; name a date that is: {there}")


def find(output: str, date: str, run_id: str) -> RunFolder:
    """The folder of a run, or the one that it would have.

    Runs that Triad wrote before 0.2 lie beside `CURRENT` and count as they did.
    """
    run = RunFolder(output, date, run_id)
    if not atomic.exists(run.manifest):
        before = RunFolder(output, date, run_id, visible=True)
        if atomic.exists(before.manifest):
            return before
    return run


def folders(output: str, date: str) -> list[RunFolder]:
    """The folders of all runs of a date, complete or not, sorted by id."""
    found: dict[str, RunFolder] = {}
    beside = date_folder(output, date)
    for parent, visible in ((beside, True), (f"{beside}/{HIDDEN}", False)):
        for folder in atomic.list_folders(parent):
            run_id = folder.rpartition("/run=")[2]
            if RUN_ID.fullmatch(run_id):
                found[run_id] = RunFolder(output, date, run_id, visible)
    return [found[run_id] for run_id in sorted(found)]


def read_manifest(run: RunFolder) -> Manifest | None:
    """The manifest of a sealed run, or None where there is none.

    Raises:
        DamagedError: It is not what was written, or belongs to another run.
    """
    content = atomic.read_if_there(run.manifest)
    if content is None:
        return None
    manifest = Manifest.from_json(content)
    if manifest is None or (manifest.run_id, manifest.date) != (run.run_id, run.date):
        raise DamagedError(
            f"{run.manifest}: is damaged, or the manifest of another run; the same triad score "
            "makes it anew, and triad rollback --to goes back to another run of the date"
        )
    return manifest


def whole_manifest(run: RunFolder) -> Manifest | None:
    """The manifest of a sealed run; None where there is none, or where it is damaged."""
    try:
        return read_manifest(run)
    except DamagedError:
        return None
