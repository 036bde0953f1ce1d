"""Release of a model beside a released one: no slice of held-out records may be worse."""

import collections
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from tests.once import made_once
from triad_ml.model.evaluation.paired import Change
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.storage import json_files
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import golden_drift, labelled, release, slice_check
from triad_ml.pipelines.verification.config import ReleaseConfig
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.hashing import file_digest
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import RawRecord

UNDEFINED = Change(60, float("nan"), 0.0, float("nan"))
Row = dict[str, Any]
Asked = Callable[..., ReleaseConfig]


def shuffle(data: Path, modality: str) -> None:
    """Gives each record of prepared data the features of one modality of another record."""
    manifest = json.loads((data / "manifest.json").read_text())
    rng = np.random.default_rng(0)
    for files in manifest["splits"].values():
        for file in files:
            path = data / file["path"]
            contents = list(tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator())
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for content, other in zip(contents, rng.permutation(len(contents)), strict=True):
                    example = tf.train.Example.FromString(content)
                    others = tf.train.Example.FromString(contents[other]).features.feature
                    for name in others:
                        if name.startswith(modality):
                            example.features.feature[name].CopyFrom(others[name])
                    writer.write(example.SerializeToString())
            file |= {"sha256": file_digest(path), "bytes": path.stat().st_size}
    json_files.write(data / "manifest.json", manifest)


@pytest.fixture(scope="module")
def models(prepared: Path, linear: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models `good` and `shuffled`, which was trained with shuffled audio.

    Both are without the evaluation of their trainings, whose test splits have 15 records.
    """

    def make(folder: Path) -> None:
        shutil.copytree(prepared, folder / "data")
        shuffle(folder / "data", "audio")
        spec, output = str(linear.parent / "spec.yaml"), str(folder / "models" / "shuffled")
        training_run.run(TrainConfig(str(folder / "data"), output, spec=spec))
        shutil.copytree(linear, folder / "models" / "good")
        for name in ("good", "shuffled"):
            (folder / "models" / name / bundle.EVALUATION).unlink()

    shared = made_once(tmp_path_factory, "shuffled", make) / "models"
    return Path(shutil.copytree(shared, tmp_path_factory.mktemp("released") / "models"))


@pytest.fixture
def released(models: Path) -> Path:
    """The folder, with `good` as the released model."""
    (models / "CURRENT").write_text("good\n")
    return models


@pytest.fixture(scope="module")
def rows(generated: Path) -> list[Row]:
    """Records that have all modalities and a label."""
    lines = [json.loads(line) for line in generated.read_text().splitlines()]
    return [one for one in lines if all(one.get(name) for name in ("image", "audio", "text"))]


def without(row: Row, *modalities: str) -> Row:
    return {key: value for key, value in row.items() if key not in modalities}


def repeated(rows: list[Row], count: int, **more: Any) -> list[Row]:
    """Repeats rows under ids of their own."""
    chosen = (rows[index % len(rows)] for index in range(count))
    return [{**one, **more, "id": f"{index} of {count}"} for index, one in enumerate(chosen)]


@pytest.fixture
def asked(models: Path, generated: Path, tmp_path: Path) -> Asked:
    """Returns a function that makes the settings of a release with held-out records."""

    def make(name: str, held_out: list[Row], **more: Any) -> ReleaseConfig:
        path, roots = tmp_path / "holdout.jsonl", (str(generated.parent),)
        records.write_lines(path, held_out)
        model = str(models / name)
        return ReleaseConfig(model, media_roots=roots, holdout=(str(path),), **more)

    return make


def raws_of(config: ReleaseConfig) -> list[RawRecord]:
    return list(labelled.raw_records(config.holdout, ("category",), collections.Counter()))


def accuracy(name: str, config: ReleaseConfig) -> float:
    """Computes the accuracy of a model on the held-out records, by the SavedModel alone."""
    folder = Path(config.model).parent / name
    model = bundle.load(folder)
    canonical = Canonicalizer(model.spec, config.media_roots).canonical
    kept: list[Any] = [canonical(raw) for raw in raws_of(config)]
    scorer = load_scorer(str(folder), model.model_digest, False)
    size = scorer.batch_size
    batches = [kept[start : start + size] for start in range(0, len(kept), size)]
    likely = np.concatenate([scorer.outputs(batch)["category/distribution"] for batch in batches])
    truth = [model.classes["category"].index(one.labels["category"]) for one in kept]
    return float((likely.argmax(axis=1) == truth).mean())


def test_a_model_trained_with_one_shuffled_modality_is_refused(released, rows, asked, capsys):
    config = asked("shuffled", [without(one, "image", "text") for one in rows])
    with pytest.raises(GateError) as refused:
        release.run(config)
    good, shuffled = accuracy("good", config), accuracy("shuffled", config)
    assert str(refused.value).startswith(
        f"{released}/shuffled: is worse than good on 1 slice of --holdout: category on all records "
        f"({len(rows)} records): accuracy {shuffled:.3f}, before {good:.3f} (difference "
        f"{shuffled - good:+.3f}, interval -"
    )
    assert (released / "CURRENT").read_text() == "good\n"
    shown = capsys.readouterr().out
    assert "shuffled instead of good, on --holdout" in shown
    assert shown.count("WORSE") == 1


def test_a_model_that_is_worse_on_a_slice_of_five_percent_is_refused(released, rows, asked):
    texts = [without(one, "image", "audio") for one in rows]
    sounds = repeated([without(one, "image", "text") for one in rows], 30, shop="south")
    held_out = [*repeated(texts, 570, shop="north"), *sounds]
    with pytest.raises(GateError) as refused:
        release.run(asked("shuffled", held_out, slices=("shop",)))
    good, shuffled = (accuracy(name, asked(name, sounds)) for name in ("good", "shuffled"))
    said = str(refused.value)
    assert (
        f"category on shop south (30 records): accuracy {shuffled:.3f}, before {good:.3f} " in said
    )
    assert "north" not in said
    assert (released / "CURRENT").read_text() == "good\n"


def test_a_better_model_is_released_and_few_records_are_not_judged(released, rows, asked, caplog):
    caplog.set_level("INFO")
    (released / "CURRENT").write_text("shuffled\n")
    few = [{**one, "id": f"few {one['id']}", "shop": "few"} for one in rows[:5]]
    line = release.run(asked("good", [*rows[:40], *few], slices=("shop",)))
    assert line.endswith("instead of shuffled")
    assert (released / "CURRENT").read_text() == "good\n"
    assert caplog.messages[-1] == (
        "good is not worse than shuffled on 2 slices of --holdout; 1 slice with under 30 records "
        "not judged"
    )


def test_scores_of_golden_records_that_drift_are_refused_or_warned_of(
    released, rows, asked, caplog
):
    asks = asked("shuffled", [without(one, "image", "text") for one in rows])
    config = dataclasses.replace(asks, holdout=(), golden=asks.holdout[0])
    model = bundle.load(released / "shuffled")
    release.check_successor(model, str(released), "shuffled", config)
    begins = "scores of golden records drift from those of good: score.category."
    confidence, entropy = caplog.messages
    assert confidence.startswith(f"{begins}confidence: mean 0.")
    assert entropy.startswith(f"{begins}entropy: mean 0.")
    strict = dataclasses.replace(config, drift="refuse")
    with pytest.raises(GateError) as refused:
        release.check_successor(model, str(released), "shuffled", strict)
    said = str(refused.value)
    assert said.startswith(
        f"{released}/shuffled: scores of {len(rows)} golden records drift from those of good: "
    )
    assert said.endswith("; keep the model before, or use --drift warn")


def test_scores_that_do_not_drift_are_said_to(released, rows, asked, caplog):
    caplog.set_level("INFO")
    texts = [without(one, "image", "audio") for one in rows]  # only audio was shuffled
    (golden,) = asked("shuffled", texts).holdout
    config = ReleaseConfig("shuffled", golden=golden, drift="refuse")
    model = bundle.load(released / "shuffled")
    release.check_successor(model, str(released), "shuffled", config)
    line = f"scores of {len(rows)} golden records do not drift from those of good"
    assert line in caplog.messages
    (released / "CURRENT").write_text("gone\n")
    begins = f"{released}: shuffled cannot be compared with the released model: "
    with pytest.raises(GateError) as refused:
        release.check_successor(model, str(released), "shuffled", config)
    assert str(refused.value).startswith(begins)
    assert str(refused.value).endswith("; or release it without --drift refuse")
    lenient = dataclasses.replace(config, drift="warn")
    release.check_successor(model, str(released), "shuffled", lenient)
    assert caplog.messages[-1].startswith(begins)


def test_drift_is_not_looked_for_in_fewer_than_30_golden_records(released, rows, tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "golden.jsonl"
    records.write_lines(path, rows[:29])
    model = bundle.load(released / "good")
    config = ReleaseConfig(str(model.folder), golden=str(path))
    assert golden_drift.enough(model, config) == []
    assert caplog.messages == ["drift is not looked for: it needs 30 golden records, not 29"]
    with pytest.raises(OptionsError, match="--drift: needs 30 golden records, and there are 29"):
        golden_drift.enough(model, dataclasses.replace(config, drift="refuse"))


def test_a_model_that_rejects_what_the_released_one_scores_is_refused(
    released, text_model, rows, asked
):
    shutil.copytree(text_model, released / "texts", dirs_exist_ok=True)
    sounds = repeated([without(one, "image", "text") for one in rows], 3)
    config = asked("texts", [*rows[:40], *sounds])
    with pytest.raises(GateError) as refused:
        release.check_successor(bundle.load(released / "texts"), str(released), "texts", config)
    assert str(refused.value) == (
        f"{released}/texts: rejects 3 records of --holdout that good scores (most often: empty, "
        "3); keep the model before, or leave these records out"
    )


def test_of_records_with_one_id_the_first_counts(rows, asked):
    left_out = collections.Counter()
    config = asked("good", [*rows[:2], *rows[:1]])
    found = labelled.raw_records(config.holdout, ("category",), left_out)
    assert [one.id for one in found] == [one["id"] for one in rows[:2]]
    assert left_out == {"id of an earlier record": 1}


def test_a_slice_without_a_defined_figure_is_not_judged():
    one = slice_check.Judged("names", "shop a\nb" + "c" * 99, "F1", False, UNDEFINED)
    assert (one.judged, one.worse(1)) == (False, False)
    assert one.text(1).startswith("names on shop a... (60 records): F1 0.000, before nan ")


def test_a_first_release_and_the_same_model_again_compare_nothing(released, rows, asked, caplog):
    caplog.set_level("INFO")
    (released / "CURRENT").unlink()
    release.run(asked("good", rows))
    assert caplog.messages[-1].endswith(
        "no model is released yet, so there is none to compare with"
    )
    release.run(asked("good", rows))
    assert caplog.messages[-1].endswith(
        "the released model good is the same, so nothing is compared"
    )


def test_a_released_model_that_cannot_be_opened_is_refused_only_if_it_is_asked_for(
    released, rows, asked
):
    (released / "CURRENT").write_text("gone\n")
    with pytest.raises(GateError, match="good cannot be compared with the released model: .*gone"):
        release.run(asked("good", rows))
    assert (released / "CURRENT").read_text() == "gone\n"
    assert release.run(ReleaseConfig(str(released / "good"))).endswith("instead of gone")


@pytest.mark.parametrize(
    ("more", "slices", "message"),
    [
        (
            {},
            ("city",),
            "--slice: no record of --holdout has a field 'city' beside its id, group, split, media "
            "and labels; name another one",
        ),
        (
            {"labels": {}},
            (),
            "--holdout: no record that good scores has a label of category; name labelled records",
        ),
    ],
)
def test_held_out_records_that_divide_or_tell_nothing_are_refused(
    more, slices, message, released, rows, asked
):
    with pytest.raises(OptionsError) as refused:
        release.run(asked("shuffled", repeated(rows, 2, **more), slices=slices))
    assert str(refused.value) == message
