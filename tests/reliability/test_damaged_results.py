"""Damaged results: reading returns whole figures or one error line, and scoring repairs them."""

import json
import logging
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import scores
from tests.reliability.nights import DATE, Night, seen, statuses, write_corpus
from tests.scores import Work
from triad_ml.pipelines.publishing import export, gc, publish, rollback, run_index, run_list
from triad_ml.pipelines.publishing.config import ExportConfig, GcConfig, RollbackConfig, RunsConfig
from triad_ml.pipelines.report import score_survey
from triad_ml.pipelines.scoring import carry_over
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.verification.digest_diff import explain
from triad_ml.transforms.errors import GateError, StorageError, TriadError

DAMAGES = 200
NAMES = ("CURRENT", "manifest.json", "scores/part-00000.parquet", "_rejected/part-00000.parquet")
THINGS = ("a pipe", "a folder", "/dev/zero", "nothing", "itself", "a copy")
"""What may lie in the place of a file; the last four are links."""

WORKS = (
    Work(
        [scores.scored("a", 10, extra={"n": 1}), scores.scored("b", 20, extra={"n": 2})],
        [scores.rejected("z", 40)],
    ),
    Work([scores.scored("b", 3, unit=1), scores.scored("c", 5, unit=1, extra={"n": 0.5})]),
    Work([scores.scored("a", 0, unit=2, extra={"n": 3}), scores.scored("d", 1, unit=2)]),
)


def contents(output: Path) -> dict[str, bytes]:
    """All files but locks; of a manifest what does not say when it was made."""
    found = {}
    for path in sorted(output.rglob("*")):
        if path.is_file() and path.name != atomic.LOCK:
            content = path.read_bytes()
            if path.name == "manifest.json":
                content = json.dumps({**json.loads(content), "created": "", "digest": ""}).encode()
            found[str(path.relative_to(output))] = content
    return found


def without_units(found: dict[str, bytes]) -> dict[str, bytes]:
    """What readers read; of units that were published nobody asks any more."""
    return {name: content for name, content in found.items() if "/_units/" not in name}


def damage(path: Path, chance: random.Random) -> str:
    """Flips a bit of a file, cuts it off, adds to it, or removes it; says which."""
    content = bytearray(path.read_bytes())
    kind = chance.choice(["flipped", "flipped", "flipped", "cut", "longer", "removed"])
    if kind == "removed":
        path.unlink()
        return kind
    if kind == "flipped":
        bit = chance.randrange(8 * len(content))
        content[bit // 8] ^= 1 << (bit % 8)
    elif kind == "cut":
        content = content[: chance.randrange(len(content))]
    else:
        content += b"x"
    path.write_bytes(content)
    return kind


def surveyed(output: Path) -> object:
    found = publish.current_run(str(output), DATE)
    return found and score_survey.survey(*found, frozenset({"a", "b", "c", "d"}))


def exported(output: Path) -> object:
    file = output.parent / "exported.csv"
    export.run(ExportConfig(str(output), str(file), DATE, overwrite=True))
    return file.read_bytes()


def carried(output: Path) -> object:
    found = publish.current_run(str(output), DATE)
    if found is None:
        return None
    run, manifest = found
    columns = tuple(scores.COLUMNS.items())
    carry_over.Index(carry_over.Earlier(run, manifest.scores, columns, "m"))
    return None


def rolled_back(output: Path) -> object:
    run = scores.run_folder(output)
    return rollback.run(RollbackConfig(str(output), DATE, run.run_id)).counts


def explained(output: Path) -> object:
    folder = run_index.find(str(output), DATE, scores.run_folder(output).run_id).folder
    return explain(folder, folder)


def collected(output: Path) -> object:
    return gc.run(GcConfig(str(output), keep_days=0, dry_run=True))


def outcome(reader: Callable[[Path], object], output: Path) -> tuple[object, str]:
    """What a reader gives, or what it says instead."""
    try:
        return reader(output), ""
    except TriadError as error:
        return None, str(error)


READERS: tuple[Callable[[Path], object], ...] = (
    surveyed,
    exported,
    rolled_back,
    explained,
    collected,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("published") / "out"
    scores.score(scores.run_folder(output), WORKS)
    return output


def test_each_reader_gives_the_figures_or_one_line_with_the_file_and_scoring_mends_all(
    published: Path, tmp_path: Path
) -> None:
    """The whole folder: pointer, manifest, parts, units; each damage is one of 200 seeded ones."""
    whole = contents(published)
    expected = {reader: reader(published) for reader in READERS}
    exact = publish.current(str(published), DATE)
    chance = random.Random(20)
    refused = 0
    for number in range(DAMAGES):
        output = Path(shutil.copytree(published, tmp_path / str(number)))
        names = sorted(name for name in whole if "/scores/" in name or "/_rejected/" in name)
        names += [name for name in whole if name.endswith(("CURRENT", "manifest.json"))] * 3
        names += [name for name in whole if "/_units/" in name]
        name = chance.choice(names)
        what = f"{number}: {name} {damage(output / name, chance)}"
        pointer = (output / f"dt={DATE}" / "CURRENT").exists()
        for reader in READERS:
            found, error = outcome(reader, output)
            if error:
                refused += 1
                assert "\n" not in error, what
                assert str(output) in error, (what, error)
                assert "remove " not in error, (what, error)
            elif pointer or reader in (rolled_back, explained):
                assert found == expected[reader] or reader is collected, what
        run_list.run(RunsConfig(str(output), verify=True))
        mended = scores.score(scores.run_folder(output), WORKS)
        assert mended.counts == exact.counts if exact else None, what
        assert without_units(contents(output)) == without_units(whole), what
        shutil.rmtree(output)
    assert refused > DAMAGES


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_is_missing_to_each_reader_and_scoring_puts_the_file_there(
    published: Path, tmp_path: Path, name: str, thing: str
) -> None:
    whole = contents(published)
    output = Path(shutil.copytree(published, tmp_path / "out"))
    (path,) = (one for one in output.rglob("*") if str(one).endswith(f"/{name}"))
    (copy := tmp_path / "copy").write_bytes(path.read_bytes())
    path.unlink()
    if thing == "a pipe":
        os.mkfifo(path)
    elif thing == "a folder":
        path.mkdir()
    else:  # a link
        path.symlink_to({"itself": path, "a copy": copy}.get(thing, thing))
    for reader in (surveyed, exported, explained, collected):
        found, error = outcome(reader, output)
        assert "\n" not in error
        assert not error or str(output) in error
        assert thing != "a copy" or found == reader(published) or reader is collected
    (listed,) = run_list.run(RunsConfig(str(output), verify=True))
    lost = "replaced" if name == "CURRENT" else "damaged"
    assert listed.state == ("published" if thing == "a copy" else lost)
    if thing == "a folder":
        with pytest.raises(StorageError, match=rf"^{path}: is a directory; a folder is where a "):
            scores.score(scores.run_folder(output), WORKS)
        path.rmdir()
    mended = scores.score(scores.run_folder(output), WORKS)
    assert mended.counts == publish.current(str(published), DATE).counts  # type: ignore[union-attr]
    assert without_units(contents(output)) == without_units(whole)
    assert thing == "a copy" or not path.is_symlink()


def test_carry_over_takes_nothing_from_a_damaged_run(published: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(published, tmp_path / "out"))
    (part,) = output.rglob("scores/part-00001.parquet")
    part.unlink()
    with pytest.raises(TriadError, match=rf"^{part}: is missing; score once without --carry-over"):
        carried(output)


def test_a_part_that_cannot_be_made_again_as_it_was_is_refused_and_nothing_changes(
    published: Path, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(published, tmp_path / "out"))
    (part,) = output.rglob("scores/part-00001.parquet")
    part.write_bytes(b"")
    before = contents(output)
    other = (WORKS[0], Work([scores.scored("b", 3, unit=1), scores.scored("x", 5, unit=1)]))
    with pytest.raises(GateError, match=rf"^{part}: was damaged, and its records give other sc"):
        scores.score(scores.run_folder(output), (*other, WORKS[2]))
    assert without_units(contents(output)) == without_units(before)


@pytest.mark.parametrize("content", ["[]", "null", '{"files": 3}', "[" * 100_000, '{"a": NaN}'])
def test_a_manifest_of_another_shape_is_refused_by_each_reader(
    published: Path, tmp_path: Path, content: str
) -> None:
    output = Path(shutil.copytree(published, tmp_path / "out"))
    manifest = Path(scores.run_folder(output).manifest)
    manifest.write_text(content)
    for reader in READERS:
        with pytest.raises(TriadError, match=rf"^{manifest}: [^\n]+$"):
            reader(output)


def test_runs_of_before_the_hidden_folder_count_as_they_did(
    published: Path, tmp_path: Path
) -> None:
    """Earlier versions wrote `run=ID`, `rejected` and `units` beside `CURRENT`, and no digest."""
    output = Path(shutil.copytree(published, tmp_path / "out"))
    new = scores.run_folder(output)
    old = publish.RunFolder(new.output, new.date, new.run_id, visible=True)
    shutil.move(new.folder, old.folder)
    shutil.rmtree(output / f"dt={DATE}" / "_runs")
    for name in ("rejected", "units"):
        shutil.move(f"{old.folder}/_{name}", f"{old.folder}/{name}")
    said = json.loads(Path(old.manifest).read_bytes())
    del said["digest"]
    for file in said["files"]:
        file["path"] = file["path"].replace("_rejected/", "rejected/")
    Path(old.manifest).write_text(json.dumps(said))
    for reader in READERS:
        assert reader(output) == reader(published) or reader is collected
    assert [one.state for one in run_list.run(RunsConfig(str(output)))] == ["published"]
    assert collected(output) == gc.Removed()


# --- the commands


def test_score_scores_only_the_units_whose_files_are_gone_and_says_what_it_mended(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    night = Night(str(trained), str(write_corpus(tmp_path / "in")), str(tmp_path / "out"))
    scoring_run.run(night.config)
    whole = seen(night.output)
    units = len(list(Path(night.run.units).glob("*.json")))
    before = statuses(night.output)
    gone = [Path(night.run.path(name)) for name in ("scores/part-00001.parquet",)]
    gone.append(Path(night.run.path("_rejected/part-00001.parquet")))
    for path in gone:
        path.unlink()
    with pytest.raises(GateError, match=rf"^{gone[0]}: is missing; the pointer is unchanged"):
        rollback.run(RollbackConfig(night.output, DATE, night.run.run_id))
    with caplog.at_level(logging.INFO):
        scoring_run.run(night.config)
    assert seen(night.output) == whole
    assert f"{night.run.folder}: 1 of {units} units to score" in caplog.messages
    for path in gone:
        assert f"{path}: was damaged, and is again what the run wrote" in caplog.messages
    after = statuses(night.output)
    parts = [path for path in before if "/part-" in path and Path(path) not in gone]
    assert len(parts) == 2 * units - 2
    assert {path: after[path] for path in parts} == {path: before[path] for path in parts}
    rollback.run(RollbackConfig(night.output, DATE, night.run.run_id))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        scoring_run.run(night.config)
    assert caplog.messages[-1].endswith(": already published, nothing to do")
