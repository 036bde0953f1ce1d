"""Noise on canonical media, measured on the noisy media."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import canonical
from triad_ml.pipelines.verification.robustness.noise import NOISES, noisy
from triad_ml.transforms.media import audio
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import MODALITIES

TEXT = "Ein Café am Hafen, weit weg von hier. " * 20
FIELDS: dict[str, Any] = {
    "image": canonical.plain_picture((128, 120, 136), 64, 48),
    "audio": canonical.sound(canonical.tone(440, loudness=2000)),
    "text": TEXT.strip().encode(),
}


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image, np.float64)


def test_every_modality_has_a_noise_that_grows():
    assert tuple(NOISES) == MODALITIES
    for name, noise in NOISES.items():
        rising = sorted(noise.strengths, reverse=name == "audio")  # a ratio to the noise falls
        assert list(noise.strengths) == rising


@pytest.mark.parametrize("name", MODALITIES)
def test_noise_depends_on_the_id_alone_and_leaves_a_canonical_medium(name):
    record = canonical.record("a", **FIELDS)
    for strength in NOISES[name].strengths:
        changed = noisy(record, name, strength)
        assert changed == noisy(record, name, strength)
        assert getattr(changed, name) != getattr(record, name)
        MEDIA[name].check(getattr(changed, name))
        others = set(MODALITIES) - {name}
        assert all(getattr(changed, other) == getattr(record, other) for other in others)
        elsewhere = noisy(canonical.record("b", **FIELDS), name, strength)
        assert getattr(elsewhere, name) != getattr(changed, name)


@pytest.mark.parametrize("strength", NOISES["image"].strengths[:3])
def test_noise_on_pixels_has_the_deviation_of_its_strength(strength):
    changed = noisy(canonical.record(**FIELDS), "image", strength)
    added = pixels(changed.image) - pixels(FIELDS["image"])
    assert added.std() / 255 == pytest.approx(strength, rel=0.03)


@pytest.mark.parametrize("strength", NOISES["audio"].strengths)
def test_noise_on_audio_has_the_ratio_of_its_strength(strength):
    changed = noisy(canonical.record(**FIELDS), "audio", strength)
    signal = audio.samples(FIELDS["audio"]).astype(np.float64)
    added = audio.samples(changed.audio) - signal
    ratio = 10 * np.log10(np.mean(signal**2) / np.mean(added**2))
    assert ratio == pytest.approx(strength, abs=0.1)


def test_silence_stays_silent():
    record = canonical.record(audio=canonical.sound(np.zeros(100)))
    assert noisy(record, "audio", 0.0).audio == record.audio


def test_the_share_of_characters_is_dropped_and_a_stronger_noise_drops_more_of_the_same():
    record = canonical.record(**FIELDS)
    texts = [noisy(record, "text", one).text.decode() for one in NOISES["text"].strengths]
    for text, strength in zip(texts, NOISES["text"].strengths, strict=True):
        assert 1 - len(text) / len(TEXT.strip()) == pytest.approx(strength, abs=0.04)
    for longer, shorter in zip([TEXT, *texts], texts, strict=False):
        left = iter(longer)
        assert all(one in left for one in shorter)  # in this order


def test_a_short_text_keeps_a_character_and_a_record_loses_what_points_into_it():
    record = canonical.record("short", text=b"a", markers={"task": (0, 1)})
    found = noisy(record, "text", 1.0)
    assert (found.text, found.markers, found.offsets) == (b"a", {}, None)
