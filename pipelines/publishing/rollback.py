"""Rollback: publishes an earlier run of a date again, after checking each of its files.

No run is removed, and only the pointer changes. It changes by compare-and-swap, as in any
publishing, so that a run published at the same moment is not overwritten.
"""

import datetime
from collections.abc import Mapping

from triad_ml.pipelines.publishing import commit, parts, publish, run_index
from triad_ml.pipelines.publishing.config import RollbackConfig
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import DamagedError, GateError, OptionsError

_REMEDY = (
    "the pointer is unchanged: roll back to another run with --to, or start the triad score that "
    "made this one, which makes the file anew"
)


def run(config: RollbackConfig) -> Manifest:
    """Publishes an earlier run again, and prints its id.

    Without `config.to`, takes the run that was sealed last before the published one, among those
    that were published before.

    Returns:
        Manifest of the run that is published now.

    Raises:
        OptionsError: The run does not exist, or none can be chosen; the message lists the runs.
        GateError: A file of the run is missing or is not what the run wrote.
        LostRaceError: Another run was published meanwhile.
        StorageError: The pointer or a manifest cannot be read or trusted. With `config.to`, a
            damaged pointer is no error, but is replaced.
    """
    counted = publish.pointed(config.output, config.date)
    run_id = config.to or _before(config, publish.current_id(config.output, config.date))
    chosen = run_index.find(config.output, config.date, run_id)
    _refuse_missing(config, chosen)
    with atomic.in_use(chosen.folder):  # `triad gc` does not remove it meanwhile.
        manifest = run_index.read_manifest(chosen)
        if manifest is None:
            raise OptionsError(f"{chosen.manifest}: was removed just now; {_listed(config)}")
        check(chosen, manifest)
        publish.publish(chosen, counted)
    print(_summary(manifest, counted))
    return manifest


def check(run: RunFolder, manifest: Manifest) -> None:
    """Compares each file of a run with its manifest.

    Raises:
        GateError: A file differs; the message names the first.
    """
    for file in manifest.files:
        try:
            parts.read(run, file, _REMEDY)
        except DamagedError as error:
            raise GateError(str(error)) from error


def sealed(output: str, date: str) -> dict[str, Manifest]:
    """Returns the manifests of the sealed runs of a date by run id; damaged ones are left out."""
    manifests = {}
    for run_folder in run_index.folders(output, date):
        # Damage is reported only if the run itself is asked for.
        manifest = run_index.whole_manifest(run_folder)
        if manifest is not None:
            manifests[run_folder.run_id] = manifest
    return manifests


def _before(config: RollbackConfig, counted: str | None) -> str:
    """Returns the id of the once published run that was sealed last before the published one."""
    runs = sealed(config.output, config.date)
    if not runs and counted is None:
        raise run_index.nothing(config.output, config.date)
    if counted is None or counted not in runs:
        reason = "nothing is published" if counted is None else f"run {counted} has no manifest"
        raise OptionsError(f"{config.output}: {reason} for {config.date}; {_listed(config, runs)}")
    earlier = {
        run_id: _time(manifest)
        for run_id, manifest in runs.items()
        if _time(manifest) < _time(runs[counted])
        and once_published(run_index.find(config.output, config.date, run_id))
    }
    latest = [run_id for run_id, time in earlier.items() if time == max(earlier.values())]
    if len(latest) != 1:
        raise OptionsError(
            f"{config.output}: which run of {config.date} was replaced by {counted} cannot be "
            f"known; {_listed(config, runs)}"
        )
    return latest[0]


def once_published(run: RunFolder) -> bool:
    """Returns True if the run was published before.

    Publishing removes the tables of a run's units, and nothing else does.
    """
    tables = any(path.endswith(".parquet") for path in atomic.list_files(run.units))
    return not tables and bool(commit.listed_units(run))


def _refuse_missing(config: RollbackConfig, chosen: RunFolder) -> None:
    if run_index.read_manifest(chosen) is None:
        raise OptionsError(
            f"--to: {chosen.run_id} is no whole run of {config.date} in {config.output}; "
            f"{_listed(config)}"
        )


def _listed(config: RollbackConfig, runs: Mapping[str, Manifest] | None = None) -> str:
    """Lists, for a message, the run ids that `--to` accepts, latest first."""
    known = sealed(config.output, config.date) if runs is None else runs
    counted = publish.pointed(config.output, config.date)
    others = sorted(known.items(), key=lambda item: (_time(item[1]), item[0]), reverse=True)
    listed = [f"{run_id} of {manifest.created}" for run_id, manifest in others if run_id != counted]
    if not listed:
        return "there is no other whole run to go back to: score the date again"
    return f"name one with --to: {', '.join(listed)}"


def _time(manifest: Manifest) -> datetime.datetime:
    return datetime.datetime.fromisoformat(manifest.created)


def _summary(manifest: Manifest, counted: str | None) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in manifest.counts.items())
    outcome = f"{manifest.date}: run {manifest.run_id} of {manifest.created} counts ({counts})"
    if counted == manifest.run_id:
        return f"{outcome}, as before"
    return f"{outcome}, instead of {counted or 'none'}"
