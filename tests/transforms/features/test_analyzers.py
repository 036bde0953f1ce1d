"""Vocabularies and moments of the feature graph, in a real pass of tf.Transform."""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.public import tfxio

from tests import media
from triad_ml.pipelines.runners import beam_options
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features import audio as features_audio
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.features.ids import UNKNOWN
from triad_ml.transforms.graph import preprocessing_fn, raw_examples
from triad_ml.transforms.media import audio as media_audio
from triad_ml.transforms.records.values import CanonicalRecord, Position
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

SPEC = loading.parse(
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
CHARACTERS_SPEC = loading.parse(
    """
modalities:
  audio: {sample_rate: 8000, seconds: 0.2, mel_bins: 8}
  text: {tokens: character, vocabulary: 100, length: 6}
tasks:
  kind: {kind: classification, label: what}
"""
)
SILENT_SPEC = loading.parse(
    """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.2, mel_bins: 8}
  text: {tokens: character, vocabulary: 100, length: 6}
tasks:
  kind: {kind: classification, label: what}
"""
)
SOUND = SPEC.modalities.audio
SAMPLES = (120, 700, 1600)  # under a frame, some frames, all of them
PLACE = Position("records.jsonl", 0)
COMBINATIONS = [
    names
    for size in (1, 2, 3)
    for names in itertools.combinations(("image", "audio", "text"), size)
]
TEXTS = ["The sea, the SEA", "the sky\n", "the sea ?"]


def signal(samples: int, seed: int) -> np.ndarray:
    loudness = (1 + seed % 5) / 5
    return np.round(media.wave(8000, samples / 8000, seed=seed)[:, 0] * loudness * 2**15)


def wav(samples: int, seed: int) -> bytes:
    return media_audio.header(8000, samples) + signal(samples, seed).astype("<i2").tobytes()


def records() -> list[CanonicalRecord]:
    """Three records of each combination of modalities, with and without labels."""
    made = []
    for place, names in enumerate(COMBINATIONS * 3):
        group = place // len(COMBINATIONS)
        whole = {
            "image": media.png(width=20 + place, seed=place),
            "audio": wav(SAMPLES[group], seed=place),
            "text": TEXTS[group].encode(),
        }
        labels = {
            "what": ["cat", "dog", "cat", "cat", None, "dog", "owl"][place % 7],
            "signs": [["x", "y"], ["x"], [], None, ["x", "z", "y"]][place % 5],
        }
        kept = {name: whole[name] for name in names}
        made.append(CanonicalRecord(f"r-{place:02d}", PLACE, labels=labels, **kept))
    return made


class Analyzed:
    """A transform graph that tf.Transform wrote, what it found, and the graph of what is known."""

    def __init__(self, what: Spec, folder: Path) -> None:
        self.folder = folder
        self.analysis = Analysis.of_transform_output(folder, ("audio",))
        self._spec = what
        layer = tft.TFTransformOutput(str(folder)).transform_features_layer()
        self._graphs = [
            self._traced(layer),
            self._traced(preprocessing_fn.preprocessing_fn(what, KnownAnalyzers(self.analysis))),
        ]

    def features(self, made: Sequence[CanonicalRecord]) -> dict[str, Any]:
        """Features of one batch as arrays, once both graphs are seen to give the very same."""
        serialized = [raw_examples.from_record(record, self._spec).serialized for record in made]
        measured, known = (graph(serialized) for graph in self._graphs)
        assert set(measured) == set(known)
        for name, value in measured.items():
            np.testing.assert_array_equal(value, known[name], name, strict=True)
        return {name: value.numpy() for name, value in measured.items()}

    def _traced(
        self, transform: Callable[[dict], dict]
    ) -> tf.types.experimental.PolymorphicFunction:
        description = preprocessing_fn.raw_feature_spec(self._spec)

        def graph(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
            features = transform(tf.io.parse_example(serialized, description))
            for name, value in list(features.items()):
                if isinstance(value, tf.SparseTensor):
                    del features[name]
                    features |= {
                        f"{name}/{part}": getattr(value, part)
                        for part in ("indices", "values", "dense_shape")
                    }
            return features

        return tf.function(graph, input_signature=[tf.TensorSpec([None], tf.string)])


def analyzed(
    made: Sequence[CanonicalRecord], what: Spec, folder: Path, batch_size: int
) -> Analyzed:
    """Analyzes records as the preprocessing pipeline does."""
    raw = tft.DatasetMetadata.from_feature_spec(preprocessing_fn.raw_feature_spec(what))
    source = tfxio.TFExampleBeamRecord("tfrecord", schema=raw.schema, telemetry_descriptors=["t"])
    serialized = [raw_examples.from_record(record, what).serialized for record in made]
    with (
        beam.Pipeline(options=beam_options.beam_options()) as root,
        tft_beam.Context(str(folder / "work")),
    ):
        records = root | beam.Create(serialized, reshuffle=False)
        batches = records | source.BeamSource(batch_size=batch_size)
        dataset = (batches, source.TensorAdapterConfig())
        transform_fn = dataset | tft_beam.AnalyzeDataset(preprocessing_fn.preprocessing_fn(what))
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
    return Analyzed(what, folder / "graph")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Analyzed:
    return analyzed(records(), SPEC, tmp_path_factory.mktemp("whole"), batch_size=4)


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory) -> Analyzed:
    """Of the same sounds and texts, in another order and in other batches."""
    made = [record for record in records() if record.audio or record.text]
    random.Random(1).shuffle(made)
    return analyzed(made, CHARACTERS_SPEC, tmp_path_factory.mktemp("shuffled"), batch_size=5)


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Analyzed:
    """Of one picture: no sound, no text, no label."""
    made = [CanonicalRecord("r", PLACE, image=media.png())]
    return analyzed(made, SILENT_SPEC, tmp_path_factory.mktemp("empty"), batch_size=4)


def sounding_frames() -> np.ndarray:
    """Log-mel of the frames that hold sound, of all records that have one."""
    rows = []
    for place, names in enumerate(COMBINATIONS * 3):
        samples = SAMPLES[place // len(COMBINATIONS)]
        if "audio" not in names:
            continue
        padded = np.zeros(SOUND.samples, np.float32)
        padded[:samples] = signal(samples, seed=place) / 2**15
        log_mel = features_audio.log_mel_graph(padded[np.newaxis], SOUND)[0].numpy()
        rows.append(log_mel[: {120: 1, 700: 7, 1600: 18}[samples]])
    return np.concatenate(rows).astype(np.float64)


def test_moments_are_those_of_the_frames_that_hold_sound(whole):
    frames = sounding_frames()
    assert frames.shape == (4 * (1 + 7 + 18), 8)
    mean, deviation = whole.analysis.moments["audio"]
    np.testing.assert_allclose(mean, frames.mean(axis=0), rtol=0, atol=1 / 2048 + 1e-5)
    np.testing.assert_allclose(deviation, frames.std(axis=0), rtol=0, atol=1 / 2048 + 1e-5)
    assert min(deviation) > 0.1


def test_moments_are_whole_steps(whole):
    for values in whole.analysis.moments["audio"]:
        assert [1024 * value for value in values] == [round(1024 * value) for value in values]


def test_moments_do_not_depend_on_the_order_or_on_the_batches(whole, shuffled):
    assert shuffled.analysis.moments == whole.analysis.moments


def test_vocabularies_follow_falling_frequency_and_keep_the_most_frequent(whole):
    # Of each text there are four records: "the" 16 times, "sea" 12, and "," "?" "sky" 4 each.
    vocabularies = dict(whole.analysis.vocabularies)
    tokens = vocabularies.pop("text_vocabulary")
    assert tokens[:2] == ("the", "sea")
    assert len(tokens) == 4
    assert set(tokens[2:]) < {",", "?", "sky"}
    assert vocabularies == {
        "label_kind_vocabulary": ("cat", "dog", "owl"),
        "label_marks_vocabulary": ("x", "y", "z"),
    }


def test_characters_are_counted_with_spaces_and_without_line_ends(shuffled):
    tokens = shuffled.analysis.vocabularies["text_vocabulary"]
    assert set(tokens) == set("".join(TEXTS).lower()) - {"\n"}
    assert tokens[:2] == ("e", " ")  # 28 and 24 times


def test_known_analyzers_give_the_very_features_of_the_measured_graph(whole, shuffled):
    made = records()
    features = whole.features(made)
    assert set(features) == {
        *("id", "image", "audio", "text", "image_present", "audio_present", "text_present"),
        "text_grams",
        *("label_kind", "label_marks/indices", "label_marks/values", "label_marks/dense_shape"),
    }
    for name in ("image", "audio", "text"):
        present = [int(name in record.present) for record in made]
        assert features[f"{name}_present"].tolist() == present
    assert features["label_kind"].tolist() == [0, 1, 0, 0, -1, 1, 2] * 3
    shuffled.features(made)


def test_scored_frames_have_mean_0_and_deviation_1_over_the_training_split(whole):
    made = [record for record in records() if record.audio]
    features = whole.features(made)["audio"]
    rows = [
        one[: {120: 1, 700: 7, 1600: 18}[media_audio.samples(record.audio).size]]
        for one, record in zip(features, made, strict=True)
    ]
    frames = np.concatenate(rows)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=2e-3)


def test_both_graphs_agree_on_what_the_training_split_never_had(whole):
    made = [
        CanonicalRecord("text", PLACE, text="Jamais vu — 日本, the".encode()),
        CanonicalRecord("labels", PLACE, text=b"x", labels={"what": "elk", "signs": ["x", "new"]}),
        CanonicalRecord("sound", PLACE, audio=wav(199, seed=77), labels={"signs": []}),
    ]
    features = whole.features(made)
    assert features["label_kind"].tolist() == [-1, 3, -1]
    assert features["label_marks/indices"].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert features["label_marks/values"].tolist() == [-1, 3, 0]  # "new" comes before "x"
    assert features["text"][0].tolist()[:2] == [UNKNOWN] * 2


def test_both_graphs_agree_on_a_space_among_characters(shuffled):
    features = shuffled.features([CanonicalRecord("r", PLACE, text="e \t\n e\u3000".encode())])
    assert features["text"].tolist() == [[2, 3, 1, 1, 3, 2]]


def test_a_training_split_without_any_sound_gives_finite_features(empty):
    assert empty.analysis.moments["audio"] == ((0.0,) * 8, (0.0,) * 8)
    made = [
        CanonicalRecord("text", PLACE, text=b"ab"),
        CanonicalRecord("sound", PLACE, audio=wav(1600, seed=1)),
    ]
    features = empty.features(made)["audio"]
    assert not features[0].any()
    assert features[1].any()
    assert np.isfinite(features).all()


def test_a_training_split_without_any_text_or_label_has_empty_vocabularies(empty):
    assert empty.analysis.vocabularies == {
        "label_kind_vocabulary": (),
        "text_vocabulary": (),
    }
    made = [
        CanonicalRecord("r", PLACE, text=b"ab c"),
        CanonicalRecord("r", PLACE, audio=wav(200, seed=1)),
    ]
    features = empty.features(made)
    assert features["text"].tolist() == [[1, 1, 1, 1, 0, 0], [0] * 6]
    assert features["label_kind"].tolist() == [-1, -1]


def test_an_analysis_survives_json(whole):
    assert Analysis.from_json(whole.analysis.to_json()) == whole.analysis
    assert "\n" not in whole.analysis.to_json()
    odd = Analysis({"a": ("é", " ", '"\u2028'), "none": ()}, {"m": ((0.1, -3.0), (1e-7, 2.5))})
    assert Analysis.from_json(odd.to_json()) == odd
    assert json.loads(odd.to_json())["vocabularies"]["a"] == ["é", " ", '"\u2028']


def test_equal_analyses_have_equal_digests_and_others_have_not():
    one = Analysis({"a": ("x", "y"), "b": ()}, {"m": ((0.0,), (1.0,))})
    same = Analysis({"b": (), "a": ("x", "y")}, {"m": ((0.0,), (1.0,))})
    assert one.digest() == same.digest()
    others = [
        Analysis({"a": ("y", "x"), "b": ()}, one.moments),
        Analysis({"a": ("x", "y")}, one.moments),
        Analysis(one.vocabularies, {"m": ((0.0,), (1.0009765625,))}),
    ]
    assert len({one.digest(), *(other.digest() for other in others)}) == 4


def test_moments_that_nobody_asks_for_are_not_read(whole):
    found = Analysis.of_transform_output(whole.folder, ())
    assert found == Analysis(whole.analysis.vocabularies, {})


def test_a_folder_without_a_transform_graph_is_refused(tmp_path):
    with pytest.raises(OptionsError) as caught:
        Analysis.of_transform_output(tmp_path, ("audio",))
    folder = tmp_path / "transform_fn"
    assert str(caught.value) == (
        f"{folder}: no transform graph; run triad preprocess with a new --output"
    )
