"""Garbage collection: removes what no pointer names, and nothing that may still be wanted.

What is removed, in the dates of one output:

- runs that `CURRENT` does not name, once neither they nor `CURRENT` changed for the days to keep
  (a reader may still be at them) and no process works in them;
- the units' tables of a published run, which a process that was killed right after the flip left;
- temporary files of dead processes;
- the folder of a date in which nothing is left.

A local process holds locks while it scores, and they end with it. On Cloud Storage there are none:
a run in which nothing was written for a day is taken for dead, so at least one day is kept there.
What has no name of ours stays, and so does a date whose pointer cannot be trusted.
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
from triad_ml.pipelines.publishing.run_folder import HIDDEN, RUN_ID, RunFolder, date_folder
from triad_ml.pipelines.runtime import logs
from triad_ml.pipelines.runtime.names import POINTER
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.storage.backend import StoredFile
from triad_ml.transforms.errors import StorageError

_log = logging.getLogger(__name__)

_DAY = 24 * 3600
_OURS = re.compile(
    r"manifest\.json|\.lock"
    r"|_?units/\d{5,}(\.json|\.scores\.parquet|\.rejected\.parquet)"
    r"|(scores|_?rejected)/part-\d{5,}\.(parquet|jsonl)"
)
_RUN = re.compile(rf"(?P<hidden>{HIDDEN}/)?run=(?P<run_id>{RUN_ID.pattern})/.")
_UNIT_TABLE = re.compile(r"_?units/\d{5,}\.(scores|rejected)\.parquet")


@dataclasses.dataclass
class Removed:
    """What was removed, or with a dry run would be.

    Attributes:
        runs: Folders of runs.
        tables: Tables of the units of published runs.
        temporary: Temporary files of dead processes.
        dates: Folders of dates in which nothing was left.
        kept: Runs that are not published, and what keeps them.
        bytes: Of all files together.
    """

    runs: list[str] = dataclasses.field(default_factory=list)
    tables: list[str] = dataclasses.field(default_factory=list)
    temporary: list[str] = dataclasses.field(default_factory=list)
    dates: list[str] = dataclasses.field(default_factory=list)
    kept: dict[str, str] = dataclasses.field(default_factory=dict)
    bytes: int = 0

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(dataclasses.asdict(self))  # a name may be no UTF-8


def run(config: GcConfig) -> Removed:
    """Collects the garbage of an output and prints each thing it removes.

    It can be killed at any moment: a run loses its manifest first, so that what is left of it is
    never taken for a whole one.

    Raises:
        OptionsError: The output has no date: it is no output of `triad score`.
        StorageError: A file cannot be removed, or the pointer of a date cannot be trusted; all
            other dates are done.
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
        """Does one date; whoever seals or publishes in it waits meanwhile."""
        folder = date_folder(self._config.output, date)
        with contextlib.nullcontext() if self._config.dry_run else atomic.locked(folder):
            self._collect(date, folder)

    def _collect(self, date: str, folder: str) -> None:
        published = _whole(self._config.output, date)
        flipped = 0.0
        runs: dict[RunFolder, list[StoredFile]] = {}
        for file in atomic.tree(folder):
            place = _RUN.match(file.path.removeprefix(f"{folder}/"))
            if atomic.delete_stale(file.path, self._config.dry_run):
                self._say(self.removed.temporary, file.path, file.bytes)
            elif file.path == f"{folder}/{POINTER}":
                flipped = file.changed
            elif place:
                visible = not place["hidden"]
                one = RunFolder(self._config.output, date, place["run_id"], visible)
                runs.setdefault(one, []).append(file)
        for one, files in sorted(runs.items(), key=lambda pair: pair[0].folder):
            if one != published:
                self._collect_run(one, files, flipped)
                continue
            for file in files:
                if _UNIT_TABLE.fullmatch(_inner(one, file)):
                    self._delete(file.path)
                    self._say(self.removed.tables, file.path, file.bytes)
        if not self._config.dry_run and atomic.delete_empty(folder):
            self._say(self.removed.dates, folder, 0)

    def _collect_run(self, one: RunFolder, files: Sequence[StoredFile], flipped: float) -> None:
        foreign = [file.path for file in files if not _OURS.fullmatch(_inner(one, file))]
        if foreign:
            self.removed.kept[one.folder] = f"holds {foreign[0]}, which triad does not write"
            return
        changed = max(flipped, *(file.changed for file in files))
        if self._config.keep_days and changed > self._oldest_kept:
            self.removed.kept[one.folder] = "it or CURRENT changed in the days to keep"
            return
        with atomic.unused(one.folder, self._config.dry_run) as free:
            if not free:
                self.removed.kept[one.folder] = "a process works in it"
                return
            # Without its manifest, what a kill leaves of the run is never taken for a whole one.
            for path in (one.manifest, *(file.path for file in files)):
                self._delete(path)
            if not self._config.dry_run:
                atomic.delete_empty(one.folder)
        self._say(self.removed.runs, one.folder, sum(file.bytes for file in files))

    def _delete(self, path: str) -> None:
        if not self._config.dry_run:
            atomic.delete(path)

    def _say(self, removed: list[str], path: str, size: int) -> None:
        removed.append(path)
        self.removed.bytes += size
        done = "would remove" if self._config.dry_run else "removed"
        print(f"{done} {logs.printable(path)} ({size} bytes)")


def _whole(output: str, date: str) -> RunFolder | None:
    """The run that counts; what it replaced may be wanted where it is damaged.

    Raises:
        DamagedError: The pointer cannot be trusted, or a part of the run is missing or damaged.
    """
    found = publish.current_run(output, date)
    if found is None:
        return None
    run, manifest = found
    parts.refuse_broken(run, manifest)
    return run


def _inner(one: RunFolder, file: StoredFile) -> str:
    return file.path.removeprefix(f"{one.folder}/")
