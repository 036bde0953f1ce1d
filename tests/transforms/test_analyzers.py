"""What the feature graph takes from a pass over the training split, in a real pass."""

import dataclasses
import itertools
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.public import tfxio

from pipelines import options
from tests import media
from transforms import audio, examples, preprocessing, spec
from transforms.analyzers import Analysis, KnownAnalyzers
from transforms.errors import OptionsError
from transforms.records import CanonicalRecord, Position

SPEC = spec.parse(
    """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.2, mel_bins: 8}
  text: {tokens: word, vocabulary: 4, length: 6}
tasks:
  kind: {kind: classification, label: what}
  marks: {kind: classification, label: signs, multi_label: true}
"""
)
SOUND = SPEC.modalities.audio
PLACE = Position("records.jsonl", 0)
COMBINATIONS = [
    names
    for size in (1, 2, 3)
    for names in itertools.combinations(("image", "audio", "text"), size)
]
WORDS = ["the"] * 8 + ["of"] * 5 + ["sea"] * 3 + ["sky"] * 2 + ["rare"]


def wav(samples: int, seed: int) -> bytes:
    signal = media.wave(8000, samples / 8000, seed=seed)[:, 0] * (1 + seed % 5) / 5
    return audio.header(8000, samples) + np.round(signal * 2**15).astype("<i2").tobytes()


def records() -> list[CanonicalRecord]:
    """Three records of each combination of modalities, and one without some label."""
    made = []
    for place, names in enumerate(COMBINATIONS * 3):
        text = " ".join(WORDS[place % len(WORDS) :: 7]) + (" The" if place % 2 else " OF!")
        whole = {
            "image": media.png(width=20 + place, seed=place),
            "audio": wav((120, 700, 1600)[place // len(COMBINATIONS)], seed=place),
            "text": text.encode(),
        }
        labels = {
            "what": ["cat", "dog", "cat", "cat", None, "dog", "owl"][place % 7],
            "signs": [["x", "y"], ["x"], [], None, ["x", "z", "y"]][place % 5],
        }
        kept = {name: whole[name] for name in names}
        made.append(CanonicalRecord(f"r-{place:02d}", PLACE, labels=labels, **kept))
    return made


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one pass made: the transform graph, and the features of the records by id."""

    folder: str
    features: dict[str, dict[str, list]]

    @property
    def analysis(self) -> Analysis:
        return Analysis.of_transform_output(self.folder, ("audio",))


def measure(made: list[CanonicalRecord], folder: Path, batch_size: int = 4) -> Measured:
    """Analyzes and transforms records as the preprocessing pipeline does."""
    raw = tft.DatasetMetadata.from_feature_spec(preprocessing.raw_feature_spec(SPEC))
    source = tfxio.TFExampleBeamRecord("tfrecord", schema=raw.schema, telemetry_descriptors=["t"])
    serialized = [examples.from_record(record, SPEC).serialized for record in made]
    written = str(folder / "features")
    with beam.Pipeline(options=options.beam_options()) as root, tft_beam.Context(str(folder)):
        batches = (
            root
            | beam.Create(serialized, reshuffle=False)
            | source.BeamSource(batch_size=batch_size)
        )
        (transformed, metadata), transform_fn = (
            batches,
            source.TensorAdapterConfig(),
        ) | tft_beam.AnalyzeAndTransformDataset(
            preprocessing.preprocessing_fn(SPEC), output_record_batches=True
        )
        del metadata
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "transform"))
        rows = transformed | beam.FlatMap(lambda batch: batch[0].to_pylist())
        _ = rows | beam.io.WriteToText(written, num_shards=1, shard_name_template="")
    lines = Path(written).read_text(encoding="utf-8").splitlines()
    rows = [eval(line) for line in lines]
    return Measured(str(folder / "transform"), {row["id"][0].decode(): row for row in rows})


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return measure(records(), tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    made = [dataclasses.replace(record, audio=b"") for record in records()]
    return measure([record for record in made if record.present], tmp_path_factory.mktemp("silent"))


def test_x(measured, silent):
    print(measured.analysis)
    print(silent.analysis)
    f = measured.features
    for k in list(f)[:5]:
        print({a: (b if a != "image" and a != "audio" else None) for a, b in f[k].items()})
    print(type(f["r-00"]["audio"]), type(f["r-00"]["image"]))
    assert 0
