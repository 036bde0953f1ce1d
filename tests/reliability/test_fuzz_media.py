"""Fuzzing of the three decoders: they raise nothing but `MediumError`.

TRIAD_FUZZ_EXAMPLES=100000 pytest tests/reliability/test_fuzz_media.py runs for about an hour, with
other damage than in everyday tests; media that fail are written to `seeds/failures`.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import media
from tests.reliability import mutants, seed_media
from triad_ml.transforms.features import image as features_image
from triad_ml.transforms.media import audio, image_check, text
from triad_ml.transforms.media import image as media_image
from triad_ml.transforms.records.values import MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, ImageSpec, Limits

EXAMPLES = int(os.environ.get("TRIAD_FUZZ_EXAMPLES", "60"))
"""Of each seed by the mutator; hypothesis tries three times as many of each modality."""

SEED = 0 if EXAMPLES == 60 else EXAMPLES
LIMITS = Limits(media_bytes=2**20, image_pixels=100_000, text_bytes=10_000, decode_seconds=5)
SOUNDS = AudioSpec(sample_rate=16_000, seconds=0.5)
MODALITIES = ("image", "audio", "text")
SEEDS = {modality: seed_media.seeds(modality) for modality in MODALITIES}
FAILURES = {modality: seed_media.failures(modality) for modality in MODALITIES}
FUZZ = settings(
    deadline=None,
    max_examples=3 * EXAMPLES,
    derandomize=EXAMPLES == 60,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def canonical(modality: str, content: bytes) -> bytes:
    if modality == "image":
        return media_image.canonical(content, LIMITS)
    if modality == "audio":
        return audio.canonical(content, SOUNDS, LIMITS)
    return text.canonical(content, LIMITS)


def check(modality: str, content: bytes) -> bool:
    """Whether a medium is accepted; if so its canonical form is canonical, and can be decoded."""
    try:
        once = canonical(modality, content)
    except MediumError:
        return False
    assert canonical(modality, once) == once, hashlib.sha256(content).hexdigest()
    if modality == "image" and once != content:
        assert image_check.check_image(once) is None
    if modality == "audio":
        assert 0 < audio.samples(once).size <= SOUNDS.samples
    return True


@pytest.mark.parametrize(
    ("modality", "name"), [(modality, name) for modality in SEEDS for name in SEEDS[modality]]
)
def test_mutants_of_a_seed_are_accepted_or_refused(modality: str, name: str) -> None:
    seed = SEEDS[modality][name]
    assert check(modality, seed)
    for content in mutants.mutants([seed], EXAMPLES, SEED):
        check(modality, content)


@pytest.mark.parametrize(
    ("modality", "name"), [(modality, name) for modality in FAILURES for name in FAILURES[modality]]
)
def test_what_once_failed_is_refused_and_so_are_its_mutants_or_accepted(
    modality: str, name: str
) -> None:
    failed = FAILURES[modality][name]
    assert not check(modality, failed)
    for content in mutants.mutants([failed], EXAMPLES, SEED):
        check(modality, content)


@pytest.mark.parametrize("modality", SEEDS)
def test_mutants_that_are_spliced_of_all_seeds_are_accepted_or_refused(modality: str) -> None:
    spliced = mutants.mutants(list(SEEDS[modality].values()), 5 * EXAMPLES, SEED + 1)
    assert {check(modality, content) for content in spliced} == {True, False}


@FUZZ
@given(mutants.strategy(list(SEEDS["image"].values())))
def test_damaged_pictures_are_accepted_or_refused(content: bytes) -> None:
    check("image", content)


@FUZZ
@given(mutants.strategy(list(SEEDS["audio"].values())))
def test_damaged_sounds_are_accepted_or_refused(content: bytes) -> None:
    check("audio", content)


@FUZZ
@given(mutants.strategy(list(SEEDS["text"].values())) | st.binary(max_size=200))
def test_damaged_texts_are_accepted_or_refused(content: bytes) -> None:
    check("text", content)


@FUZZ
@given(st.sampled_from(sorted(SEEDS)), st.binary(max_size=300))
def test_noise_is_accepted_or_refused(modality: str, content: bytes) -> None:
    check(modality, content)


def test_what_counts_as_readable_is_what_the_feature_graph_reads() -> None:
    signature = [tf.TensorSpec([None], tf.string)]
    graph = tf.function(lambda one: features_image.image_graph(one, ImageSpec(size=16)), signature)
    plain = [SEEDS["image"][name] for name in ("plain.jpg", "progressive.jpg", "palette.png")]
    verdicts = []
    for content in [media.png(), *plain, *mutants.mutants(plain, 3 * EXAMPLES, SEED + 2)]:
        try:
            once = canonical("image", content)
        except MediumError:
            continue
        verdicts.append((_passes(image_check.check_image, once), _passes(graph, [once])))
    assert {pair for pair in verdicts if pair[0] != pair[1]} == set()
    assert {True, False} == {passed for passed, _ in verdicts}


def _passes(read: Callable[[Any], object], content: object) -> bool:
    try:
        read(content)
    except (MediumError, tf.errors.InvalidArgumentError):
        return False
    return True
