"""Provenance: parts of two trainings never score together; `explain-digest` names the part."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triad_ml.model.serving import bundle
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.storage import json_files
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import digest_diff
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.graph import digest as graph_digest

PARTS = (
    "analysis.json",
    "saved_model/assets",
    "saved_model/assets.extra",
    "saved_model/fingerprint.pb",
    "saved_model/saved_model.pb",
    "saved_model/variables",
    "triad.json",
)
MIXES = [set(some) for n in range(len(PARTS) + 1) for some in itertools.combinations(PARTS, n)]


@pytest.fixture(scope="module")
def other(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second training on the same data, from another seed."""
    output = tmp_path_factory.mktemp("other") / "model"
    training_run.run(TrainConfig(str(prepared), str(output), epochs=1, seed=1))
    return output


@pytest.fixture(scope="module")
def scored(trained: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that `trained` scored."""
    output = tmp_path_factory.mktemp("scored")
    folder = shutil.copytree(generated.parent, tmp_path_factory.mktemp("few") / "records")
    few = Path(folder) / generated.name  # beside the media
    few.write_text("".join(generated.read_text().splitlines(keepends=True)[:5]))
    scoring_run.run(ScoreConfig(str(trained), (str(few),), str(output), "2026-11-24"))
    (run,) = (output / "dt=2026-11-24").glob("_runs/run=*")
    return run


def put(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def contents(folder: Path) -> dict[str, bytes]:
    paths = [folder / part for part in PARTS]
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_no_mix_of_two_trainings_is_a_model(own_model: Path, other: Path, tmp_path: Path) -> None:
    wholes = [contents(own_model), contents(other)]
    refused = 0
    for number, mix in enumerate(MIXES):
        folder = Path(shutil.copytree(own_model, tmp_path / str(number)))
        for part in mix:
            put(other / part, folder / part)
        mixed = contents(folder)
        if mixed in wholes:
            bundle.load(folder)
            continue
        whole = wholes["triad.json" in mix]
        strange = {path for path in mixed | whole if mixed.get(path) != whole.get(path)}
        with pytest.raises(GateError) as error:
            bundle.load(folder)
        path = str(error.value).partition(":")[0].removeprefix(f"{folder}/")
        assert path in strange
        refused += 1
    assert len(MIXES) == 128
    assert refused == 120  # both have the same vocabularies: 8 mixes are one or the other


def test_score_refuses_a_mixed_folder_and_publishes_nothing(
    own_model: Path,
    other: Path,
    generated: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(other / "saved_model/variables", own_model / "saved_model/variables")
    command = ["score", "--model", str(own_model), "--input", str(generated)]
    command += ["--output", str(tmp_path / "scores"), "--date", "2026-11-24"]
    assert main.main(command) == 10
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triad: {own_model}/saved_model/variables/variables.data-00000")
    assert not (tmp_path / "scores").exists()


def test_a_swapped_vocabulary_is_refused(own_model: Path) -> None:
    path = own_model / "saved_model/assets/text_vocabulary"
    first, second, *rest = path.read_text().split("\n")
    path.write_text("\n".join([second, first, *rest]))
    with pytest.raises(GateError, match=f"^{path}: is not the file that was exported"):
        bundle.load(own_model)


def test_each_flipped_byte_of_each_file_of_a_model_is_refused(own_model: Path) -> None:
    pinned = bundle.load(own_model).about["files"]
    assert len(pinned) > 6
    for name in pinned:
        path = own_model / name
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) * 2 // 3] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(GateError, match=f"^{path}: is not the file that was exported"):
            bundle.load(own_model)
        path.write_bytes(content)
    bundle.load(own_model)


def exchange_words(folder: Path) -> str:
    path = folder / "transform/transform_fn/assets/text_vocabulary"
    first, second, *rest = path.read_text().split("\n")
    path.write_text("\n".join([second, first, *rest]))
    return "transform/transform_fn/assets/text_vocabulary: is not what preprocessing wrote"


def change_analysis(folder: Path) -> str:
    (folder / "analysis.json").write_text("{}")
    return "analysis.json: is not what preprocessing wrote"


def take_graph_away(folder: Path) -> str:
    (folder / "transform/transform_fn/saved_model.pb").unlink()
    return "transform/transform_fn/saved_model.pb: is missing"


def add_file(folder: Path) -> str:
    (folder / "transform/transform_fn/assets.extra").mkdir()
    (folder / "transform/transform_fn/assets.extra/x").touch()
    return "transform/transform_fn/assets.extra/x: is not what preprocessing wrote"


@pytest.mark.parametrize(
    "change", [exchange_words, change_analysis, take_graph_away, add_file], ids=lambda f: f.__name__
)
def test_training_refuses_the_transform_of_another_preprocessing(
    prepared: Path, tmp_path: Path, change: Callable[[Path], str]
) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "data"))
    said = change(folder)
    with pytest.raises(GateError) as refused:
        training_run.run(TrainConfig(str(folder), str(tmp_path / "model")))
    assert str(refused.value) == (
        f"{folder}/{said}; its parts do not belong together: "
        "run triad preprocess with a new --output"
    )
    assert not (tmp_path / "model").exists()


def test_a_manifest_of_an_older_version_says_what_it_lacks(prepared: Path, tmp_path: Path) -> None:
    manifest = json_files.read(prepared / dataset.MANIFEST)
    del manifest["files"]
    json_files.write(tmp_path / dataset.MANIFEST, manifest)
    with pytest.raises(OptionsError, match="manifest.json: lacks files: it is of an older version"):
        dataset.read(tmp_path)


def test_the_transform_digest_is_that_of_its_parts(prepared: Path) -> None:
    manifest = dataset.read(prepared).manifest
    parts = {name: manifest["digests"][name] for name in ("features", "analysis", "graph")}
    assert graph_digest.joined(parts) == manifest["transform_digest"]
    assert manifest["digests"]["code"] == hashing.code_digest()


def test_the_saved_model_says_what_it_was_made_from(trained: Path, prepared: Path) -> None:
    manifest = dataset.read(prepared).manifest
    assert json_files.read(trained / bundle.PARTS) == {
        "spec": manifest["spec_digest"],
        "transform": manifest["transform_digest"],
        "classes": manifest["classes"],
    }


def differing(left: Path, right: Path) -> dict[str, list[tuple[str, str | None, str | None]]]:
    compared = digest_diff.compare(digest_diff.read(left), digest_diff.read(right))
    return {name: [tuple(one) for one in found] for name, found in compared.items() if found}


def test_two_trainings_differ_in_what_was_changed(trained: Path, other: Path) -> None:
    found = differing(trained, other)
    assert list(found) == ["model", "spec", "weights"]
    assert found["spec"] == [("training.epochs", "2", "1"), ("training.seed", "0", "1")]
    compared = digest_diff.compare(digest_diff.read(trained), digest_diff.read(other))
    assert list(compared) == [
        *("model", "transform", "spec", "classes", "vocabularies and moments", "graph", "weights"),
        *("code", "code of preprocessing", "versions", "inputs"),
    ]


def edit(folder: Path, target: Path, change: Callable[[Any], object]) -> Path:
    copied = Path(shutil.copytree(folder, target))
    manifest = json_files.read(copied / dataset.MANIFEST)
    change(manifest)
    json_files.write(copied / dataset.MANIFEST, manifest)
    return copied


def test_the_key_of_the_spec_and_the_vocabulary_are_named(prepared: Path, tmp_path: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["spec"]["modalities"]["image"]["size"] = 64
        manifest["versions"]["numpy"] = "3.0"
        del manifest["inputs"][0]

    changed = edit(prepared, tmp_path / "changed", change)
    analysis = json_files.read(changed / "analysis.json")
    analysis["vocabularies"]["text_vocabulary"].reverse()
    analysis["moments"]["audio"][0][0] += 1
    json_files.write(changed / "analysis.json", analysis)
    found = differing(prepared, changed)
    assert found["spec"] == [("modalities.image.size", "32", "64")]
    assert {one[0] for one in found["vocabularies and moments"]} == {
        "vocabularies.text_vocabulary",
        "moments.audio",
    }
    assert [one[0] for one in found["versions"]] == ["numpy"]
    ((uri, size, nothing),) = found["inputs"]
    assert uri.endswith("records.jsonl")
    assert size.endswith(" bytes")
    assert nothing is None
    assert set(found) == {"spec", "vocabularies and moments", "versions", "inputs"}


def test_a_model_is_compared_with_its_data_and_a_run_with_its_model(
    trained: Path, other: Path, prepared: Path, scored: Path
) -> None:
    assert differing(trained, prepared) == {}
    assert list(differing(prepared, other)) == ["spec"]
    assert differing(scored, trained) == {}
    assert list(differing(scored, other)) == ["model"]
    assert differing(scored / "manifest.json", trained / "triad.json") == {}


def test_the_command_prints_a_table_and_exits_by_it(
    trained: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["explain-digest", str(trained), str(trained)]) == 0
    assert "differs" not in capsys.readouterr().out
    assert main.main(["explain-digest", str(trained), str(other)]) == 10
    printed = capsys.readouterr().out
    rows = [" ".join(line.replace("│", " ").split()) for line in printed.splitlines()]
    assert "spec differs training.epochs: 2 -> 1" in rows
    assert "training.seed: 0 -> 1" in rows
    assert "graph equal" in rows
    digest = {folder: bundle.load(folder).model_digest[:12] for folder in (trained, other)}
    assert f"model differs model: {digest[trained]} -> {digest[other]}" in rows


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"run_id": 1}'])
def test_what_holds_no_provenance_is_one_line(
    trained: Path, tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert main.main(["explain-digest", str(trained), str(tmp_path)]) == OptionsError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert "is no model, preprocessing or run, or its manifest is damaged" in line


def test_a_model_without_its_analysis_is_no_model(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "triad.json", tmp_path)
    with pytest.raises(OptionsError, match="is no model, preprocessing or run"):
        digest_diff.explain(tmp_path, trained)
