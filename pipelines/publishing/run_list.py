"""List of the runs of an output, as a table or JSON, with their state and counts."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

import rich.console
import rich.table
import rich.text

from triad_ml.pipelines.publishing import commit, parts, publish, rollback, run_index
from triad_ml.pipelines.publishing.config import RunsConfig
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RUN_ID, RunFolder, date_folder
from triad_ml.pipelines.runtime import logs
from triad_ml.pipelines.runtime.names import POINTER
from triad_ml.transforms.errors import DamagedError

State = Literal["published", "replaced", "unfinished", "damaged"]
_STYLES: dict[State, str] = {"published": "bold", "damaged": "red"}


@dataclasses.dataclass(frozen=True)
class Listed:
    """One run of the list; values from the manifest are None if that is missing or damaged.

    Attributes:
        date: Date of the scores.
        run_id: Id of the run.
        state: `published`: named by `CURRENT`; `replaced`: published before; `unfinished`: never
            published, the same `triad score` completes it; `damaged`: files are missing or changed.
        counts: True if `CURRENT` names the run.
        created: Time of sealing, UTC, ISO 8601.
        model: First 12 digits of the model's digest.
        format: Format of the files.
        read: Number of records read.
        scored: Number of records scored.
        rejected: Number of rejected records.
        units: Number of units of work: of a sealed run all, otherwise those with a manifest.
        folder: Path of the run folder; of the pointer if it is damaged.
    """

    date: str
    run_id: str
    state: State
    counts: bool
    created: str | None
    model: str | None
    format: str | None
    read: int | None
    scored: int | None
    rejected: int | None
    units: int
    folder: str


def run(config: RunsConfig) -> list[Listed]:
    """Lists the runs of each date, ascending by date, the latest run of a date first.

    Raises:
        OptionsError: There is no run.
        StorageError: The folder cannot be read.
    """
    dates = [config.date] if config.date else run_index.dates(config.output)
    listed = [row for date in dates for row in _of_date(config.output, date, config.verify)]
    if not listed:
        raise run_index.nothing(config.output, config.date)
    return listed


def show(listed: Sequence[Listed]) -> None:
    """Prints a table, in plain text if standard output is no terminal."""
    names = ["date", "state", "run", "created", "model", "format", "read", "scored", "rejected"]
    rows = [[_text(getattr(run, _FIELDS.get(name, name))) for name in names] for run in listed]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        for row in (names, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    table = rich.table.Table(box=None, pad_edge=False)
    for name in names:
        right = name in ("read", "scored", "rejected")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for run, row in zip(listed, rows, strict=True):
        table.add_row(*map(rich.text.Text, row), style=_STYLES.get(run.state))
    rich.console.Console().print(table)


def to_json(listed: Sequence[Listed]) -> str:
    """Encodes the list as a JSON array of objects."""
    return json.dumps([dataclasses.asdict(run) for run in listed], indent=1)


_FIELDS = {"run": "run_id"}
_NOTHING = (None, None, None, None, None, None)  # Entries that only a manifest has.


def _text(value: object) -> str:
    return "-" if value is None else logs.printable(str(value))


def _of_date(output: str, date: str, verify: bool) -> Iterator[Listed]:
    named = publish.pointed(output, date)
    listed = [_listed(folder, named, verify) for folder in run_index.folders(output, date)]
    yield from sorted(listed, key=lambda run: (run.created or "", run.run_id), reverse=True)
    if named is not None and not any(run.counts for run in listed):
        path = f"{date_folder(output, date)}/{POINTER}"
        if RUN_ID.fullmatch(named):
            path = RunFolder(output, date, named).folder
        yield Listed(date, named[:24], "damaged", True, *_NOTHING, 0, path)


def _listed(folder: RunFolder, named: str | None, verify: bool) -> Listed:
    counts = folder.run_id == named
    try:
        manifest = run_index.read_manifest(folder)
    except DamagedError:
        return _without_manifest(folder, "damaged", counts)
    if manifest is None:
        return _without_manifest(folder, "damaged" if counts else "unfinished", counts)
    return Listed(
        folder.date,
        folder.run_id,
        _state(folder, manifest, counts, verify),
        counts,
        manifest.created,
        manifest.digests.get("model", "")[:12],
        manifest.format,
        manifest.counts["read"],
        manifest.counts["scored"],
        manifest.counts["rejected"],
        manifest.units,
        folder.folder,
    )


def _without_manifest(folder: RunFolder, state: State, counts: bool) -> Listed:
    units = len(commit.listed_units(folder))
    return Listed(folder.date, folder.run_id, state, counts, *_NOTHING, units, folder.folder)


def _state(folder: RunFolder, manifest: Manifest, counts: bool, verify: bool) -> State:
    damaged_parts = parts.broken if verify else parts.of_other_size
    if damaged_parts(folder, manifest):
        return "damaged"
    if counts:
        return "published"
    return "replaced" if rollback.once_published(folder) else "unfinished"
