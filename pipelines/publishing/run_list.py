"""The runs of dates as a list: which one counts, and what each of them is."""

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
    """One run.

    Attributes:
        date: That it is of.
        run_id: Names it.
        state: `published` counts; `replaced` counted once; `unfinished` was never published, the
            same `triad score` completes it; `damaged` has files that are missing or changed.
        counts: Whether `CURRENT` names it.
        created: When it was sealed, UTC; None where that is not known.
        model: First digits of the model's digest.
        format: Of its files.
        read: Records, as are `scored` and `rejected`.
        units: Units of work that are complete.
        folder: Where it is.
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
    """Lists runs, by date and the latest first.

    Raises:
        OptionsError: There is no run.
        StorageError: The folder cannot be read.
    """
    dates = [config.date] if config.date else run_index.dates(config.output)
    found = [one for date in dates for one in _of_date(config.output, date, config.verify)]
    if not found:
        raise run_index.nothing(config.output, config.date)
    return found


def show(listed: Sequence[Listed]) -> None:
    """Prints a table: of plain text where nobody looks at a terminal."""
    names = ["date", "state", "run", "created", "model", "format", "read", "scored", "rejected"]
    rows = [[_text(getattr(one, _FIELDS.get(name, name))) for name in names] for one in listed]
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
    for one, row in zip(listed, rows, strict=True):
        table.add_row(*map(rich.text.Text, row), style=_STYLES.get(one.state))
    rich.console.Console().print(table)


def to_json(listed: Sequence[Listed]) -> str:
    """A list of objects."""
    return json.dumps([dataclasses.asdict(one) for one in listed], indent=1)


_FIELDS = {"run": "run_id"}
_NOTHING = (None, None, None, None, None, None)  # what only a manifest says


def _text(value: object) -> str:
    return "-" if value is None else logs.printable(str(value))


def _of_date(output: str, date: str, verify: bool) -> Iterator[Listed]:
    named = publish.pointed(output, date)
    listed = [_listed(one, named, verify) for one in run_index.folders(output, date)]
    yield from sorted(listed, key=lambda one: (one.created or "", one.run_id), reverse=True)
    if named is not None and not any(one.counts for one in listed):
        place = f"{date_folder(output, date)}/{POINTER}"
        if RUN_ID.fullmatch(named):
            place = RunFolder(output, date, named).folder
        yield Listed(date, named[:24], "damaged", True, *_NOTHING, 0, place)


def _listed(one: RunFolder, named: str | None, verify: bool) -> Listed:
    counts = one.run_id == named
    try:
        manifest = run_index.read_manifest(one)
    except DamagedError:
        return _without_manifest(one, "damaged", counts)
    if manifest is None:
        return _without_manifest(one, "damaged" if counts else "unfinished", counts)
    return Listed(
        one.date,
        one.run_id,
        _state(one, manifest, counts, verify),
        counts,
        manifest.created,
        manifest.digests.get("model", "")[:12],
        manifest.format,
        manifest.counts["read"],
        manifest.counts["scored"],
        manifest.counts["rejected"],
        manifest.units,
        one.folder,
    )


def _without_manifest(one: RunFolder, state: State, counts: bool) -> Listed:
    units = len(commit.listed_units(one))
    return Listed(one.date, one.run_id, state, counts, *_NOTHING, units, one.folder)


def _state(one: RunFolder, manifest: Manifest, counts: bool, verify: bool) -> State:
    look = parts.broken if verify else parts.of_other_size
    if look(one, manifest):
        return "damaged"
    if counts:
        return "published"
    return "replaced" if rollback.once_published(one) else "unfinished"
