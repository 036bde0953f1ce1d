"""Transform digest: different for different transforms, the same for each build of one."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from triad_ml.transforms.features import audio as features_audio
from triad_ml.transforms.features import image as features_image
from triad_ml.transforms.features import registry as features_registry
from triad_ml.transforms.features import words as features_words
from triad_ml.transforms.features.analyzers import Analysis
from triad_ml.transforms.graph import digest as graph_digest
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

ROOT = Path(__file__).resolve().parents[3]
SPEC_TEXT = """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.2, mel_bins: 8}
  text: {tokens: character, vocabulary: 100, length: 5}
tasks:
  kind: {kind: classification, label: what}
  marks: {kind: classification, label: signs, multi_label: true}
"""
SPEC = loading.parse(SPEC_TEXT)
ANALYSIS = Analysis(
    {
        "text_vocabulary": ("the", "été"),
        "label_kind_vocabulary": ("cat", "dog"),
        "label_marks_vocabulary": ("x",),
    },
    {"audio": ((0.5,) * 8, (1.5,) * 8)},
)

OTHER_PROCESS = """
import sys
import tensorflow as tf
from triad_ml.transforms.graph import digest
from triad_ml.transforms.spec import loading
from triad_ml.transforms.features.analyzers import Analysis

@tf.function
def other_work(values):
    return tf.map_fn(lambda one: tf.cond(one > 0, lambda: one, lambda: -one), values)

other_work(tf.constant([1.0, -2.0]))
for text in ("a", "b"):
    tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer([text], tf.constant([1], tf.int64)), 0
    )
print(digest.transform_digest(loading.parse(sys.argv[1]), Analysis.from_json(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def digest() -> str:
    return graph_digest.transform_digest(SPEC, ANALYSIS)


def changed(old: str, new: str) -> Spec:
    assert old in SPEC_TEXT
    return loading.parse(SPEC_TEXT.replace(old, new))


def test_it_is_the_same_as_ever(digest):
    """Who has data and models of this transform must preprocess and train anew where it changes.

    Change the digest here with the feature graph, or with TensorFlow's version, and say so in the
    changelog; nothing else may change it.
    """
    assert digest == "3bbcb8f802aa35d3e04a3bc4230aab8db45297d9b026c949cd6c0ef70f9d7aae"


def test_it_is_the_same_whatever_a_process_did_before(digest):
    words = changed("tokens: character", "tokens: word")  # a graph of more functions
    finished = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, words.to_json(), ANALYSIS.to_json()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == graph_digest.transform_digest(words, ANALYSIS)
    assert graph_digest.transform_digest(SPEC, ANALYSIS) == digest
    assert len(digest) == 64


@pytest.mark.parametrize(
    "vocabularies",
    [
        {"text_vocabulary": ("the", "été", "new")},
        {"text_vocabulary": ("été", "the")},
        {"label_kind_vocabulary": ("cat", "dog", "owl")},
        {"label_marks_vocabulary": ()},
    ],
)
def test_it_changes_with_a_vocabulary(digest, vocabularies):
    analysis = dataclasses.replace(ANALYSIS, vocabularies={**ANALYSIS.vocabularies, **vocabularies})
    assert graph_digest.transform_digest(SPEC, analysis) != digest


@pytest.mark.parametrize(
    "moments",
    [((0.5,) * 7 + (0.5009765625,), (1.5,) * 8), ((0.5,) * 8, (1.5009765625,) + (1.5,) * 7)],
)
def test_it_changes_with_a_moment(digest, moments):
    analysis = dataclasses.replace(ANALYSIS, moments={"audio": moments})
    assert graph_digest.transform_digest(SPEC, analysis) != digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: 16", "size: 17"),
        ("size: 16", "size: 16, fit: stretch"),
        ("seconds: 0.2", "seconds: 0.21"),
        ("length: 5", "length: 6"),
        ("vocabulary: 100", "vocabulary: 101"),
        ("tokens: character", "tokens: word"),
        ("label: what", "label: that"),
        ("tasks:", "limits: {keep_pixels: 1000}\ntasks:"),
    ],
)
def test_it_changes_with_what_the_spec_says_of_features(digest, old, new):
    assert graph_digest.transform_digest(changed(old, new), ANALYSIS) != digest


def test_it_does_not_change_with_what_decides_no_feature(digest):
    more = """
model: {dim: 16, dropout: 0.1}
training: {epochs: 3, seed: 5, learning_rate: 0.1}
split: {train: 0.5, eval: 0.25, test: 0.25}
"""
    other = changed("label: what}", "label: what, weight: 2, imbalance: class_weights}")
    assert graph_digest.transform_digest(loading.parse(SPEC_TEXT + more), ANALYSIS) == digest
    assert graph_digest.transform_digest(other, ANALYSIS) == digest


def inverted_framed(pixels, size):
    """As in the feature graph, but the odd line of white goes above the picture."""
    spare = size - tf.shape(pixels)[:2]
    before = spare - spare // 2
    margins = tf.concat([tf.stack([before, spare - before], axis=1), [[0, 0]]], axis=0)
    return tf.pad(pixels, margins, constant_values=255)


def framed_in_black(pixels, size):
    spare = size - tf.shape(pixels)[:2]
    before = spare // 2
    margins = tf.concat([tf.stack([before, spare - before], axis=1), [[0, 0]]], axis=0)
    return tf.pad(pixels, margins, constant_values=0)


def log_mel_with_another_floor(signal, what):
    spectra = tf.abs(tf.signal.stft(signal, what.frame_length, what.frame_step))
    bands = tf.signal.linear_to_mel_weight_matrix(
        what.mel_bins, spectra.shape[-1], what.sample_rate, 20.0, what.sample_rate / 2
    )
    return tf.math.log(tf.maximum(tf.matmul(spectra, bands), 1e-6))


@pytest.mark.parametrize(
    ("module", "name", "variant"),
    [
        (features_image, "_framed", inverted_framed),
        (features_image, "_framed", framed_in_black),
        (features_audio, "log_mel_graph", log_mel_with_another_floor),
    ],
)
def test_it_changes_with_one_line_of_the_graph(digest, monkeypatch, module, name, variant):
    monkeypatch.setattr(module, name, variant)
    assert graph_digest.transform_digest(SPEC, ANALYSIS) != digest


def test_it_changes_with_what_a_word_is(monkeypatch):
    by_words = changed("tokens: character", "tokens: word")
    before = graph_digest.transform_digest(by_words, ANALYSIS)
    monkeypatch.setattr(features_words, "_WORD", r"[\p{L}\p{M}\p{N}]")
    assert graph_digest.transform_digest(by_words, ANALYSIS) != before


def two_sounds(swapped):
    """A graph whose two forms differ in nothing but which of two like results goes first."""

    def graph(content, what, analyzers):
        del analyzers
        one = tf.strings.length(content)
        other = tf.strings.length(tf.strings.strip(content))
        first, second = (other, one) if swapped else (one, other)
        spread = tf.cast(first - second, tf.float32)[:, tf.newaxis, tf.newaxis]
        return tf.tile(spread, [1, what.frames, what.mel_bins])

    return graph


def two_branches(swapped):
    """The same inside the function of a loop."""

    def graph(content, what):
        def joined(one):
            left = tf.cond(tf.equal(one, b""), lambda: one, lambda: one + "a")
            right = tf.cond(tf.equal(one, b"b"), lambda: one, lambda: one + "a")
            return tf.strings.join([right, left] if swapped else [left, right])

        return tf.map_fn(joined, content)

    return graph


@pytest.mark.parametrize(
    ("name", "variants"), [("audio_graph", two_sounds), ("image_graph", two_branches)]
)
def test_it_changes_where_like_results_change_places(monkeypatch, name, variants):
    found = set()
    for swapped in (False, True, False):
        monkeypatch.setattr(features_registry, name, variants(swapped))
        found.add(graph_digest.transform_digest(SPEC, ANALYSIS))
    assert len(found) == 2
