"""Copies of training records in prepared data: counted apart, in one split, and reproducible."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests import media, records
from tests.printed import shown
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.preprocessing import plan as preprocessing_plan
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media import effects
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.copies import change_of, original_id
from triad_ml.transforms.records.values import GROUP, SPLITS, RawRecord
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec import split as spec_split

pytest.importorskip("librosa")

SPEC = """
modalities:
  audio: {sample_rate: 8000, seconds: 0.3, mel_bins: 8, features: mfcc}
  text: {tokens: word, vocabulary: 12, length: 6}
tasks:
  category: {kind: classification, label: category}
  names: {kind: tagging, label: names}
training: {augment: {stretch: true, pitch: true}, seed: 3}
model: {recipe: network, dim: 16, audio_filters: [8], text_dim: 8}
split: {by: id, train: 0.6, eval: 0.2, test: 0.2}
"""


def corpus_in(folder: Path) -> Path:
    """Records, some without audio, and two with the id of an earlier one."""
    lines: list[dict[str, Any]] = []
    for index in range(30):
        rng = random.Random(index)
        lines.append(
            {
                "id": f"r{index:02d}",
                "audio": {"base64": base64.b64encode(media.wav(8000, 0.3, seed=index)).decode()}
                if rng.random() < 0.8
                else None,
                "text": "the fan rattles",
                "group": f"g{index // 3}",
                "labels": {"category": rng.choice("ab"), "names": [[4, 7, "part"]]},
            }
        )
    lines += [{**lines[0], "text": "again"}, {**lines[1], "text": "again"}]
    (folder / "spec.yaml").write_text(SPEC)
    return records.write_lines(folder / "records.jsonl", lines)


def config_of(corpus: Path, output: Path, spec: str = "spec.yaml") -> PreprocessConfig:
    what = str(corpus.parent / spec)
    return PreprocessConfig(what, (str(corpus),), str(output), shards=2, rejected_limit=0.2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_in(tmp_path_factory.mktemp("copies"))


@pytest.fixture(scope="module")
def done(corpus: Path) -> Path:
    preprocessing_run.run(config_of(corpus, corpus.parent / "done"))
    return corpus.parent / "done"


def written(folder: Path, split: str) -> dict[str, dict[str, Any]]:
    """Examples of a split by id, as plain values."""
    found: dict[str, dict[str, Any]] = {}
    for path in dataset.read(folder).files(split):
        for one in tf.data.TFRecordDataset(path, "GZIP"):
            feature = tf.train.Example.FromString(one.numpy()).features.feature
            record_id = feature["id"].bytes_list.value[0].decode()
            assert record_id not in found
            found[record_id] = {
                name: list(getattr(value, kind).value)
                for name, value in feature.items()
                if (kind := value.WhichOneof("kind"))
            }
    return found


def expected(corpus: Path) -> dict[str, dict[str, set[str]]]:
    """Ids of the records and of their copies, by split, as plain code finds them."""
    spec = loading.load(corpus.parent / "spec.yaml")
    found: dict[str, dict[str, set[str]]] = {split: {"": set()} for split in SPLITS}
    for raw in records.read(corpus, *spec.label_names):
        assert isinstance(raw, RawRecord)
        record = Canonicalizer(spec).canonical(raw)
        split = spec_split.split_of(record.id, record.group, record.split, spec.split)
        found[split][""].add(record.id)
        if split == "train":
            for change, copy in effects.copies(record, spec):
                found[split].setdefault(change, set()).add(copy.id)
    return found


def test_only_records_of_the_training_split_with_audio_have_copies(corpus, done):
    wanted = expected(corpus)
    assert min(len(ids) for split in wanted.values() for ids in split.values()) > 1
    for split in SPLITS:
        assert set(written(done, split)) == set.union(*wanted[split].values())
    manifest = json.loads((done / "manifest.json").read_text())
    assert manifest["counts"] == {
        "read": 32,
        **{split: len(wanted[split][""]) for split in SPLITS},
        "rejected": 2,
    }
    assert manifest["copies"] == {
        change: len(wanted["train"][change]) for change in ("stretch", "pitch")
    }
    rows = sum(shard["rows"] for shard in manifest["splits"]["train"])
    assert rows == manifest["counts"]["train"] + sum(manifest["copies"].values())
    assert manifest["alignment"]["names"]["spans"] == 30


def test_a_copy_has_labels_text_and_group_of_its_record_and_audio_of_its_own(done):
    train = written(done, "train")
    copies = {record_id: one for record_id, one in train.items() if change_of(record_id)}
    assert copies
    for record_id, copy in copies.items():
        original = train[original_id(record_id)]
        assert copy["audio"] != original["audio"]
        for name in ("label_category", "text", "audio_present", GROUP):
            assert copy[name] == original[name]


def test_a_model_of_these_features_scores_as_it_was_trained(corpus, done, tmp_path, capsys):
    model = tmp_path / "model"
    training_run.run(TrainConfig(str(done), str(model), epochs=1))
    given = ["--model", str(model), "--input", str(corpus)]
    assert main.main(["parity", *given, "--tolerance", "0"]) == 0
    found = shown(capsys.readouterr().out)
    assert found["audio"] == found["category/distribution"] == ["30", "0", "0", "equal"]
    output = ["--output", str(tmp_path / "scores"), "--date", "2026-11-26"]
    assert main.main(["score", *given, *output, "--rejected-limit", "0.2"]) == 0


def test_the_same_seed_writes_the_same_copies_and_another_seed_is_another_preprocessing(
    corpus, done, tmp_path
):
    preprocessing_run.run(config_of(corpus, tmp_path / "again"))
    assert written(tmp_path / "again", "train") == written(done, "train")
    for name, change in {
        "seed.yaml": ("seed: 3", "seed: 4"),
        "pitch.yaml": ("pitch: true", "pitch: false"),
    }.items():
        (corpus.parent / name).write_text(SPEC.replace(*change))
        with pytest.raises(OptionsError, match="holds another preprocessing"):
            preprocessing_plan.plan(config_of(corpus, done, name))


def test_without_librosa_the_plan_names_the_remedy(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(preprocessing_plan.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionsError, match=r"need librosa; pip install 'librosa>=0.11,<0.12'"):
        preprocessing_plan.plan(config_of(corpus, tmp_path / "output"))
