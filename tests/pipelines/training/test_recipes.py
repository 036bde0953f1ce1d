"""Recipes of a training: each wins where it should, resumes, and is served as one model."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model.layout import Layout
from triad_ml.model.recipe import choice
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.training import learning, recipes
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.errors import OptionsError

PAIR = ("image", "text")
Files = dict[str, list[str]]


def layout_of(
    recipe: str | None,
    modalities: Sequence[str] = PAIR,
    preset: str | None = None,
    **settings: Any,
) -> Layout:
    return features.layout(
        modalities,
        num_classes=2,
        model={
            "recipe": recipe,
            "preset": preset,
            "dropout": 0.0,
            "modality_dropout": 0.0,
            "dim": 32,
            "fusion": "concat",
        },
        **{"batch_size": 32, "auxiliary_weight": 0.0, "augment": False, **settings},
    )


def learned(layout: Layout, files: Files, folder: Path) -> learning.Learned:
    return learning.learn(files, layout, folder, "digest", None)


def weights(found: learning.Learned) -> list[np.ndarray]:
    return [np.asarray(one) for one in found.networks.scoring.get_weights()]


def test_the_network_wins_where_only_two_modalities_together_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "MOST_RECORDS", 0)
    layout = layout_of("auto", epochs=15, patience=15, learning_rate=1e-2)
    files = {
        split: features.write(tmp_path / split, layout, features.pairs(layout, count, seed, PAIR))
        for seed, (split, count) in enumerate({"train": 480, "eval": 80}.items())
    }
    found = learned(layout, files, tmp_path / "out")
    recipe = found.recipes["category"]
    assert (recipe.name, recipe.share) == ("network", 0.0)
    assert (recipe.measured, recipe.records) == ("the eval split", 80)
    assert recipe.figures["network"] > 0.9
    assert recipe.figures["linear"] < 0.7
    assert found.network is not None
    assert found.networks is found.network.networks


class TestOfTexts:
    """Texts with a word that tells the class, which a linear model finds at once."""

    @pytest.fixture(scope="class")
    def files(self, tmp_path_factory: pytest.TempPathFactory) -> Files:
        folder, layout = tmp_path_factory.mktemp("texts"), layout_of("auto", ["text"])
        counts = {"train": 60, "eval": 20}
        return {
            split: features.write(folder / split, layout, features.records(layout, count, seed))
            for seed, (split, count) in enumerate(counts.items())
        }

    @pytest.fixture(scope="class")
    def blend(self, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Any:
        folder = tmp_path_factory.mktemp("blend")
        return learned(layout_of("blend", ["text"]), files, folder), folder

    def test_linear_models_win_and_no_network_is_trained(self, files: Files, tmp_path: Path):
        found = learned(layout_of("auto", ["text"]), files, tmp_path)
        recipe = found.recipes["category"]
        assert (recipe.name, recipe.share) == ("linear", 1.0)
        assert found.network is None
        assert recipe.losses["linear"] < recipe.losses["blend"] < recipe.losses["network"]
        assert (recipe.measured, recipe.records) == ("2 folds of the training split", 60)
        assert not (tmp_path / "checkpoints").exists()

    def test_the_network_of_a_blend_is_that_of_a_training_without_recipe(
        self, files: Files, blend: Any, tmp_path: Path
    ) -> None:
        alone = learned(layout_of("network", ["text"]), files, tmp_path)
        assert alone.recipes == {}
        network = blend[0].network.model.get_weights()
        for one, other in zip(weights(alone), network, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_an_interrupted_choice_ends_as_one_that_was_not(
        self, files: Files, blend: Any, tmp_path: Path
    ) -> None:
        found, folder = blend
        kept = shutil.copytree(folder, tmp_path / "kept")
        shutil.rmtree(kept / "checkpoints")  # killed in the second epoch of the second fold
        (kept / "folds" / "part-1.tfrecord.gz").write_bytes(b"half a fi")
        for epoch in ("epoch-00002", "epoch-00003"):
            shutil.rmtree(kept / "folds" / "1" / "checkpoints" / epoch, ignore_errors=True)
        again = learned(layout_of("blend", ["text"]), files, kept)
        assert again.recipes == found.recipes
        for one, other in zip(weights(again), weights(found), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_the_preset_best_averages_the_networks_of_all_folds(
        self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recipes, "MANY_FOLDS", 3)
        monkeypatch.setattr(choice, "CANDIDATES", {"auto": (choice.NETWORK,)})
        layout = layout_of(None, ["text"], preset="best", epochs=2)
        found = learned(layout, files, tmp_path)
        assert found.recipes["category"].measured == "3 folds of the training split"
        assert found.network is not None
        members = len(weights(found)) / len(found.network.model.get_weights())
        assert members == 4
        again = learned(layout, files, tmp_path)
        for one, other in zip(weights(again), weights(found), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_the_preset_fast_trains_linear_models_alone(self, files: Files, tmp_path: Path) -> None:
        found = learned(layout_of(None, ["text"], preset="fast"), files, tmp_path)
        assert (found.recipes["category"].name, found.network) == ("linear", None)


def test_linear_models_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    layout, old = layout_of("linear", ["text"]), str(tmp_path / "old.tfrecord.gz")
    with tf.io.TFRecordWriter(old, "GZIP") as writer:
        for record in features.records(layout, 4):
            example = tf.train.Example.FromString(features.serialize(record, layout))
            del example.features.feature["group"]  # as an earlier version wrote it
            writer.write(example.SerializeToString())
    with pytest.raises(OptionsError, match="model.recipe: linear: no task has a linear model"):
        learned(layout, {"train": [old]}, tmp_path / "out")


@pytest.fixture(scope="module")
def blend(prepared: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The blend of linear models with the mean of three networks."""
    folder = tmp_path_factory.mktemp("blend")
    spec = (generated.parents[1] / "spec.yaml").read_text()
    (folder / "spec.yaml").write_text(spec.replace("recipe: network", "preset: best"))
    output = folder / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "MANY_FOLDS", 2)
        patch.setattr(choice, "CANDIDATES", {**choice.CANDIDATES, "auto": (choice.BLEND,)})
        training_run.run(TrainConfig(str(prepared), str(output), spec=str(folder / "spec.yaml")))
    return output


@pytest.mark.parametrize("name", ["linear", "blend"])
def test_the_model_says_what_predicts_it_and_passes_parity(
    name: str, generated: Path, request: pytest.FixtureRequest
) -> None:
    model: Path = request.getfixturevalue(name)
    evaluation = json.loads((model / "evaluation.json").read_text())
    recipe = evaluation["recipes"]["category"]
    assert recipe["name"] == name
    about = json.loads((model / "triad.json").read_text())
    assert about["recipes"] == {"category": recipe["share"]}
    assert (about["training"]["epochs"], "history.csv" in about["told"]) == {
        "linear": (0, False),
        "blend": (2, True),
    }[name]
    arguments = ["--model", str(model), "--input", str(generated), "--tolerance", "0"]
    assert main.main(["parity", *arguments]) == 0


def test_explanations_add_up_to_the_scores(blend: Path, generated: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    settings = ScoreConfig(str(blend), (str(generated),), str(output), "2026-11-24", explain=True)
    scoring_run.run(settings)
    rows = [
        row
        for path in publish.open_current(str(output), "2026-11-24")
        for row in formats.read(path).to_pylist()
    ]
    assert any(len(row["modalities_used"]) < 3 for row in rows)
    for row in rows:
        said = row["category"]["explanation"]
        total = said["baseline"] + sum(said[name] for name in features.ALL)
        assert abs(total - row["category"]["score"]) < 1e-5
        for name in set(features.ALL) - set(row["modalities_used"]):
            assert said[name] == 0
