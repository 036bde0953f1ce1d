"""Rollback: an earlier run is published again as a whole, and only the pointer changes."""

import dataclasses
from pathlib import Path

import pytest

from tests import scores
from tests.reliability.flaky_storage import FlakyStorage
from tests.scores import DATE, Work
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import gc, publish, rollback
from triad_ml.pipelines.publishing.config import GcConfig, RollbackConfig
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import GateError, LostRaceError, OptionsError, StorageError

WORKS = (Work([scores.scored("a", 1)], [scores.rejected("z", 2)]), Work([scores.scored("b", 3)]))
CHANGED = "is not what the run wrote (SHA-256)"
HOURS = {"first": 1, "second": 2, "third": 3}


def of(output: object, name: str) -> publish.RunFolder:
    return scores.run_folder(output, name=name)


def time_of(name: str) -> str:
    return f"2026-11-24T0{HOURS[name]}:00:00+00:00"


def made(output: object, name: str) -> publish.RunFolder:
    """Publishes a run that says it was sealed at an hour of its own."""
    run = of(output, name)
    manifest = scores.score(run, WORKS)
    dated = dataclasses.replace(manifest, created=time_of(name))
    atomic.put(run.manifest, dated.to_json())
    return run


def contents(output: Path) -> dict[str, bytes]:
    """All files but locks."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.name != atomic.LOCK
    }


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """One date with three published runs; the third counts."""
    for name in HOURS:
        made(tmp_path / "out", name)
    return tmp_path / "out"


@pytest.fixture(params=["local", "cloud"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same on a disk and in a bucket."""
    if request.param == "local":
        folder = str(tmp_path / "out")
    else:
        flaky: FlakyStorage = request.getfixturevalue("flaky")
        folder = f"{flaky.uri}/out"
    for name in HOURS:
        made(folder, name)
    return folder


def test_the_run_that_was_replaced_last_counts_again(place, capsys):
    second, third = of(place, "second"), of(place, "third")
    assert main.main(["rollback", "--output", place, "--date", DATE]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{DATE}: run {second.run_id} of {time_of('second')} counts (3 read, 2 scored, "
        f"1 rejected), instead of {third.run_id}",
        second.manifest,
    ]
    assert publish.current_id(place, DATE) == second.run_id
    assert publish.open_current(place, DATE) == tuple(
        second.path(f"scores/part-0000{part}.parquet") for part in (0, 1)
    )


def test_nothing_but_the_pointer_changes(output):
    before = contents(output)
    rollback.run(RollbackConfig(str(output), DATE))
    after = contents(output)
    assert {name for name in before if before[name] != after[name]} == {f"dt={DATE}/CURRENT"}
    assert before.keys() == after.keys()


def test_a_run_can_be_named(place):
    first = of(place, "first")
    rollback.run(RollbackConfig(place, DATE, first.run_id))
    assert publish.current_id(place, DATE) == first.run_id


def test_the_way_forward_again_has_to_be_named(output):
    """Else a second start of the same command would bring the bad run back."""
    rollback.run(RollbackConfig(str(output), DATE, of(output, "first").run_id))
    second, third = of(output, "second"), of(output, "third")
    with pytest.raises(OptionsError) as caught:
        rollback.run(RollbackConfig(str(output), DATE))
    assert str(caught.value) == (
        f"{output}: which run of {DATE} was replaced by {of(output, 'first').run_id} cannot be "
        f"known; name one with --to: {third.run_id} of {time_of('third')}, {second.run_id} of "
        f"{time_of('second')}"
    )
    rollback.run(RollbackConfig(str(output), DATE, third.run_id))
    assert publish.published(third)


def test_the_run_that_counts_can_be_named_too(output, capsys):
    third = of(output, "third")
    rollback.run(RollbackConfig(str(output), DATE, third.run_id))
    assert capsys.readouterr().out.endswith("1 rejected), as before\n")
    assert publish.published(third)


def test_runs_that_were_never_published_are_not_taken_unasked(output):
    """A gate or a race kept them from being published: their units still have their tables."""
    lost = of(output, "lost")
    scores.commit(lost, WORKS)
    manifest = publish.seal(lost, 2, publish.Gates(1.0), scores.SETTINGS, {})
    created = "2026-11-24T02:30:00+00:00"
    atomic.put(lost.manifest, dataclasses.replace(manifest, created=created).to_json())
    rollback.run(RollbackConfig(str(output), DATE))
    assert publish.current_id(str(output), DATE) == of(output, "second").run_id


def test_of_runs_of_one_second_none_is_guessed(output):
    first, second = of(output, "first"), of(output, "second")
    manifest = publish.Manifest.from_json(atomic.read_bytes(first.manifest))
    assert manifest is not None
    same = dataclasses.replace(manifest, created=time_of("second"))
    atomic.put(first.manifest, same.to_json())
    with pytest.raises(OptionsError, match="cannot be known; name one with --to: ") as caught:
        rollback.run(RollbackConfig(str(output), DATE))
    assert first.run_id in str(caught.value)
    assert second.run_id in str(caught.value)
    assert publish.published(of(output, "third"))


@pytest.mark.parametrize("damage", ["flipped", "missing", "longer"])
def test_a_run_with_a_damaged_file_is_refused_and_the_pointer_stays(output, damage, capsys):
    path = Path(of(output, "second").path("_rejected/part-00000.parquet"))
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content + b"x" if damage == "longer" else b"x" + content[1:])
    assert main.main(["rollback", "--output", str(output), "--date", DATE]) == GateError.exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"triad: {path}: {'is missing' if damage == 'missing' else CHANGED}; the pointer is "
        "unchanged: roll back to another run with --to, or start the triad score that made this "
        "one, which makes the file anew\n"
    )
    assert publish.published(of(output, "third"))


def test_a_run_that_is_not_there_is_refused_with_those_that_are(output):
    missing = "0" * 24
    with pytest.raises(OptionsError) as caught:
        rollback.run(RollbackConfig(str(output), DATE, missing))
    listed = ", ".join(f"{of(output, n).run_id} of {time_of(n)}" for n in ("second", "first"))
    assert str(caught.value) == (
        f"--to: {missing} is no whole run of {DATE} in {output}; name one with --to: {listed}"
    )
    assert not (output / f"dt={DATE}" / f"run={missing}").exists()


def test_a_run_that_was_never_finished_is_no_run_to_go_back_to(output):
    unfinished = of(output, "unfinished")
    scores.commit(unfinished, WORKS[:1])
    with pytest.raises(OptionsError, match="is no whole run of"):
        rollback.run(RollbackConfig(str(output), DATE, unfinished.run_id))


def test_where_there_is_no_other_run_the_line_says_so(tmp_path):
    made(tmp_path, "first")
    with pytest.raises(OptionsError, match="there is no other whole run to go back to: score"):
        rollback.run(RollbackConfig(str(tmp_path), DATE))
    with pytest.raises(OptionsError, match=f"name a date that is: {DATE}$"):
        rollback.run(RollbackConfig(str(tmp_path), "2026-11-25"))
    assert not (tmp_path / "dt=2026-11-25").exists()


def test_a_pointer_to_a_run_that_is_gone_is_mended_by_name(output):
    atomic.delete_tree(of(output, "third").folder)
    with pytest.raises(OptionsError, match="has no manifest for 2026-11-24; name one with --to"):
        rollback.run(RollbackConfig(str(output), DATE))
    rollback.run(RollbackConfig(str(output), DATE, of(output, "second").run_id))
    assert publish.published(of(output, "second"))


def test_a_damaged_pointer_is_written_over_only_with_the_run_that_is_asked_for(output):
    pointer = output / f"dt={DATE}" / "CURRENT"
    pointer.write_text("what is this\n")
    with pytest.raises(StorageError, match="names no run; write it anew with triad rollback --to"):
        rollback.run(RollbackConfig(str(output), DATE))
    assert pointer.read_text() == "what is this\n"
    second = of(output, "second").run_id
    rollback.run(RollbackConfig(str(output), DATE, second))
    assert pointer.read_text() == f"{second}\n"


def test_who_publishes_meanwhile_is_not_overwritten(flaky):
    """The night publishes between the look at the pointer and the flip."""
    place = f"{flaky.uri}/out"
    for name in HOURS:
        made(place, name)
    new = scores.run_folder(place, name="new")
    scores.commit(new, WORKS)
    publish.seal(new, 2, publish.Gates(1.0), scores.SETTINGS, {})

    def faults(request):
        if "part-00001" in request.path:  # while the files are compared
            flaky.write(f"out/dt={DATE}/CURRENT", f"{new.run_id}\n".encode())

    with flaky.faults(faults), pytest.raises(LostRaceError, match=f"run {new.run_id} was publ"):
        rollback.run(RollbackConfig(place, DATE))
    assert publish.current_id(place, DATE) == new.run_id


def test_gc_removes_the_run_that_was_rolled_back_from_and_keeps_the_one_that_counts(output):
    rollback.run(RollbackConfig(str(output), DATE))
    removed = gc.run(GcConfig(str(output), keep_days=0))
    assert sorted(removed.runs) == sorted(of(output, name).folder for name in ("first", "third"))
    assert publish.published(of(output, "second"))


@pytest.mark.parametrize("to", ["", "run=" + "0" * 24, "0" * 23, "A" * 24])
def test_what_is_no_run_id_is_refused(to):
    with pytest.raises(OptionsError, match="^--to: must be a run id of 24 hexadecimal digits"):
        RollbackConfig("scores", DATE, to)
