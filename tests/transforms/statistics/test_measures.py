"""Measures of one record: exact values."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests import canonical
from triad_ml.transforms.spec import loading
from triad_ml.transforms.statistics import measures, sampling


def test_a_picture_is_measured_exactly():
    content = canonical.plain_picture((255, 0, 0))
    assert measures.image_measures(content) == {
        "format": "png",
        "channels": "colour",
        "bytes": len(content),
        "width": 20,
        "height": 10,
        "pixels": 200,
        "brightness": pytest.approx(0.299),
        "contrast": 0.0,
        "saturation": 1.0,
        "top_minus_bottom": 0.0,
        "sharpness": 0.0,
    }


def test_contrast_sharpness_and_halves_are_those_of_plain_computation():
    grey = np.random.default_rng(0).integers(0, 256, (30, 41))
    found = measures.image_measures(canonical.picture(np.stack([grey] * 3, axis=-1)))
    whole = grey.astype(float)
    kernel = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    laplacian = ndimage.convolve(whole, kernel)[1:-1, 1:-1]
    assert found["contrast"] == pytest.approx(whole.std() / 255)
    assert found["sharpness"] == pytest.approx(laplacian.var())
    halves = (whole[:15].mean() - whole[15:].mean()) / 255
    assert found["top_minus_bottom"] == pytest.approx(halves)
    assert found["saturation"] == 0


def test_an_image_of_one_channel_is_grey():
    stream = io.BytesIO()
    Image.fromarray(np.full((9, 9), 100, np.uint8)).save(stream, "PNG")
    assert measures.image_measures(stream.getvalue())["channels"] == "grey"


def test_a_picture_of_one_row_has_neither_halves_nor_a_laplacian():
    found = measures.image_measures(canonical.plain_picture((9, 9, 9), width=5, height=1))
    assert {"top_minus_bottom", "sharpness"}.isdisjoint(found)


def test_a_large_jpeg_is_measured_on_a_small_version_with_its_own_size():
    content = canonical.picture(np.full((800, 600, 3), 128), "JPEG")
    found = measures.image_measures(content)
    assert found["format"] == "jpeg"
    assert (found["width"], found["height"], found["pixels"]) == (600, 800, 480_000)
    assert found["brightness"] == pytest.approx(128 / 255, abs=0.01)
    assert found["saturation"] == 0


def test_a_picture_that_pillow_cannot_read_is_counted_and_stops_nothing():
    unknown = {"format": "unknown", "bytes": 12}
    assert measures.image_measures(b"\x89PNG\r\n\x1a\nrest") == unknown
    whole = canonical.plain_picture((1, 2, 3), 200, 200)
    assert measures.image_measures(whole[: len(whole) // 2])["format"] == "unknown"


def test_a_sound_is_measured_exactly():
    samples = np.concatenate([np.full(8_000, 32_767), np.full(8_000, 32), np.full(8_000, -16_384)])
    numbers = measures.audio_measures(canonical.sound(samples), canonical.RATE)
    power = (32_767**2 + 32**2 + 16_384**2) / 3 / 2**30
    assert numbers["seconds"] == 1.5
    assert numbers["level"] == pytest.approx(10 * np.log10(power), abs=1e-12)
    assert numbers["clipped"] == pytest.approx(1 / 3)
    assert numbers["silent"] == pytest.approx(1 / 3)


def test_the_most_negative_sample_is_clipped_and_not_silent():
    numbers = measures.audio_measures(canonical.sound(np.full(10, -32_768)), canonical.RATE)
    assert (numbers["clipped"], numbers["silent"], numbers["level"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(("hertz", "share"), [(1_000, 0.0), (3_900, 0.0), (4_100, 1.0)])
def test_energy_above_four_kilohertz_is_told_from_energy_below(hertz, share):
    numbers = measures.audio_measures(canonical.sound(canonical.tone(hertz)), canonical.RATE)
    assert numbers["above_4khz"] == pytest.approx(share, abs=1e-6)
    assert numbers["centroid"] == pytest.approx(hertz, abs=1)


def test_two_tones_share_the_energy_by_the_squares_of_their_loudness():
    both = canonical.tone(1_000, loudness=10_000) + canonical.tone(6_000, loudness=5_000)
    numbers = measures.audio_measures(canonical.sound(both), canonical.RATE)
    assert numbers["above_4khz"] == pytest.approx(0.2, abs=1e-3)
    assert numbers["centroid"] == pytest.approx(0.8 * 1_000 + 0.2 * 6_000, abs=5)


def test_a_silent_sound_has_a_level_and_no_spectrum():
    numbers = measures.audio_measures(canonical.sound(np.zeros(100)), canonical.RATE)
    assert numbers == {
        "seconds": 100 / canonical.RATE,
        "level": -120.0,
        "clipped": 0.0,
        "silent": 1.0,
    }


def test_a_rate_too_low_for_four_kilohertz_has_no_share_above_it():
    numbers = measures.audio_measures(canonical.sound(canonical.tone(1_000)), 8_000)
    assert "above_4khz" not in numbers
    assert numbers["centroid"] == pytest.approx(500, abs=1)


@pytest.mark.parametrize(
    ("text", "words", "script"),
    [
        ("two words", ["two", "words"], "latin"),
        ("L'été, 12 kg!", ["l", "été", "12", "kg"], "latin"),
        ("群れが one", ["群", "れ", "が", "one"], "latin"),
        ("?!", [], "none"),
        ("Шум x", ["шум", "x"], "cyrillic"),
        ("हम", ["हम"], "devanagari"),
        ("조용한", ["조용한"], "hangul"),
        ("12 ☀", ["12"], "none"),
        ("ሰላም", ["ሰላም"], "other"),
    ],
)
def test_words_are_runs_of_letters_and_single_han_and_kana_characters(text, words, script):
    content = text.encode()
    found = [measures.text_measures(content, number) for number in range(len(words) or 1)]
    if words:
        assert [one.pop("word") for one in found] == words
    assert found[0] == {
        "characters": len(text),
        "bytes": len(content),
        "words": len(words),
        "script": script,
    }


def test_a_long_word_is_cut_where_it_is_drawn():
    assert measures.text_measures(b"A" * 100, 7)["word"] == "a" * 40


def test_a_modality_that_the_spec_does_not_name_is_not_measured():
    only_text = loading.parse(
        "{modalities: {text: }, tasks: {t: {kind: classification, label: l}}}"
    )
    image = canonical.plain_picture((0, 0, 0))
    measured = measures.measure(canonical.record(image=image, text=b"a"), only_text)
    assert measured.measures == {
        "text.characters": 1,
        "text.bytes": 1,
        "text.words": 1,
        "text.script": "latin",
        "text.word": "a",
    }
    assert measured.categories == (("text.state", "present"), ("label.t.state", "missing"))


def test_only_records_of_the_sample_are_measured_and_all_are_counted():
    records = [canonical.record(f"r{i}", text=b"a") for i in range(4_000)]
    sampled = [one.id for one in records if measures.measure(one, canonical.SPEC, 1 / 16).measures]
    assert len(sampled) == pytest.approx(250, abs=60)
    more = {one.id for one in records if measures.measure(one, canonical.SPEC, 1 / 8).measures}
    assert set(sampled) < more
    kept = [measures.with_measures(one, canonical.SPEC, 1 / 16) for one in records]
    assert [one.id for one in kept if one.measures] == sampled
    assert measures.measure(records[0], canonical.SPEC, 0).categories == (
        ("image.state", "missing"),
        ("audio.state", "missing"),
        ("text.state", "present"),
        ("label.kind.state", "missing"),
        ("label.marks.state", "missing"),
    )


@pytest.mark.parametrize(
    ("records", "share"), [(None, 1 / 16), (0, 1), (500, 1), (1_000, 0.5), (10**6, 1 / 16)]
)
def test_a_sample_holds_some_hundred_records_or_a_sixteenth(records, share):
    assert sampling.share(records) == share


def test_a_record_is_in_the_sample_on_each_machine():
    assert sampling.number("r1") == int(
        hashlib.sha256(b"triad statistics\nr1").hexdigest()[:16], 16
    )
    assert sampling.holds(2**63 - 1, 0.5)
    assert not sampling.holds(2**63, 0.5)
