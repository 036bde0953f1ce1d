"""Garbage collection of an output: removes unpublished runs and leftovers of killed processes.

It removes, in each date of one output:

- runs that `CURRENT` does not name, if neither they nor `CURRENT` changed for the days to keep
  (a reader may still read them) and no process works in them;
- tables of a published run's units, left by a process that was killed right after publishing;
- temporary files of dead processes;
- the folder of a date in which nothing is left.

A local process holds locks while it scores, and they end with it. Cloud Storage has no locks: a run
in which nothing was written for a day counts as dead, so at least one day is kept there. Files with
names that Triad does not write stay, and so does a date whose pointer cannot be trusted.
"""

import contextlib
import dataclasses
import json
import logging
import re
import time
from collections.abc import Sequence

from triad_ml.pipelines.publishing import parts, publish, run_index
from triad_ml.pipelines.publishing.config import GcConfig
from triad_ml.pipelines.publishing.run_folder import HIDDEN, RunFolder, date_folder
from triad_ml.pipelines.runtime import logs
from triad_ml.pipelines.runtime.names import POINTER, RUN_ID
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.storage.backend import StoredFile
from triad_ml.transforms.errors import StorageError

_log = logging.getLogger(__name__)

_DAY = 24 * 3600
_OURS = re.compile(
    r"manifest\.json|statistics\.json|\.lock"
    r"|_?units/\d{5,}(\.json|\.scores\.parquet|\.rejected\.parquet)"
    r"|(scores|_?rejected)/part-\d{5,}\.(parquet|jsonl)"
)
_RUN = re.compile(rf"(?P<hidden>{HIDDEN}/)?run=(?P<run_id>{RUN_ID.pattern})/.")
_UNIT_TABLE = re.compile(r"_?units/\d{5,}\.(scores|rejected)\.parquet")


@dataclasses.dataclass
class Removed:
    """Result of a garbage collection; in a dry run, what it would remove.

    Attributes:
        runs: Folders of removed runs.
        tables: Removed tables of the units of published runs.
        temporary: Removed temporary files of dead processes.
        dates: Removed folders of dates in which nothing was left.
        kept: Folders of unpublished runs that stay, with the reason.
        bytes: Size of all removed files together.
    """

    runs: list[str] = dataclasses.field(default_factory=list)
    tables: list[str] = dataclasses.field(default_factory=list)
    temporary: list[str] = dataclasses.field(default_factory=list)
    dates: list[str] = dataclasses.field(default_factory=list)
    kept: dict[str, str] = dataclasses.field(default_factory=dict)
    bytes: int = 0

    def to_json(self) -> str:
        """Encodes the result as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))  # Escaped, since a name may be no UTF-8.


def run(config: GcConfig) -> Removed:
    """Collects the garbage of an output and prints each file and folder that it removes.

    It can be killed at any moment: the manifest of a run is removed first, so that the files that
    are left are never taken for a whole run.

    Raises:
        OptionsError: The output has no date: it is no output of `triad score`.
        StorageError: A file cannot be removed, or the pointer of a date cannot be trusted; all
            other dates are collected.
    """
    dates = run_index.dates(config.output)
    if not dates:
        raise run_index.nothing(config.output)
    collector = _Collector(config, time.time())
    problems = []
    for date in dates:
        try:
            collector.collect(date)
        except StorageError as error:
            problems.append(str(error))
    if problems:
        raise StorageError("\n".join(problems))
    removed = collector.removed
    for folder, why in removed.kept.items():
        _log.info("%s: is kept: %s", folder, why)
    verb = "would be removed" if config.dry_run else "removed"
    _log.info("runs %s: %d, of %d bytes in all", verb, len(removed.runs), removed.bytes)
    return removed


class _Collector:
    def __init__(self, config: GcConfig, now: float) -> None:
        self._config = config
        self._oldest_kept = now - config.keep_days * _DAY
        self.removed = Removed()

    def collect(self, date: str) -> None:
        """Collects one date; processes that seal or publish in it wait meanwhile."""
        folder = date_folder(self._config.output, date)
        with contextlib.nullcontext() if self._config.dry_run else atomic.locked(folder):
            self._collect(date, folder)

    def _collect(self, date: str, folder: str) -> None:
        published = _whole(self._config.output, date)
        flipped = 0.0
        runs: dict[RunFolder, list[StoredFile]] = {}
        for file in atomic.tree(folder):
            in_run = _RUN.match(file.path.removeprefix(f"{folder}/"))
            if atomic.delete_stale(file.path, self._config.dry_run):
                self._say(self.removed.temporary, file.path, file.bytes)
            elif file.path == f"{folder}/{POINTER}":
                flipped = file.changed
            elif in_run:
                visible = not in_run["hidden"]
                run = RunFolder(self._config.output, date, in_run["run_id"], visible)
                runs.setdefault(run, []).append(file)
        for run, files in sorted(runs.items(), key=lambda pair: pair[0].folder):
            if run != published:
                self._collect_run(run, files, flipped)
                continue
            for file in files:
                if _UNIT_TABLE.fullmatch(_inner(run, file)):
                    self._delete(file.path)
                    self._say(self.removed.tables, file.path, file.bytes)
        if not self._config.dry_run and atomic.delete_empty(folder):
            self._say(self.removed.dates, folder, 0)

    def _collect_run(self, run: RunFolder, files: Sequence[StoredFile], flipped: float) -> None:
        foreign = [file.path for file in files if not _OURS.fullmatch(_inner(run, file))]
        if foreign:
            self.removed.kept[run.folder] = f"holds {foreign[0]}, which triad does not write"
            return
        changed = max(flipped, *(file.changed for file in files))
        if self._config.keep_days and changed > self._oldest_kept:
            self.removed.kept[run.folder] = "it or CURRENT changed in the days to keep"
            return
        with atomic.unused(run.folder, self._config.dry_run) as free:
            if not free:
                self.removed.kept[run.folder] = "a process works in it"
                return
            # The manifest is first: if a kill interrupts this, the rest is not taken for a run.
            for path in (run.manifest, *(file.path for file in files)):
                self._delete(path)
            if not self._config.dry_run:
                atomic.delete_empty(run.folder)
        self._say(self.removed.runs, run.folder, sum(file.bytes for file in files))

    def _delete(self, path: str) -> None:
        if not self._config.dry_run:
            atomic.delete(path)

    def _say(self, removed: list[str], path: str, size: int) -> None:
        removed.append(path)
        self.removed.bytes += size
        done = "would remove" if self._config.dry_run else "removed"
        print(f"{done} {logs.printable(path)} ({size} bytes)")


def _whole(output: str, date: str) -> RunFolder | None:
    """Returns the folder of the published run of a date, or None.

    A damaged run is refused, since the runs that it replaced may be needed then.

    Raises:
        DamagedError: The pointer cannot be trusted, or a part of the run is missing or damaged.
    """
    current = publish.current_run(output, date)
    if current is None:
        return None
    run, manifest = current
    parts.refuse_broken(run, manifest)
    return run


def _inner(run: RunFolder, file: StoredFile) -> str:
    """Returns the path of a file relative to its run folder."""
    return file.path.removeprefix(f"{run.folder}/")
