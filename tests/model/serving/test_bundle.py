"""Model bundles: which ones open, and the messages that refuse the others."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import canonical
from triad_ml.model.serving import bundle
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.spec.spec import digest_of

CLASSES = {"kind": ["fan", "pump"], "marks": ["new", "old", "red"]}
SAVED = ("fingerprint.pb", "saved_model.pb", "variables/variables.index")
Change = Callable[[dict[str, Any]], object]


def digests(folder: Path, batch_size: int = 32) -> dict[str, str]:
    model = bundle.model_digest(bundle.file_digests(folder), batch_size)
    return {"model": model, "transform": "f" * 64}


def write_parts(folder: Path, spec_digest: str) -> None:
    parts = bundle.parts(spec_digest, CLASSES, "f" * 64)
    (folder / bundle.PARTS).parent.mkdir(exist_ok=True)
    (folder / bundle.PARTS).write_text(json.dumps(parts))


def write_about(folder: Path, **changes: Any) -> None:
    about = {
        "spec": json.loads(canonical.SPEC.to_json()),
        "classes": CLASSES,
        "batch_size": 32,
        "digests": digests(folder),
        "files": bundle.file_digests(folder),
        "told": bundle.told_digests(folder),
        "versions": {"tensorflow": "2.21.0"},
    }
    (folder / bundle.ABOUT).write_text(json.dumps(about | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder whose files hold a few bytes each."""
    model = tmp_path / "model"
    for path in (bundle.ANALYSIS, *(f"{bundle.SAVED_MODEL}/{name}" for name in SAVED)):
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes(f"what stands in {path}".encode())
    write_parts(model, canonical.SPEC.digest())
    write_about(model)
    return model


def test_a_folder_says_what_the_model_is(folder: Path) -> None:
    model = bundle.load(folder)
    assert model.spec == canonical.SPEC
    assert model.classes == {"kind": ("fan", "pump"), "marks": ("new", "old", "red")}
    assert model.batch_size == 32
    assert model.model_digest == digests(folder)["model"]
    assert model.transform_digest == "f" * 64
    assert model.saved_model == folder / "saved_model"


def test_a_model_of_before_a_key_was_known_is_as_good_as_it_was(folder: Path) -> None:
    older = json.loads(canonical.SPEC.to_json())
    del older["training"]["task_weights"]
    write_parts(folder, digest_of(older))
    write_about(folder, spec=older)
    model = bundle.load(folder)
    assert model.spec == canonical.SPEC  # the key has the value that it had without a name
    assert model.spec_digest == digest_of(older) != canonical.SPEC.digest()


def test_a_moved_folder_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "model")
    assert bundle.load(moved).model_digest == bundle.load(str(folder)).model_digest


def test_each_file_and_the_batch_size_decide_the_digest(folder: Path) -> None:
    seen = {digests(folder)["model"], digests(folder, batch_size=64)["model"]}
    for path in (bundle.ANALYSIS, *(f"{bundle.SAVED_MODEL}/{name}" for name in SAVED)):
        (folder / path).write_bytes(b"other")
        seen.add(digests(folder)["model"])
    assert len(seen) == 6


def test_notes_beside_a_model_change_nothing(folder: Path) -> None:
    (folder / "notes.txt").write_text("trained on a Tuesday")
    assert bundle.load(folder).batch_size == 32


@pytest.mark.parametrize("name", bundle.TOLD)
def test_what_tells_about_the_training_scores_on_and_is_not_read_once_it_changed(
    folder: Path, name: str
) -> None:
    (folder / name).write_text('{"accuracy": 0.61}')
    write_about(folder)
    assert bundle.load(folder).read(name) == b'{"accuracy": 0.61}'
    (folder / name).write_text('{"accuracy": 0.91}')
    model = bundle.load(folder)
    with pytest.raises(GateError) as refused:
        model.read(name)
    assert str(refused.value) == (
        f"{folder}/{name}: is not the file that training wrote; "
        "take the whole folder from its source again"
    )
    (folder / name).unlink()
    with pytest.raises(GateError, match=f"^{folder}/{name}: is missing; take the whole folder"):
        model.read(name)


def without(key: str) -> Change:
    return lambda about: about.pop(key)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"files": {}}',
        '{"files": {}, "digests": {}}',
        "\ufeff{}",
    ],
)
def test_a_folder_without_a_whole_description_is_no_model(folder: Path, content: str) -> None:
    if content is None:
        (folder / bundle.ABOUT).unlink()
    else:
        (folder / bundle.ABOUT).write_text(content, encoding="utf-8")
    with pytest.raises(OptionsError) as refused:
        bundle.load(folder)
    assert str(refused.value) == (
        f"{folder}: is no model folder (triad.json is missing or broken); "
        "name one that `triad train --output` wrote"
    )
    assert refused.value.exit_code == 12


@pytest.mark.parametrize(
    "change",
    [
        *map(without, ("spec", "classes", "batch_size", "digests", "files", "told", "versions")),
        lambda about: about["digests"].pop("transform"),
        lambda about: about.update(digests=None),
        lambda about: about.update(files=[]),
        lambda about: about.update(told=[]),
        lambda about: about.update(batch_size="32"),
        lambda about: about.update(batch_size=0),
        lambda about: about.update(batch_size=10**9),
        lambda about: about.update(spec=[]),
        lambda about: about.update(classes=[]),
        lambda about: about.update(classes={"category": "birds"}),
        lambda about: about.update(classes={"category": [1]}),
        lambda about: about.update(versions=None),
        lambda about: about["digests"].update(model=1),
        lambda about: about["files"].update({"analysis.json": None}),
        lambda about: about.update(classes=["cat"]),
        lambda about: about.update(classes={"category": 3}),
    ],
)
def test_a_description_that_lacks_a_part_is_no_model(folder: Path, change: Change) -> None:
    about = json.loads((folder / bundle.ABOUT).read_text())
    change(about)
    (folder / bundle.ABOUT).write_text(json.dumps(about))
    with pytest.raises(OptionsError, match="is no model folder"):
        bundle.load(folder)


@pytest.mark.parametrize("name", [bundle.ABOUT, bundle.ANALYSIS, bundle.EVALUATION])
def test_nothing_waits_for_a_pipe_in_a_model_folder(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises((OptionsError, GateError)):
        bundle.load(folder).read(name)


@pytest.mark.parametrize("content", ["[]", "7", "null", "{", "[" * 100_000])
def test_parts_that_are_none_are_broken(folder: Path, content: str) -> None:
    (folder / bundle.PARTS).write_text(content)
    write_about(folder)
    with pytest.raises(GateError) as refused:
        bundle.load(folder)
    assert f"{folder}/saved_model/" in str(refused.value) or f"{folder}/triad" in str(refused.value)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch])
def test_what_is_no_folder_of_a_model_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "nothing")
    with pytest.raises(OptionsError, match=f"^{tmp_path}/nothing: is no model folder"):
        bundle.load(tmp_path / "nothing")


@pytest.mark.parametrize("path", ["saved_model/saved_model.pb", "analysis.json"])
def test_one_flipped_bit_is_refused(folder: Path, path: str) -> None:
    content = bytearray((folder / path).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / path).write_bytes(content)
    with pytest.raises(GateError) as refused:
        bundle.load(folder)
    assert str(refused.value) == (
        f"{folder}/{path}: is not the file that was exported; "
        "take the whole folder from its source again"
    )
    assert refused.value.exit_code == 10


@pytest.mark.parametrize("path", ["saved_model/variables/variables.index", "analysis.json"])
def test_a_missing_file_is_named(folder: Path, path: str) -> None:
    (folder / path).unlink()
    with pytest.raises(GateError) as refused:
        bundle.load(folder)
    assert str(refused.value) == (
        f"{folder}/{path}: is missing; take the whole folder from its source again"
    )


def test_a_file_too_many_in_the_saved_model_is_refused(folder: Path) -> None:
    (folder / "saved_model/assets").mkdir()
    (folder / "saved_model/assets/words.txt").write_text("fan\n")
    with pytest.raises(GateError, match="assets/words.txt: is not the file that was exported"):
        bundle.load(folder)


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": 64}, {"digests": {"model": "0" * 64, "transform": "f" * 64}}],
)
def test_a_description_that_contradicts_the_digest_is_refused(
    folder: Path, changes: dict[str, Any]
) -> None:
    write_about(folder, **changes)
    with pytest.raises(GateError) as refused:
        bundle.load(folder)
    assert str(refused.value) == (
        f"{folder}/triad.json: was changed after the export; "
        "take the whole folder from its source again"
    )


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("spec", lambda about: about["spec"]["training"].update(seed=7)),
        ("classes", lambda about: about["classes"].update(kind=["pump", "fan"])),
        ("transform", lambda about: about["digests"].update(transform="e" * 64)),
        ("thresholds", lambda about: about.update(thresholds={"marks": [0.25, 0.5]})),
    ],
)
def test_a_description_of_another_training_is_refused(
    folder: Path, part: str, change: Change
) -> None:
    about = json.loads((folder / bundle.ABOUT).read_text())
    change(about)
    (folder / bundle.ABOUT).write_text(json.dumps(about))
    with pytest.raises(GateError) as refused:
        bundle.load(folder)
    assert str(refused.value) == (
        f"{folder}/triad.json: its {part} is not that of the SavedModel beside it: they come from "
        "two trainings; take the whole folder from its source again"
    )


def test_a_saved_model_that_does_not_say_what_it_was_made_from_is_refused(folder: Path) -> None:
    (folder / bundle.PARTS).unlink()
    write_about(folder)
    with pytest.raises(GateError, match=f"^{folder}/{bundle.PARTS}: is missing"):
        bundle.load(folder)


@pytest.mark.parametrize(
    "path", ["triad.json", "analysis.json", "saved_model", "saved_model/saved_model.pb"]
)
def test_a_link_is_refused_even_to_the_same_bytes(folder: Path, tmp_path: Path, path: str) -> None:
    (folder / path).rename(tmp_path / "elsewhere")
    (folder / path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GateError) as refused:
        bundle.load(folder)
    assert str(refused.value) == (
        f"{folder}/{path}: is a link, and a model is in one folder; "
        "take the whole folder from its source again"
    )


def test_a_linked_folder_in_the_saved_model_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "saved_model/variables").rename(tmp_path / "elsewhere")
    (folder / "saved_model/variables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GateError, match="saved_model/variables: is a link"):
        bundle.load(folder)
