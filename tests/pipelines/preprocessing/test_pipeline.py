"""Preprocessing pipeline: each record once, features equal to plain computation, atomic output."""

import base64
import collections
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import importlib.util
import json
import logging
import math
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import execution

from tests import media, planted, records
from triad_ml.pipelines.preprocessing import dataset as preprocessing_dataset
from triad_ml.pipelines.preprocessing import pipeline
from triad_ml.pipelines.preprocessing import plan as preprocessing_plan
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.canonical_shards import CanonicalFile
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.runners import beam_options, results
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units as unit_plans
from triad_ml.pipelines.storage import json_files
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.duplicates import document as duplicates_document
from triad_ml.transforms.duplicates import leaks, search
from triad_ml.transforms.duplicates.registry import FINGERPRINTS
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.features import audio
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.features.ids import FIRST_TOKEN, MISSING_LABEL, PAD, UNKNOWN
from triad_ml.transforms.graph import preprocessing_fn
from triad_ml.transforms.labels import classes as labels_classes
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import SPLITS, UNKNOWN_SPLIT, CanonicalRecord, RawRecord
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec import split as transforms_splits
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.tasks import Task
from triad_ml.transforms.version import VERSION

SPEC = """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.3, mel_bins: 8}
  text: {tokens: word, vocabulary: 12, length: 6}
tasks:
  category: {kind: classification, label: category}
  marks: {kind: classification, label: marks, multi_label: true}
split: {by: group, train: 0.6, eval: 0.2, test: 0.2}
"""
TEXT_SPEC = """
modalities: {text: {tokens: word, vocabulary: 12, length: 4}}
tasks: {category: {kind: classification, label: category}}
"""
ROWS = preprocessing_dataset.BATCH_SIZE
NEEDS_LIBROSA = pytest.mark.skipif(
    importlib.util.find_spec("librosa") is None, reason="librosa is not installed"
)
WORDS = ("fan", "pump", "rattles", "hums", "today", "Hall", "again", "東京", "déjà", "!", "slow")
REJECTED = {
    "duplicate_id": 2,
    "empty": 1,
    "invalid_id": 1,
    "unparsable": 2,
    "unreadable": 1,
}
ISSUES = {
    "image: not_found": 1,
    "image: truncated": 1,
    "image: forbidden": 1,
    "audio: unsupported": 1,
    "audio: corrupt": 1,
}


@dataclasses.dataclass(frozen=True)
class Expected:
    """What plain code makes of a records file: the records that are kept, and their splits."""

    what: Spec
    kept: Mapping[str, CanonicalRecord]
    splits: Mapping[str, str]

    def of(self, split: str) -> list[CanonicalRecord]:
        return [one for one in self.kept.values() if self.splits[one.id] == split]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A records file with a spec beside it: good records, flawed media, and all that is refused."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "spec.yaml").write_text(SPEC)
    good = [line(folder, index) for index in range(44)]
    by_id = {one["id"]: one for one in good}
    jpeg = media.jpeg(seed=1)
    by_id["r001"]["image"] = "media/nowhere.png"
    by_id["r002"]["image"] = place(folder, "cut.jpg", jpeg[: len(jpeg) // 2])
    by_id["r003"]["image"] = "../outside.png"
    by_id["r004"]["audio"] = place(folder, "noise.bin", b"neither a sound nor anything else")
    by_id["r005"]["audio"] = {"base64": "not base64!"}
    for name in ("r001", "r002", "r003", "r004", "r005"):
        by_id[name]["text"] = "the fan rattles"
    by_id["r006"] |= {"split": "test", "group": None}
    by_id["r007"] |= {"split": "train", "group": None}
    by_id["r008"]["labels"] = {"category": {"not": "a class"}, "marks": "not a list"}
    by_id["r009"] |= {
        "split": "test",
        "text": "zebra fan",
        "labels": {"category": "unseen", "marks": ["left", "nowhere"]},
    }
    written = [
        *good[:20],
        b"{not json",
        {"id": "", "text": "no id"},
        {"id": "nothing", "image": None, "text": ""},
        {"id": "broken", "image": {"base64": base64_of(b"no picture")}},
        {"id": "r007", "text": "a second one in another split", "split": "eval"},
        {"id": "strange-split", "text": "hums", "split": "holdout"},
        *good[20:],
        {**by_id["r010"], "text": "a second one in the same split, zebra zebra zebra zebra"},
    ]
    return records.write_lines(folder / "records.jsonl", written)


@pytest.fixture(scope="module")
def done(corpus: Path) -> Path:
    """The preprocessing of `corpus`, into a folder that was there and empty."""
    output = corpus.parent / "done"
    output.mkdir()
    manifest = run(corpus, output, rejected_limit=0.2)
    assert manifest == str(output / "manifest.json")
    return output


@pytest.fixture(scope="module")
def expected(corpus: Path) -> Expected:
    return plainly(corpus)


def line(folder: Path, index: int) -> dict[str, Any]:
    """A record whose media are files; some media, labels and groups are missing."""
    rng = random.Random(index)
    picture = {
        "png": lambda: media.png(width=20 + index % 9, height=18, seed=index),
        "jpg": lambda: media.jpeg(width=12, height=30 + index % 5, seed=index),
        "webp": lambda: media.webp(width=14, height=14, seed=index),
    }
    sound = {
        "wav": lambda: media.wav(8000, 0.1 + index / 100, seed=index),
        "flac": lambda: media.flac(16_000, 0.25, channels=1 + index % 2, seed=index),
    }
    ending, container = rng.choice(sorted(picture)), rng.choice(sorted(sound))
    has_image, has_audio = rng.random() < 0.8, rng.random() < 0.8
    words = rng.choices(WORDS, k=rng.randrange(1, 9))
    return {
        "id": f"r{index:03d}",
        "image": place(folder, f"{index}.{ending}", picture[ending]()) if has_image else None,
        "audio": place(folder, f"{index}.{container}", sound[container]()) if has_audio else None,
        "text": " ".join(words) if rng.random() < 0.8 or not (has_image or has_audio) else None,
        "group": f"g{index // 3}",
        "labels": {
            "category": rng.choice(("a", "b", " b ", 7)),
            **({"marks": sorted(rng.sample(("left", "right", "up"), 2))} if index % 4 else {}),
        },
        "source": "generated",
    }


def place(folder: Path, name: str, content: bytes) -> str:
    records.store(folder / "media" / name, content)
    return f"media/{name}"


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def run(corpus: Path, output: Path, **settings: Any) -> str:
    what = str(settings.pop("spec", corpus.parent / "spec.yaml"))
    settings.setdefault("shards", 2)
    return preprocessing_run.run(PreprocessConfig(what, (str(corpus),), str(output), **settings))


def plainly(corpus: Path, what: Spec | None = None) -> Expected:
    what = what or loading.load(corpus.parent / "spec.yaml")
    kept: dict[str, CanonicalRecord] = {}
    for raw in records.read(corpus, *what.label_names):
        if isinstance(raw, RawRecord) and raw.split != UNKNOWN_SPLIT:
            canonical = Canonicalizer(what, check=True).canonical(raw)
            if isinstance(canonical, CanonicalRecord):
                kept.setdefault(canonical.id, canonical)
    placed = {
        one.id: transforms_splits.split_of(one.id, one.group, one.split, what.split)
        for one in kept.values()
    }
    return Expected(what, kept, placed)


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def analysis_of(folder: Path) -> Analysis:
    return Analysis.from_json((folder / "analysis.json").read_text())


def written(folder: Path, split: str) -> list[dict[str, Any]]:
    """What the TFRecords of a split hold, read by the transform graph's own description."""
    description = tft.TFTransformOutput(str(folder / "transform")).transformed_feature_spec()
    return [
        {name: plain(value) for name, value in tf.io.parse_single_example(one, description).items()}
        for path in preprocessing_dataset.read(folder).files(split)
        for one in tf.data.TFRecordDataset(path, "GZIP")
    ]


@functools.cache
def features_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {one["id"].decode(): one for split in SPLITS for one in written(folder, split)}


def plain(value: Any) -> Any:
    if isinstance(value, tf.SparseTensor):
        value = value.values
    value = value.numpy()
    return value if isinstance(value, bytes) or value.ndim else value[()]


def computed(
    made: Sequence[CanonicalRecord], what: Spec, analysis: Analysis
) -> dict[str, dict[str, Any]]:
    """The feature graph as an ordinary function, with an analysis that is known."""
    function = preprocessing_fn.preprocessing_fn(what, KnownAnalyzers(analysis))
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(made), ROWS):
        batch = made[start : start + ROWS]
        outputs = function(graph_inputs(batch, what))
        for row, record in enumerate(batch):
            found[record.id] = {
                name: plain(
                    tf.sparse.slice(value, [row, 0], [1, value.dense_shape[1]])
                    if isinstance(value, tf.SparseTensor)
                    else value[row]
                )
                for name, value in outputs.items()
            }
    return found


def graph_inputs(batch: Sequence[CanonicalRecord], what: Spec) -> dict[str, Any]:
    """A batch filled up to `ROWS` rows with rows that hold nothing."""
    spare = ROWS - len(batch)
    inputs: dict[str, Any] = {"id": tf.constant([one.id for one in batch] + [""] * spare)}
    for name in what.modalities.names:
        inputs[name] = tf.constant([getattr(one, name) for one in batch] + [b""] * spare)
    for name, task in what.tasks.items():
        named = [classes_of(one, task) for one in batch] + [None] * spare
        ragged = tf.ragged.constant([one or [] for one in named], tf.string, ragged_rank=1)
        inputs[f"label_{name}"] = ragged.to_sparse()
        inputs[f"label_{name}_given"] = tf.constant([one is not None for one in named], tf.int64)
    return inputs


def classes_of(record: CanonicalRecord, task: Task) -> list[str] | None:
    try:
        named = labels_classes.class_names(record.labels.get(task.label), task)
    except labels_classes.LabelError:
        return None
    return None if named is None else list(named)


def assert_same_features(
    found: Mapping[str, Mapping[str, Any]],
    wanted: Mapping[str, Mapping[str, Any]],
    tolerance: float = 0.0,
) -> None:
    assert found.keys() == wanted.keys()
    for record_id, values in wanted.items():
        assert found[record_id].keys() == values.keys()
        for name, value in values.items():
            mine = found[record_id][name]
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                np.testing.assert_allclose(mine, value, rtol=0, atol=tolerance, err_msg=name)
                assert mine.dtype == value.dtype
            else:
                np.testing.assert_array_equal(mine, value, err_msg=f"{record_id} {name}")


def test_counts_add_up_to_the_lines_read(corpus, done, expected):
    counts = manifest_of(done)["counts"]
    assert counts == {
        "read": len(corpus.read_bytes().splitlines()),
        **{split: len(expected.of(split)) for split in SPLITS},
        "rejected": sum(REJECTED.values()),
    }
    assert min(counts.values()) > 0
    assert counts["read"] == sum(counts[name] for name in (*SPLITS, "rejected"))


def test_every_id_is_written_once_and_in_its_split(done, expected):
    found = [(one["id"].decode(), split) for split in SPLITS for one in written(done, split)]
    assert sorted(found) == sorted(expected.splits.items())
    assert dict(found)["r006"] == "test"
    assert dict(found)["r007"] == "train"


def test_no_group_is_torn_apart(done, expected):
    placed: dict[str, set[str]] = collections.defaultdict(set)
    for split in SPLITS:
        for one in written(done, split):
            record = expected.kept[one["id"].decode()]
            if record.group and not record.split:
                placed[record.group].add(split)
    assert len(placed) > 10
    assert {len(found) for found in placed.values()} == {1}


def test_features_are_the_plainly_computed_ones(done, expected):
    analysis = analysis_of(done)
    wanted: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        wanted |= computed(expected.of(split), expected.what, analysis)
    assert_same_features(features_of(done), wanted, tolerance=1e-6)


def test_the_analysis_is_of_the_train_split_alone(done, expected):
    analysis = analysis_of(done)
    train = expected.of("train")
    words = collections.Counter(word for one in train for word in words_of(one.text.decode()))
    kept = analysis.vocabularies["text_vocabulary"]
    assert len(kept) == 12
    assert [words[word] for word in kept] == sorted(words.values(), reverse=True)[:12]
    for name, task in expected.what.tasks.items():
        seen = collections.Counter(cls for one in train for cls in classes_of(one, task) or ())
        found = analysis.vocabularies[f"label_{name}_vocabulary"]
        assert set(found) == set(seen)
        assert [seen[cls] for cls in found] == sorted(seen.values(), reverse=True)
        assert manifest_of(done)["classes"][name] == list(found)
    assert manifest_of(done)["vocabulary_size"] == 2 + 12


def words_of(text: str) -> Iterator[str]:
    """The words of `WORDS` in a text, where each Han character is one."""
    for word in text.lower().split():
        yield from word if word == "東京" else [word]


def test_moments_are_those_of_the_sounding_frames_of_the_train_split(done, expected):
    sound = expected.what.modalities.audio
    assert sound is not None
    frames = []
    for one in expected.of("train"):
        if one.audio:
            samples = np.frombuffer(one.audio[44:], "<i2")[: sound.samples]
            padded = np.zeros((1, sound.samples), np.float32)
            padded[0, : samples.size] = samples / 32768
            whole = max(1, (samples.size - sound.frame_length) // sound.frame_step + 1)
            frames.append(audio.log_mel_graph(tf.constant(padded), sound)[0, :whole])
    stacked = np.concatenate(frames).astype(np.float64)
    mean, deviation = analysis_of(done).moments["audio"]
    np.testing.assert_allclose(mean, stacked.mean(axis=0), atol=1 / 1024)
    np.testing.assert_allclose(deviation, stacked.std(axis=0), atol=1 / 1024)


def test_what_only_the_test_split_has_is_unseen(done):
    only_in_test = features_of(done)["r009"]
    classes = manifest_of(done)["classes"]
    assert only_in_test["label_category"] == len(classes["category"])
    assert only_in_test["label_marks"].tolist() == [
        classes["marks"].index("left"),
        len(classes["marks"]),
    ]
    fan = analysis_of(done).vocabularies["text_vocabulary"].index("fan")
    assert only_in_test["text"].tolist() == [
        UNKNOWN,
        FIRST_TOKEN + fan,
        *[PAD] * 4,
    ]


def test_labels_that_name_no_class_count_as_missing(done):
    unnamed = features_of(done)["r008"]
    assert unnamed["label_category"] == MISSING_LABEL
    assert unnamed["label_marks"].tolist() == [MISSING_LABEL]
    whole = json.loads((done / "statistics.json").read_text())["splits"]
    states = collections.Counter[str]()
    for split in whole.values():
        states.update(dict(split["categorical"]["label.category.state"]["counts"]))
    assert states["unusable"] == 1


def test_shards_are_what_the_manifest_says(done, expected):
    listed = [file for split in SPLITS for file in manifest_of(done)["splits"][split]]
    on_disk = {str(path.relative_to(done)) for path in done.rglob("*.tfrecord.gz")}
    assert {file["path"] for file in listed} == on_disk
    for split in SPLITS:
        shards = manifest_of(done)["splits"][split]
        assert [file["path"] for file in shards] == [
            f"{split}/part-{index:05d}-of-{len(shards):05d}.tfrecord.gz"
            for index in range(len(shards))
        ]
        assert sum(file["rows"] for file in shards) == len(expected.of(split))
    assert len(manifest_of(done)["splits"]["train"]) == 2
    for file in listed:
        content = (done / file["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert len(content) == file["bytes"]
        assert gzip.decompress(content)
        dataset = tf.data.TFRecordDataset(str(done / file["path"]), "GZIP")
        assert sum(1 for _ in dataset) == file["rows"]


def test_the_transform_graph_knows_its_raw_schema(done, expected):
    output = tft.TFTransformOutput(str(done / "transform"))
    raw = tft.DatasetMetadata.from_feature_spec(preprocessing_fn.raw_feature_spec(expected.what))
    assert output.raw_metadata.schema == raw.schema
    assert output.raw_feature_spec() == preprocessing_fn.raw_feature_spec(expected.what)
    batch = expected.of("test")
    found = output.transform_features_layer()(
        {name: tf.constant([getattr(one, name) for one in batch]) for name in ("text", "image")}
        | {"audio": tf.constant([one.audio for one in batch])}
    )
    stored = features_of(done)
    for row, one in enumerate(batch):
        assert found["image"][row].numpy() == stored[one.id]["image"]
        assert found["text"][row].numpy().tolist() == stored[one.id]["text"].tolist()


def test_statistics_count_each_canonical_record(done, expected):
    summary = json.loads((done / "statistics.json").read_text())
    counted = {split: summary["splits"][split]["records"] for split in SPLITS}
    again = {"eval": 1, expected.splits["r010"]: 1}  # the later records of one id
    assert counted == {s: len(expected.of(s)) + again.get(s, 0) for s in SPLITS}
    used = {
        name: sum(bool(getattr(one, name)) for one in expected.kept.values())
        for name in ("image", "audio", "text")
    }
    later = expected.kept["r010"]
    assert {name: summary["media"][name]["total"] for name in used} == {
        "image": used["image"] + bool(later.image),
        "audio": used["audio"] + bool(later.audio),
        "text": used["text"] + 2,
    }


def test_near_duplicates_are_those_of_the_records_that_are_kept(done, expected):
    ordered = sorted(
        expected.kept.values(), key=lambda one: (one.position.unit, one.position.offset)
    )
    found = json.loads((done / duplicates_document.NAME).read_bytes())["modalities"]
    assert list(found) == ["image", "audio", "text"]
    for name, one in found.items():
        with_medium = [record for record in ordered if getattr(record, name)]
        made = [
            FINGERPRINTS[name].of(getattr(record, name), expected.what.modalities)
            for record in with_medium
        ]
        named = [record.id for record, print_ in zip(with_medium, made, strict=True) if print_]
        rows = np.frombuffer(b"".join(filter(None, made)), np.uint8)
        alike = search.find(rows.reshape(-1, FINGERPRINTS[name].size), FINGERPRINTS[name])
        splits = np.array([SPLITS.index(expected.splits[record_id]) for record_id in named])
        plain = len(with_medium) - len(named)
        wanted = leaks.found(alike, splits, named.__getitem__, plain, 0)
        assert one == json.loads(json.dumps(dataclasses.asdict(wanted)))
    assert manifest_of(done)["duplicates"]["text"]["alike"] == found["text"]["alike"]


def test_near_duplicates_are_kept_together(tmp_path):
    what = TEXT_SPEC + "split: {train: 0.5, eval: 0.25, test: 0.25"
    (tmp_path / "spec.yaml").write_text(what + ", keep_together: near_duplicates}\n")
    rng = np.random.default_rng(5)
    lines = []
    for index in range(24):
        text = planted.passage(rng)
        for turn in ("a", "b") if index < 8 else ("a",):
            written = text if turn == "a" else planted.changed_text(text, 0)
            labels = {"category": "odd" if index % 2 else "even"}
            lines.append({"id": f"{turn}{index:02d}", "text": written, "labels": labels})
    output = tmp_path / "output"
    run(records.write_lines(tmp_path / "records.jsonl", lines), output)
    drawn = {one["id"]: split_drawn(str(one["id"]), what + "}") for one in lines}
    apart = [index for index in range(8) if drawn[f"a{index:02d}"] != drawn[f"b{index:02d}"]]
    assert apart
    moved = {f"b{index:02d}": drawn[f"a{index:02d}"] for index in apart}
    assert manifest_of(output)["together"] == moved
    assert splits_of(output) == {**drawn, **moved}
    found = json.loads((output / duplicates_document.NAME).read_bytes())["modalities"]
    assert found["text"]["alike"] == 16
    assert found["text"]["leaks"] == {"eval": 0, "test": 0}


def split_drawn(record_id: str, what: str) -> str:
    return transforms_splits.split_of(record_id, None, None, loading.parse(what, "").split)


def splits_of(folder: Path) -> dict[str, str]:
    """The split of each record, by the shards that hold it."""
    return {
        tf.train.Example.FromString(one).features.feature["id"].bytes_list.value[0].decode(): split
        for split in SPLITS
        for path in sorted((folder / split).glob("*.tfrecord.gz"))
        for one in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()
    }


def test_rejected_records_are_listed_exactly(corpus, done):
    rows = formats.read(str(done / "rejected" / "part-00000.parquet")).to_pylist()
    lines = corpus.read_bytes().split(b"\n")
    offsets = [sum(len(one) + 1 for one in lines[:index]) for index in range(len(lines))]
    where = [f"{corpus}#{offset}" for offset in offsets]
    assert [(r["id"], r["source"], r["stage"], r["reason"], r["detail"]) for r in rows] == [
        (
            where[20],
            where[20],
            "read",
            "unparsable",
            "not JSON: Expecting property name enclosed in double quotes at character 1",
        ),
        (where[21], where[21], "read", "invalid_id", "the id is empty"),
        ("nothing", where[22], "canonicalize", "empty", ""),
        ("broken", where[23], "canonicalize", "unreadable", "image: unsupported"),
        ("r007", where[24], "canonicalize", "duplicate_id", "an earlier record has this id"),
        ("strange-split", where[25], "read", "unparsable", "split is none of train, eval, test"),
        ("r010", where[50], "canonicalize", "duplicate_id", "an earlier record has this id"),
    ]
    assert rows[0]["payload_digest"] == hashlib.sha256(b"{not json").hexdigest()
    assert {row["code_version"] for row in rows} == {VERSION}
    assert manifest_of(done)["rejected"] == REJECTED


def test_the_earlier_record_of_one_id_stays(done, expected):
    first = expected.kept["r010"]
    assert b"second" not in first.text
    wanted = computed([first], expected.what, analysis_of(done))["r010"]
    np.testing.assert_array_equal(features_of(done)["r010"]["text"], wanted["text"])


def test_flawed_media_are_counted_by_kind(done, expected):
    assert manifest_of(done)["issues"] == {
        **ISSUES,
        "image: unsupported": 1,  # of the record that is rejected for it
    }
    for name in ("r001", "r002", "r003"):
        assert features_of(done)[name]["image_present"] == 0
        assert features_of(done)[name]["text_present"] == 1


def test_a_complete_folder_holds_nothing_else(done):
    assert sorted(path.name for path in done.iterdir()) == [
        "analysis.json",
        "duplicates.json",
        "eval",
        "manifest.json",
        "rejected",
        "statistics.json",
        "test",
        "train",
        "transform",
    ]
    assert leftovers(done.parent) == []


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".tmp-" in path.name]


def test_a_second_start_does_nothing(corpus, done):
    def state() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in (done, *done.rglob("*"))}

    before = state()
    assert run(corpus, done, rejected_limit=0.2) == str(done / "manifest.json")
    assert state() == before


def test_other_records_are_refused(corpus, done, tmp_path):
    other = tmp_path / "records.jsonl"
    other.write_bytes(corpus.read_bytes() + b'{"id": "one more", "text": "hums"}\n')
    with pytest.raises(OptionsError) as refused:
        run(other, done, spec=corpus.parent / "spec.yaml", rejected_limit=0.2)
    assert str(refused.value) == (f"{done}: holds another preprocessing; choose another --output")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: 16", "size: 17"),
        ("label: category", "label: marks"),
        ("train: 0.6, eval: 0.2", "train: 0.7, eval: 0.1"),
    ],
)
def test_another_spec_is_refused_where_features_or_splits_change(corpus, done, tmp_path, old, new):
    (tmp_path / "spec.yaml").write_text(SPEC.replace(old, new))
    with pytest.raises(OptionsError, match="holds another preprocessing"):
        run(corpus, done, spec=tmp_path / "spec.yaml", rejected_limit=0.2)


def test_settings_of_the_training_alone_are_taken_over(corpus, done, tmp_path, caplog):
    copied = Path(shutil.copytree(done, tmp_path / "copied"))
    (tmp_path / "spec.yaml").write_text(SPEC + "training: {epochs: 3}\nmodel: {dim: 8}\n")
    with caplog.at_level(logging.INFO):
        run(corpus, copied, spec=tmp_path / "spec.yaml", rejected_limit=0.2)
    found = preprocessing_dataset.read(copied)
    assert found.spec == loading.load(tmp_path / "spec.yaml")
    assert found.manifest["spec_digest"] == found.spec.digest()
    differing = ("spec", "spec_digest")
    before = manifest_of(done)
    assert {k: v for k, v in found.manifest.items() if k not in differing} == {
        k: v for k, v in before.items() if k not in differing
    }
    assert sorted(p.name for p in copied.iterdir()) == sorted(p.name for p in done.iterdir())
    assert "takes over the spec's settings of the model and its training" in caplog.text


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_an_output_without_a_name_of_its_own_is_refused(corpus, name):
    with pytest.raises(OptionsError, match="is no name of a new folder; choose another --output"):
        run(corpus, Path(name))


def test_too_many_rejected_leave_nothing_behind(corpus):
    output = corpus.parent / "refused"
    with pytest.raises(GateError) as refused:
        run(corpus, output, rejected_limit=0.1)
    place = sum(map(len, corpus.read_bytes().splitlines(keepends=True)[:20]))
    assert str(refused.value).startswith(
        "7 of 51 records are rejected, over the limit of 10.0% "
        f"(2 as unparsable, the first at {corpus}#{place}: not JSON: "
    )
    assert str(refused.value).endswith(", or raise --rejected-limit")
    assert not output.exists()
    assert leftovers(corpus.parent) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"split": "eval", "labels": {"category": "a"}},
            "no record is in the train split; raise its share of split in the spec, add records, "
            "or give some a split of their own",
        ),
        (
            {"split": "train", "labels": {}},
            "task category: no record of the train split has the label 'category'; "
            "mend the records or the spec",
        ),
    ],
    ids=["no record", "no label"],
)
def test_nothing_to_learn_from_leaves_nothing_behind(tmp_path, rows, message):
    (tmp_path / "spec.yaml").write_text(TEXT_SPEC)
    made = [{"id": f"{index}", "text": "fan", **rows} for index in range(3)]
    corpus = records.write_lines(tmp_path / "records.jsonl", made)
    config = PreprocessConfig(str(tmp_path / "spec.yaml"), (str(corpus),), str(tmp_path / "output"))
    planned = preprocessing_plan.plan(config)  # a look at the file would refuse it before
    with pytest.raises(GateError) as refused:
        pipeline.run(config, planned)
    assert str(refused.value).endswith(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records.jsonl", "spec.yaml"]


def test_a_group_is_in_one_split_however_its_number_is_stored_and_the_kinds_are_said(
    tmp_path, caplog
):
    (tmp_path / "spec.yaml").write_text(
        f"{TEXT_SPEC}split: {{by: group, train: 0.6, eval: 0.2, test: 0.2}}\n"
    )
    numbers = list(range(40))
    stored = {
        "ints": pa.array(numbers, pa.int64()),
        "floats": pa.array([*map(float, numbers[:-1]), None], pa.float64()),
        "decimals": pa.array(numbers, pa.int64()).cast(pa.decimal128(21, 2)),
        "texts": pa.array([*(f"{number}.0" for number in numbers[:-1]), ""]),
    }
    for name, groups in stored.items():
        columns = {
            "id": [f"{name}-{number}" for number in numbers],
            "text": ["fan hums"] * 40,
            "category": ["a", "b"] * 20,
            "group": groups,
        }
        records.write_table(tmp_path / f"{name}.parquet", columns)
    missing = pa.array([math.nan] * 40, from_pandas=False)
    columns = {"id": numbers, "text": ["fan"] * 40, "category": missing, "group": missing}
    records.write_table(tmp_path / "nan.parquet", columns)
    with caplog.at_level(logging.WARNING):
        run(tmp_path / "*.parquet", tmp_path / "output", spec=tmp_path / "spec.yaml")
    found = {
        one["id"].decode(): split for split in SPLITS for one in written(tmp_path / "output", split)
    }
    assert len(found) == 5 * 40
    assert len(set(found.values())) == 3
    for number in numbers[:-1]:
        assert len({found[f"{name}-{number}"] for name in stored}) == 1
    assert len({found[str(number)] for number in numbers}) == 3  # NaN is no group
    manifest = manifest_of(tmp_path / "output")
    assert manifest["unnamed"] == {}
    assert manifest["mixed_kinds"] == {
        "group": {
            kind: {"files": 1, "first": str(tmp_path / f"{name}.parquet")}
            for kind, name in (
                *(("decimal", "decimals"), ("float", "floats")),
                *(("int", "ints"), ("text", "texts")),
            )
        },
        "id": {
            "int": {"files": 1, "first": str(tmp_path / "nan.parquet")},
            "text": {"files": 4, "first": str(tmp_path / "decimals.parquet")},
        },
    }
    assert (
        "group: stored as decimal (files: 1), float (files: 1), int (files: 1), text (files: 1); "
        "whole numbers are the same value however they are stored, texts are as they stand"
    ) in [record.getMessage() for record in caplog.records]


def without_media(folder: Path, section: str = "image: {size: 16}") -> Path:
    """Records whose pictures were not delivered."""
    (folder / "spec.yaml").write_text(
        f"modalities: {{{section}, text: {{vocabulary: 12, length: 4}}}}\n"
        "tasks: {category: {kind: classification, label: category}}\n"
        "split: {train: 1, eval: 0, test: 0}\n"
    )
    labels = {"category": "a"}
    made = [{"id": n, "image": f"{n}.jpg", "text": "fan", "labels": labels} for n in range(3)]
    return records.write_lines(folder / "records.jsonl", made)


def test_media_that_were_not_delivered_leave_nothing_behind(tmp_path):
    with pytest.raises(GateError) as refused:
        run(without_media(tmp_path), tmp_path / "output")
    assert str(refused.value) == (
        "image: 3 of 3 media are not used (100.0%; most often: not_found, 3), over the limit of "
        "50.0%; nothing is published: deliver the files (relative paths are tried against the "
        "records file's folder, then each --media-root), or raise --issues-limit"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records.jsonl", "spec.yaml"]


def test_media_may_be_lost_up_to_the_limit_of_the_spec_and_the_last_lines_say_so(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run(without_media(tmp_path, "image: {size: 16, issues_limit: 1.0}"), tmp_path / "output")
    said = [
        one.message
        for one in caplog.records
        if one.name == "triad_ml.pipelines.preprocessing.pipeline"
    ]
    assert said[-6:-3] == [
        "3 records read, 3 kept (train 3, eval 0, test 0), 0 rejected",
        "image: 3 of 3 not used (100.0%): not_found 3; deliver the files (relative paths are tried "
        "against the records file's folder, then each --media-root)",
        "text: all 3 used",
    ]
    assert (
        said[-3]
        == "category: 3 records with the label 'category' (train 3, eval 0, test 0), 1 class"
    )
    assert said[-2].startswith("the train split has 3 records: ")
    assert said[-1] == f"next: triad train --data {tmp_path}/output --output MODEL"


def test_what_labels_are_is_known_before_the_second_pass(tmp_path):
    (tmp_path / "spec.yaml").write_text(TEXT_SPEC)
    made = [{"id": n, "text": "fan", "labels": {"category": ["a"]}} for n in range(9)]
    with pytest.raises(GateError) as refused:
        run(records.write_lines(tmp_path / "records.jsonl", made), tmp_path / "output")
    assert str(refused.value) == (
        "task category: no record of the train split has the label 'category' (9 cannot be used: a "
        "list where one class is expected; set multi_label: true where a record has several); "
        "mend the records or the spec"
    )


def test_a_missing_group_for_each_split_and_media_lost_up_to_the_flag_are_said(tmp_path, caplog):
    (tmp_path / "spec.yaml").write_text(
        TEXT_SPEC.replace("{text:", "{image: {size: 16}, text:")
        + "split: {train: 0.5, eval: 0.25, test: 0.25}"
    )
    shares = loading.load(tmp_path / "spec.yaml").split
    halls = [f"hall {n}" for n in range(9)]
    group = next(
        one for one in halls if transforms_splits.split_of("", one, None, shares) == "train"
    )
    one = {"image": "gone.jpg", "text": "fan", "group": group, "labels": {"category": "a"}}
    corpus = records.write_lines(tmp_path / "records.jsonl", [{"id": n, **one} for n in range(12)])
    with caplog.at_level(logging.INFO):
        run(corpus, tmp_path / "output", issues_limit=1.0)
    assert "image: 12 of 12 not used (100.0%): not_found 12; deliver the files" in caplog.text
    assert manifest_of(tmp_path / "output")["few_groups"] == 1
    for name in ("eval", "test"):
        assert f"the {name} split has no record (all records are in 1 group): " in caplog.text
    assert "set split.by: id in the spec, or give records more groups" in caplog.text


def test_the_manifest_counts_media_and_labels(done):
    manifest = manifest_of(done)
    media_of = manifest["media"]
    assert {name: count["flaws"] for name, count in media_of.items()} == {
        "image": {"forbidden": 1, "not_found": 1, "truncated": 1, "unsupported": 1},
        "audio": {"corrupt": 1, "unsupported": 1},
        "text": {},
    }
    whole = json.loads((done / "statistics.json").read_text())["splits"]
    for name, count in media_of.items():
        states = collections.Counter()
        for split in whole.values():
            states.update(split["categorical"][f"{name}.state"]["counts"])
        lost_by_rejected = sum(count["flaws"].values()) - sum(
            number for state, number in states.items() if state not in ("present", "missing")
        )
        assert count["had"] == sum(states.values()) - states["missing"] + lost_by_rejected
    labels_of = manifest["labels"]["category"]
    assert labels_of["unusable"] == {
        "a class is a string, a whole number or a truth value, not dict": 1
    }
    assert labels_of["unseen"]["test"]["names"] == ["unseen"]
    assert labels_of["classes"] == len(manifest["classes"]["category"])


@pytest.mark.parametrize(
    "section",
    [
        "image: {size: 16, fit: stretch}",
        "audio: {sample_rate: 8000, seconds: 0.3, mel_bins: 8}",
        "text: {tokens: character, vocabulary: 50, length: 20}",
        *(
            pytest.param(
                f"audio: {{sample_rate: 8000, seconds: 0.3, mel_bins: 16, features: {features}}}",
                marks=NEEDS_LIBROSA,
            )
            for features in ("mfcc", "chroma")
        ),
    ],
    ids=["image", "audio", "text", "mfcc", "chroma"],
)
def test_one_modality_alone_is_enough(tmp_path, section):
    (tmp_path / "spec.yaml").write_text(
        f"modalities: {{{section}}}\ntasks: {{marks: {{kind: classification, label: marks, "
        "multi_label: true}}\nsplit: {train: 1, eval: 0, test: 0}\n"
    )
    made = [line(tmp_path, index) for index in range(12)]
    made[0]["text"] = "A b\tc\nd  東京 é\u2028x"
    corpus = records.write_lines(tmp_path / "records.jsonl", made)
    run(corpus, tmp_path / "output", rejected_limit=1.0)
    expected = plainly(corpus)
    assert manifest_of(tmp_path / "output")["counts"]["rejected"] == 12 - len(expected.kept)
    assert [manifest_of(tmp_path / "output")["splits"][s] for s in ("eval", "test")] == [[], []]
    wanted = computed(list(expected.kept.values()), expected.what, analysis_of(tmp_path / "output"))
    assert_same_features(features_of(tmp_path / "output"), wanted, tolerance=1e-6)


def test_inline_media_of_other_formats_give_the_features_of_files(corpus, tmp_path):
    (tmp_path / "spec.yaml").write_text(
        SPEC.replace("train: 0.6, eval: 0.2, test: 0.2", "train: 1, eval: 0, test: 0")
    )
    what = loading.load(tmp_path / "spec.yaml")
    kept = plainly(corpus, what).kept
    first: dict[str, RawRecord] = {}
    for raw in records.read(corpus, *what.label_names):
        if isinstance(raw, RawRecord) and raw.id in kept:
            first.setdefault(raw.id, dataclasses.replace(raw, split="train"))
    made = [example(raw, corpus.parent) for raw in first.values()]
    records.write(tmp_path / "records.parquet", made[::2])
    records.write(tmp_path / "records.tfrecord", made[1::2])
    run(tmp_path / "records.*", tmp_path / "output", rejected_limit=0.0, shards=3)
    wanted = computed(list(kept.values()), what, analysis_of(tmp_path / "output"))
    assert_same_features(features_of(tmp_path / "output"), wanted, tolerance=1e-6)


def example(raw: RawRecord, folder: Path) -> records.Example:
    """The record with its media read; those that cannot be are left out, and labels likewise."""

    def content(medium: Any) -> bytes | None:
        value = getattr(medium, "value", "")
        path = folder / value
        return path.read_bytes() if value.startswith("media/") and path.is_file() else None

    named = {
        name: value
        for name, value in raw.labels.items()
        if isinstance(value, list if name == "marks" else str | int)
    }
    text = raw.text.decode() if isinstance(raw.text, bytes) else None
    return records.Example(
        raw.id,
        content(raw.image),
        content(raw.audio),
        text,
        raw.group,
        raw.split,
        {name: str(value) if name == "category" else value for name, value in named.items()},
        {"source": "generated"},
    )


@contextlib.contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Everything that Beam's runner groups, or keeps between two stages."""
    seen: list[bytes] = []
    for buffer in (execution.GroupingBuffer, execution.ListBuffer):
        append = buffer.append

        def noted(self: Any, element: bytes, append: Any = append) -> None:
            seen.append(element)
            append(self, element)

        monkeypatch.setattr(buffer, "append", noted)
    yield seen
    monkeypatch.undo()


def holds(seen: Iterable[bytes], marks: Sequence[bytes]) -> bool:
    return any(mark in element for element in seen for mark in marks)


def test_media_are_read_once_and_cross_no_shuffle(tmp_path, monkeypatch):
    (tmp_path / "spec.yaml").write_text(SPEC)
    made = [line(tmp_path, index) | {"split": "train"} for index in range(12)]
    rng = np.random.default_rng(0)
    marks = []
    for one in made:
        pixels = rng.integers(0, 256, (100, 100, 3)).astype(np.uint8)
        picture = media.encoded(media.Image.fromarray(pixels), "PNG")
        one["image"] = place(tmp_path, f"{one['id']}.png", picture)
        samples = rng.integers(-(2**15), 2**15, 8000).astype(np.int16)
        sound = media.sound(samples, 8000, "WAV", subtype="PCM_16")
        one["audio"] = place(tmp_path, f"{one['id']}.wav", sound)
        one["text"] = " ".join(rng.choice(WORDS, 200))
        marks += [picture[5000:5032], sound[9000:9032], one["text"].encode()[100:132]]
    corpus = records.write_lines(tmp_path / "records.jsonl", made)
    what = loading.load(tmp_path / "spec.yaml")
    folder = tmp_path / "folder"
    work = folder / "work"
    work.mkdir(parents=True)

    with watched(monkeypatch) as seen:
        root = beam.Pipeline(options=beam_options.beam_options())
        planned = root | beam.Create(
            unit_plans.plan(unit_plans.list_inputs([str(corpus)])), reshuffle=False
        )
        read = planned | sources_read.ReadRecords(what.label_names)
        pipeline.define_canonical_pipeline(read, Canonicalizer(what), str(work), share=1)
        result = root.run()
        result.wait_until_finish()
        counters = results.counters(result)
        shutil.rmtree(tmp_path / "media")  # the second pass needs no source
        files = [CanonicalFile(**file) for file in json_files.read(work / "files.json")]
        stored = sum(Path(file.path).stat().st_size for file in files)
        with (
            beam.Pipeline(options=beam_options.beam_options()) as root,
            tft_beam.Context(temp_dir=str(work / "tft")),
        ):
            pipeline.define_feature_pipeline(root, files, frozenset(), what, 1, str(folder))

    assert {name: counters[f"Canonicalize.{name}_used"] for name in ("image", "audio")} == {
        "image": 12,
        "audio": 12,
    }
    assert sum(shard["rows"] for shard in json_files.read(work / "shards.json")) == 12
    assert stored > 400_000
    assert seen
    assert not holds(seen, marks)
    assert max(len(element) for element in seen) < 20_000


def test_the_watch_sees_media_that_do_cross_a_shuffle(monkeypatch):
    mark = b"a medium that is grouped"
    with watched(monkeypatch) as seen, beam.Pipeline(options=beam_options.beam_options()) as root:
        _ = root | beam.Create([(1, mark), (2, b"other")], reshuffle=False) | beam.GroupByKey()
    assert holds(seen, [mark])
