"""Windows of event time on Prism: rows out of order, late, or a year late; none is lost."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing import test_stream
from apache_beam.transforms.window import TimestampedValue

from tests.scores import SETTINGS, rejected, scored
from triad_ml.pipelines.runners import prism
from triad_ml.pipelines.scoring.score import Scores
from triad_ml.pipelines.streaming.folder.windowed_sink import Files, WriteWindows
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables.keys import Key
from triad_ml.transforms.records.values import Rejected, Scored

START = 1_700_000_040
"""A time in seconds at which a window of a minute begins: 22:14:00."""

FIRST, SECOND = "window=20231114T221400Z", "window=20231114T221500Z"


def pair(row: Scored | Rejected, second: int) -> tuple[Key, Scored | Rejected]:
    position = dataclasses.replace(row.position, event_time=1000 * (START + second))
    return Key(row.id, "m" * 64), dataclasses.replace(row, position=position)


def good(name: str, second: int) -> TimestampedValue:
    return TimestampedValue(pair(scored(name, second), second), START + second)


def bad(name: str, second: int) -> TimestampedValue:
    return TimestampedValue(pair(rejected(name, second), second), START + second)


def kinds(rows: Any) -> Scores:
    """Scored and rejected rows apart, as `Score` gives them."""
    return Scores(
        rows | "Good" >> beam.Filter(lambda row: isinstance(row[1], Scored)),
        rows | "Bad" >> beam.Filter(lambda row: isinstance(row[1], Rejected)),
    )


@pytest.fixture
def write(endpoint: str, tmp_path: Path) -> Callable[..., Path]:
    """Writes what a stream gives, and says where."""

    def run(stream: test_stream.TestStream, **changes: Any) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        with beam.Pipeline(options=prism.beam_options(endpoint)) as root:
            files = Files(str(folder), SETTINGS, **changes)
            _ = kinds(root | stream) | WriteWindows(files)
        return folder

    return run


def found(folder: Path, kind: str = "scores") -> dict[str, list[list[str]]]:
    """By window, the ids in each of its files."""
    windows: dict[str, list[list[str]]] = {}
    for path in sorted((folder / kind).glob("*/*")):
        ids = formats.read(str(path))["id"].to_pylist()
        windows.setdefault(path.parent.name, []).append(ids)
    return {window: sorted(files) for window, files in windows.items()}


def test_rows_out_of_order_are_in_the_file_of_their_window_in_the_order_of_positions(write):
    stream = test_stream.TestStream().advance_watermark_to(START)
    stream.add_elements([good("c", 59), good("d", 60), bad("x", 30)])
    stream.add_elements([good("b", 1), good("a", 0)])
    folder = write(stream.advance_watermark_to_infinity())
    assert found(folder) == {FIRST: [["a", "b", "c"]], SECOND: [["d"]]}
    assert found(folder, "rejected") == {FIRST: [["x"]]}


def test_late_rows_make_further_files_and_none_is_too_late(write):
    stream = test_stream.TestStream().advance_watermark_to(START)
    stream.add_elements([good("a", 1), good("b", 70)])
    stream.advance_watermark_to(START + 61)
    stream.add_elements([good("late", 2), bad("late too", 3)])
    stream.advance_watermark_to(START + 86_400 * 365)
    stream.add_elements([good("a year late", 4), bad("a year late too", 71)])
    folder = write(stream.advance_watermark_to_infinity())
    assert found(folder) == {FIRST: [["a"], ["a year late"], ["late"]], SECOND: [["b"]]}
    assert found(folder, "rejected") == {FIRST: [["late too"]], SECOND: [["a year late too"]]}


def test_the_same_rows_in_another_order_give_the_same_files_to_the_byte(write):
    rows = [good("a", 1), good("b", 2), bad("x", 3), good("c", 61)]

    def contents(order: list[TimestampedValue]) -> dict[str, bytes]:
        stream = test_stream.TestStream().advance_watermark_to(START).add_elements(order)
        folder = write(stream.advance_watermark_to_infinity())
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    given = contents(rows)
    assert len(given) == 3
    assert contents(rows[::-1]) == given
    assert contents([*rows, rows[0]]) == given  # one that was delivered twice


def test_shards_part_a_window_by_id_and_a_full_file_does_not_wait_for_its_end(write):
    stream = test_stream.TestStream().advance_watermark_to(START)
    names = [f"r{number}" for number in range(12)]
    stream.add_elements([good(name, place) for place, name in enumerate(names)])
    folder = write(stream.advance_watermark_to_infinity(), shards=3, largest=4)
    files = sorted((folder / "scores" / FIRST).iterdir())
    by_shard: dict[str, set[str]] = {}
    for path in files:
        ids = formats.read(str(path))["id"].to_pylist()
        assert len(ids) <= 4
        by_shard.setdefault(path.name.partition("-")[0], set()).update(ids)
    assert set(by_shard) == {"00000", "00001", "00002"}
    assert sorted(name for ids in by_shard.values() for name in ids) == sorted(names)
