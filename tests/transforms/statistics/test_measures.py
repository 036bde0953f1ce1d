"""Measures of one record: exact values."""

import numpy as np
import pytest

from tests import canonical
from triad_ml.transforms.spec import loading
from triad_ml.transforms.statistics import measures


def test_a_picture_is_measured_exactly():
    kind, numbers = measures.image_numbers(canonical.plain_picture((255, 0, 0)))
    assert kind == "png"
    assert numbers.pop("bytes") == len(canonical.plain_picture((255, 0, 0)))
    assert numbers == {
        "width": 20,
        "height": 10,
        "pixels": 200,
        "brightness": pytest.approx(0.299),
        "saturation": 1.0,
    }


def test_a_large_jpeg_is_measured_on_a_small_version_with_its_own_size():
    kind, numbers = measures.image_numbers(canonical.picture(np.full((800, 600, 3), 128), "JPEG"))
    assert kind == "jpeg"
    assert (numbers["width"], numbers["height"], numbers["pixels"]) == (600, 800, 480_000)
    assert numbers["brightness"] == pytest.approx(128 / 255, abs=0.01)
    assert numbers["saturation"] == 0


def test_a_picture_that_pillow_cannot_read_is_counted_and_stops_nothing():
    assert measures.image_numbers(b"\x89PNG\r\n\x1a\nrest") == ("unknown", {"bytes": 12})
    whole = canonical.plain_picture((1, 2, 3), 200, 200)
    assert measures.image_numbers(whole[: len(whole) // 2])[0] == "unknown"


def test_a_sound_is_measured_exactly():
    samples = np.concatenate([np.full(8_000, 32_767), np.full(8_000, 32), np.full(8_000, -16_384)])
    numbers = measures.audio_numbers(canonical.sound(samples), canonical.RATE)
    power = (32_767**2 + 32**2 + 16_384**2) / 3 / 2**30
    assert numbers["seconds"] == 1.5
    assert numbers["level"] == pytest.approx(10 * np.log10(power), abs=1e-12)
    assert numbers["clipped"] == pytest.approx(1 / 3)
    assert numbers["silent"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("hertz", "share"), [(1_000, 0.0), (3_900, 0.0), (4_100, 1.0)])
def test_energy_above_four_kilohertz_is_told_from_energy_below(hertz, share):
    numbers = measures.audio_numbers(canonical.sound(canonical.tone(hertz)), canonical.RATE)
    assert numbers["above_4khz"] == pytest.approx(share, abs=1e-6)


def test_two_tones_share_the_energy_by_the_squares_of_their_loudness():
    both = canonical.tone(1_000, loudness=10_000) + canonical.tone(6_000, loudness=5_000)
    assert measures.audio_numbers(canonical.sound(both), canonical.RATE)[
        "above_4khz"
    ] == pytest.approx(0.2, abs=1e-3)


def test_a_silent_sound_has_a_level_and_no_spectrum():
    numbers = measures.audio_numbers(canonical.sound(np.zeros(100)), canonical.RATE)
    assert numbers == {
        "seconds": 100 / canonical.RATE,
        "level": -120.0,
        "clipped": 0.0,
        "silent": 1.0,
    }


def test_a_rate_too_low_for_four_kilohertz_has_no_share_above_it():
    assert "above_4khz" not in measures.audio_numbers(canonical.sound(canonical.tone(1_000)), 8_000)


@pytest.mark.parametrize(
    ("text", "words"), [("two words", 2), ("l'été, 12 kg!", 4), ("群れが one", 4), ("?!", 0)]
)
def test_words_are_runs_of_letters_and_single_han_and_kana_characters(text, words):
    content = text.encode()
    assert measures.text_numbers(content) == {
        "characters": len(text),
        "bytes": len(content),
        "words": words,
    }


def test_a_modality_that_the_spec_does_not_name_is_not_measured():
    only_text = loading.parse(
        "{modalities: {text: }, tasks: {t: {kind: classification, label: l}}}"
    )
    measured = measures.measure(
        canonical.record(image=canonical.plain_picture((0, 0, 0)), text=b"a"), only_text
    )
    assert [name for name, _ in measured.numbers] == ["text.characters", "text.bytes", "text.words"]
    assert measured.categories == (("text.state", "present"), ("label.t.state", "missing"))
