"""Journal of a stream: it survives a kill in the middle of any line."""

import itertools
from pathlib import Path

import pytest

from triad_ml.pipelines.streaming import journal as journal_
from triad_ml.pipelines.streaming.interfaces import Batch, Part
from triad_ml.pipelines.streaming.journal import Journal, opened
from triad_ml.transforms.errors import OptionsError, StorageError

ONE = (Part("a.jsonl", 0, 10, "v1", 7), Part("b", 0, 2, "v2", 8, {"image": "b.jpg"}))
TWO = (Part("c.jsonl", 10, 20, "v1", 9),)


def test_what_was_begun_and_done_is_remembered(tmp_path):
    journal = Journal(str(tmp_path))
    assert (journal.pending, journal.done, journal.last) == (None, [], 0)
    journal.finish(journal.begin(ONE), {"read": 3})
    journal.begin(TWO)
    again = Journal(str(tmp_path))
    assert (again.pending, again.done, again.last) == (Batch(2, TWO), list(ONE), 2)
    again.finish(Batch(2, TWO), {"read": 1})
    assert Journal(str(tmp_path)).done == [*ONE, *TWO]


def test_a_line_cut_short_anywhere_counts_for_nothing_and_is_written_anew(tmp_path):
    journal = Journal(str(tmp_path))
    journal.finish(journal.begin(ONE), {"read": 3})
    path = tmp_path / "journal.jsonl"
    before = path.read_bytes()
    journal.begin(TWO)
    whole = path.read_bytes()
    for length in range(len(before), len(whole)):
        path.write_bytes(whole[:length])
        again = Journal(str(tmp_path))
        assert (again.pending, again.done, again.last) == (None, list(ONE), 1)
        again.begin(TWO)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"done":7}', b'{"begin":1,"parts":[{"a":1}]}'])
def test_a_damaged_line_is_refused_with_its_number(tmp_path, line):
    journal = Journal(str(tmp_path))
    journal.finish(journal.begin(ONE), {"read": 3})
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(StorageError) as caught:
        Journal(str(tmp_path))
    assert str(caught.value) == (
        f"{path}: line 3 is damaged; restore the file or choose a new sink"
    )


def parts(count: int) -> list[Part]:
    return [Part(f"{n}.jsonl", 0, 10, "v", n) for n in range(count)]


def test_a_journal_that_doubled_is_written_anew_with_what_must_be_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_, "COMPACT_BYTES", 2000)
    path = tmp_path / "journal.jsonl"
    journal = Journal(str(tmp_path))
    sizes = []
    for number, part in enumerate(parts(400), start=1):
        journal.finish(journal.begin((part,)), {"read": 1})
        journal.compact(lambda done: done[-3:])
        sizes.append(path.stat().st_size)
        again = Journal(str(tmp_path))
        assert (again.last, again.pending, again.done[-1]) == (number, None, part)
        assert again.done == journal.done
    assert max(sizes) < 2400  # it is not written anew at every batch, and does not grow
    assert sum(after < before for before, after in itertools.pairwise(sizes)) < 40


def test_what_must_all_be_remembered_is_written_anew_only_when_it_has_doubled(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(journal_, "COMPACT_BYTES", 0)
    journal = Journal(str(tmp_path))
    asked = []
    for part in parts(600):
        journal.finish(journal.begin((part,)), {"read": 1})
        journal.compact(lambda done: asked.append(len(done)) or done)
    assert len(asked) < 15
    assert Journal(str(tmp_path)).done == parts(600)


def test_a_batch_that_is_begun_outlives_compaction(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_, "COMPACT_BYTES", 0)
    journal = Journal(str(tmp_path))
    journal.finish(journal.begin(ONE), {"read": 3})
    journal.begin(TWO, "d1ge57")
    journal.compact(lambda done: done)
    first = b'{"last":2,"model":"d1ge57"}\n{"kept":'
    assert (tmp_path / "journal.jsonl").read_bytes().startswith(first)
    again = Journal(str(tmp_path))
    assert (again.pending, again.done, again.last) == (Batch(2, TWO, "d1ge57"), list(ONE), 2)
    assert again.model == "d1ge57"
    again.finish(Batch(2, TWO, "d1ge57"), {"read": 1})
    again.compact(lambda done: done)
    assert Journal(str(tmp_path)).model == "d1ge57"


def test_a_compacted_journal_that_a_kill_left_half_is_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_, "COMPACT_BYTES", 0)
    with opened(str(tmp_path / "_triad")) as journal:
        journal.finish(journal.begin(ONE), {"read": 3})
    half = tmp_path / "_triad" / f"journal.jsonl.tmp-{'0' * 32}"
    half.write_bytes(b'{"last":')
    with opened(str(tmp_path / "_triad")) as again:
        assert (again.done, again.last) == (list(ONE), 1)
        assert not half.exists()


def test_one_process_at_a_time_has_it_open(tmp_path):
    folder = str(tmp_path / "s" / "_triad")
    with opened(folder), pytest.raises(OptionsError, match="another stream writes here"):
        with opened(folder):
            pass
    with opened(folder) as journal:
        assert journal.last == 0


def test_names_depend_on_parts_and_model_alone():
    assert Batch(1, ONE).digest("m") == Batch(2, ONE).digest("m")
    assert len({Batch(1, parts).digest(m) for parts in (ONE, TWO) for m in "mn"}) == 4


def test_opening_removes_what_a_kill_left_beside_the_sinks_files(tmp_path: Path):
    stale = tmp_path / "s" / "scores" / "window=x" / f"a.parquet.tmp-{'0' * 32}"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    with opened(str(tmp_path / "s" / "_triad"), str(tmp_path / "s")):
        assert not stale.exists()
