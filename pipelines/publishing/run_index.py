"""Index of the dates of an output and of the runs of a date, from folders and manifests."""

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
    """Returns the dates that have a folder in the output of `triad score`, sorted."""
    known = []
    for folder in atomic.list_folders(output):
        key, _, date = folder.rpartition("/")[2].partition("=")
        try:
            check_date(date)
        except OptionsError:
            continue
        if key == "dt":
            known.append(date)
    return sorted(known)


def nothing(output: str, date: str | None = None) -> OptionsError:
    """Returns the error for an output without runs, or without runs of a date."""
    known = dates(output)
    if date is None or not known:
        return OptionsError(f"{output}: no run is here; name the --output of triad score")
    choice = known[0] if len(known) == 1 else f"one from {known[0]} to {known[-1]}"
    return OptionsError(f"{output}: no run of {date} is here; name a date that is: {choice}")


def find(output: str, date: str, run_id: str) -> RunFolder:
    """Returns the folder of a run, also of one that does not exist yet.

    The folder of a run that Triad wrote before 0.2 is found next to `CURRENT`.
    """
    run = RunFolder(output, date, run_id)
    if not atomic.exists(run.manifest):
        before = RunFolder(output, date, run_id, visible=True)
        if atomic.exists(before.manifest):
            return before
    return run


def folders(output: str, date: str) -> list[RunFolder]:
    """Returns the folders of all runs of a date, complete or not, sorted by id."""
    runs: dict[str, RunFolder] = {}
    of_date = date_folder(output, date)
    for parent, visible in ((of_date, True), (f"{of_date}/{HIDDEN}", False)):
        for folder in atomic.list_folders(parent):
            run_id = folder.rpartition("/run=")[2]
            if RUN_ID.fullmatch(run_id):
                runs[run_id] = RunFolder(output, date, run_id, visible)
    return [runs[run_id] for run_id in sorted(runs)]


def read_manifest(run: RunFolder) -> Manifest | None:
    """Reads the manifest of a run; None if the run is not sealed and so has none.

    Raises:
        DamagedError: The manifest is not what was written, or belongs to another run.
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
    """Reads the manifest of a run; None if it is missing or damaged."""
    try:
        return read_manifest(run)
    except DamagedError:
        return None
