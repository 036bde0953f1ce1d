"""Held-out records of benchmarks: whole groups, the same for the same seed."""

import os
from pathlib import Path

from benchmarks import seeds
from benchmarks.held_out import held_out, splits

ROWS = [{"id": f"r{n}", "group": f"g{n // 3}" if n < 90 else None} for n in range(100)]


def groups_of(ids: set[str]) -> set[str]:
    return {row["group"] or row["id"] for row in ROWS if row["id"] in ids}


def test_whole_groups_are_held_out_until_there_are_enough() -> None:
    found = held_out(ROWS, 0, 20)
    assert 20 <= len(found) < 20 + 3
    assert not groups_of(found) & groups_of({row["id"] for row in ROWS} - found)
    assert held_out(ROWS[::-1], 0, 20) == found
    assert held_out(ROWS, 1, 20) != found


def test_each_record_is_of_one_split_and_each_group_too() -> None:
    named = splits(ROWS, 0, 20, 10)
    assert set(named) == {row["id"] for row in ROWS}
    parts = {name: {i for i, one in named.items() if one == name} for name in named.values()}
    assert set(parts) == {"train", "eval", "test"}
    assert parts["test"] == held_out(ROWS, 0, 20)
    assert 10 <= len(parts["eval"]) < 10 + 3
    assert sum(len(groups_of(one)) for one in parts.values()) == len(groups_of(set(named)))


def test_records_that_are_there_already_are_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    seeds.write_records(path, ROWS[:2])
    os.utime(path, (1, 1))
    seeds.write_records(path, ROWS[:2])
    assert path.stat().st_mtime == 1
    seeds.write_records(path, ROWS[:1])
    assert path.read_text() == '{"id": "r0", "group": "g0"}\n'
