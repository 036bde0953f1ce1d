"""Small training files with a planted signal, in the format of preprocessing."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.transforms.features.grams import GRAMS, grams_length
from triad_ml.transforms.records.values import GROUP
from triad_ml.transforms.spec import split
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.training import DATASET_FEATURE

ALL = ("image", "audio", "text")
SECTIONS: Mapping[str, Mapping[str, Any]] = {
    "image": {"size": 16},
    "audio": {"sample_rate": 4000, "seconds": 0.2, "mel_bins": 8},
    "text": {"vocabulary": 30, "length": 6},
}
MODEL = {"dim": 16, "image_filters": [8], "audio_filters": [8], "text_dim": 8}
VOCABULARY_SIZE = 32


@dataclasses.dataclass(frozen=True)
class FeatureRecord:
    """Record of the training files; a missing modality is None."""

    id: str
    image: npt.NDArray[np.uint8] | None = None
    audio: npt.NDArray[np.float32] | None = None
    text: npt.NDArray[np.int64] | None = None
    labels: Mapping[str, int | Sequence[int]] = dataclasses.field(default_factory=dict)
    dataset: str = ""


def layout(
    modalities: Collection[str] = ALL,
    num_classes: int = 3,
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
    model: Mapping[str, Any] | None = None,
    mixture: Mapping[str, Any] | None = None,
    **training: Any,
) -> Layout:
    """Returns a layout of tiny sizes; every task has the classes `c0`, `c1` and so on."""
    whole = tasks or {"category": {}}
    spec = Spec.model_validate(
        {
            "modalities": {name: SECTIONS[name] for name in modalities},
            "tasks": {
                name: {"kind": "classification", "label": name, **task}
                for name, task in whole.items()
            },
            "model": {**MODEL, **(model or {})},
            "mixture": mixture,
            "training": {"batch_size": 8, "epochs": 3, **training},
        }
    )
    classes = tuple(f"c{place}" for place in range(num_classes))
    return Layout(spec, dict.fromkeys(whole, classes), VOCABULARY_SIZE)


def records(
    what: Layout,
    count: int,
    seed: int = 0,
    missing: float = 0.0,
    planted: Collection[str] = ALL,
) -> list[FeatureRecord]:
    """Returns records with noise, and a signal for the class in each `planted` modality.

    The signal is the brightness of a colour channel, a band of the audio, and a word of the text.
    Every record has at least one modality. A multi-label task gets the set `{class}`.

    Args:
        what: Layout with sizes, tasks and classes.
        count: Number of records.
        seed: Random seed.
        missing: Probability with which each modality is missing.
        planted: Modalities that have the signal.
    """
    random = np.random.default_rng(seed)
    names = what.spec.modalities.names
    num_classes = len(next(iter(what.classes.values())))
    made = []
    for place in range(count):
        label = int(random.integers(num_classes))
        gone = random.random(len(names)) < missing
        gone[random.integers(len(names))] = False
        media = {}
        for name, is_gone in zip(names, gone, strict=True):
            values = _noise(name, what, random)
            if name in planted:
                _plant(name, values, label)
            media[name] = None if is_gone else values
        labels = {
            name: [label] if task.multi_label else label for name, task in what.spec.tasks.items()
        }
        made.append(FeatureRecord(f"record-{place:04d}", labels=labels, **media))
    return made


def pairs(
    what: Layout,
    count: int,
    seed: int,
    pair: tuple[str, str],
    signs_of: tuple[str, ...] = (),
) -> list[FeatureRecord]:
    """Returns records whose class depends on whether two modalities show the same of two signs.

    Each sign is equally frequent in both classes, so that no single modality has information.

    Args:
        what: Layout with sizes and two classes.
        count: Number of records, a multiple of 4.
        seed: Random seed.
        pair: Modalities that show a sign; the others are noise.
        signs_of: Tasks whose class is the first sign, and the second; all others have the class
            above.
    """
    random = np.random.default_rng(seed)
    made = []
    for place, signs in enumerate(
        random.permutation([(0, 0), (0, 1), (1, 0), (1, 1)] * (count // 4))
    ):
        media = {name: _noise(name, what, random) for name in what.spec.modalities.names}
        for name, sign in zip(pair, signs, strict=True):
            _plant(name, media[name], int(sign))
        same = int(signs[0] == signs[1])
        labels = dict.fromkeys(what.spec.tasks, same)
        labels |= {task: int(sign) for task, sign in zip(signs_of, signs, strict=False)}
        made.append(FeatureRecord(f"pair-{place:04d}", labels=labels, **media))
    return made


def serialize(record: FeatureRecord, what: Layout) -> bytes:
    """Returns a serialized tf.Example of the layout."""
    feature = {"id": _strings(record.id.encode())}
    feature[GROUP] = _integers([split.group_number(record.id, None, what.spec.split)])
    if what.spec.mixture is not None:
        feature[DATASET_FEATURE] = _strings(record.dataset.encode())
    for name in what.spec.modalities.names:
        values = getattr(record, name)
        feature[f"{name}_present"] = _integers([int(values is not None)])
        if values is None:
            values = np.zeros_like(_noise(name, what, np.random.default_rng(0)))
        if name == "image":
            feature[name] = _strings(values.tobytes())
        elif name == "audio":
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values.ravel()))
        else:
            feature[name] = _integers(values)
            feature[GRAMS] = _integers(grams(values, what))
    for name, task in what.spec.tasks.items():
        label = record.labels.get(name, [-1] if task.multi_label else -1)
        feature[f"label_{name}"] = _integers([label] if isinstance(label, int) else label)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return bytes(example.SerializeToString(deterministic=True))


def grams(tokens: npt.NDArray[np.int64], what: Layout) -> npt.NDArray[np.int64]:
    """Numbers of n-grams, as if each token were one."""
    assert what.spec.modalities.text is not None
    numbers = np.zeros(grams_length(what.spec.modalities.text), np.int64)
    numbers[: len(tokens)] = tokens
    return numbers


def write(
    folder: Path, what: Layout, made: Sequence[FeatureRecord], num_shards: int = 2
) -> list[str]:
    """Writes records in turn to `num_shards` files and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for shard in range(num_shards):
        path = str(folder / f"part-{shard:05d}-of-{num_shards:05d}.tfrecord.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for record in made[shard::num_shards]:
                writer.write(serialize(record, what))
        files.append(path)
    return files


def batch(what: Layout, rows: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """Returns noise as input features of the model, with all modalities present."""
    random = np.random.default_rng(seed)
    features: dict[str, npt.NDArray[Any]] = {}
    for name in what.spec.modalities.names:
        features[name] = np.stack([_noise(name, what, random) for _ in range(rows)])
        features[f"{name}_present"] = np.ones(rows, bool)
    return features


def _noise(name: str, what: Layout, random: np.random.Generator) -> npt.NDArray[Any]:
    sections = what.spec.modalities
    if name == "image":
        assert sections.image is not None
        shape = (sections.image.size, sections.image.size, 3)
        return random.integers(0, 120, shape).astype(np.uint8)
    if name == "audio":
        assert sections.audio is not None
        shape = (sections.audio.frames, sections.audio.mel_bins)
        return random.normal(0, 0.5, shape).astype(np.float32)
    assert sections.text is not None
    tokens = np.zeros(sections.text.length, np.int64)
    words = int(random.integers(2, sections.text.length + 1))
    tokens[:words] = random.integers(12, VOCABULARY_SIZE, words)
    return tokens


def _plant(name: str, values: npt.NDArray[Any], label: int) -> None:
    if name == "image":
        values[4:12, 4:12, label % 3] = 250
    elif name == "audio":
        values[:, label % values.shape[1]] += 3
    else:
        values[0] = 2 + label


def _strings(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integers(values: Sequence[int] | npt.NDArray[np.int64]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
