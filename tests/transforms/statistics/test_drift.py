"""A night that is not like the others shows, in the feature that changed."""

from typing import Any

import numpy as np
import pytest

from tests import canonical
from triad_ml.transforms.statistics import combine
from triad_ml.transforms.statistics.drift import drift, jensen_shannon
from triad_ml.transforms.statistics.measures import Measured


def noise(seed: int, top_hertz: float) -> np.ndarray:
    """A second of noise without energy over `top_hertz`."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=canonical.RATE))
    spectrum[int(top_hertz) :] = 0
    samples = np.fft.irfft(spectrum)
    return np.round(samples / np.abs(samples).max() * 20_000)


def night(
    seed: int, count: int = 60, top_hertz: float = 8_000, grey: bool = False
) -> dict[str, Any]:
    """Coloured blocks, noise and a few words, all drawn with `seed`."""
    chance = np.random.default_rng(seed)
    records = []
    for place in range(count):
        blocks = chance.integers(0, 256, (6, 6, 3)).repeat(4, axis=0).repeat(4, axis=1)
        if grey:
            blocks = np.repeat(blocks.mean(axis=-1, keepdims=True), 3, axis=-1)
        text = " ".join(["word"] * int(chance.integers(1, 9)))
        samples = noise(int(chance.integers(2**31)), top_hertz)
        labels = {"what": str(chance.choice(["cat", "dog", "hen"]))}
        media = (
            {"image": canonical.picture(blocks), "audio": canonical.sound(samples)}
            if place % 5
            else {}
        )
        records.append(canonical.record(str(place), text=text.encode(), labels=labels, **media))
    return canonical.summary_of(*records)


@pytest.fixture(scope="module")
def training():
    return night(seed=0, count=200)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_night_like_the_others_shows_no_drift(training, seed):
    assert drift(training, night(seed)) == []


def test_a_night_of_eight_kilohertz_recordings_shows_in_the_spectrum_alone(training):
    found = drift(training, night(seed=1, top_hertz=3_900))
    assert [one.feature for one in found] == ["audio.above_4khz"]
    assert found[0].measure == "jensen_shannon"
    assert found[0].value == pytest.approx(1.0)
    assert found[0].value > found[0].threshold


def test_a_night_of_grey_pictures_shows_in_the_saturation(training):
    found = [one.feature for one in drift(training, night(seed=1, grey=True))]
    assert "image.saturation" in found
    assert {feature.split(".")[0] for feature in found} == {"image"}  # their files are smaller too


def test_a_night_without_sounds_shows_in_the_state_of_the_modality(training):
    silent = canonical.summary_of(*(canonical.record(text=b"word") for _ in range(60)))
    found = [one for one in drift(training, silent) if one.feature == "audio.state"]
    assert [(one.measure, one.value) for one in found] == [("l_infinity", pytest.approx(0.8))]
    assert found[0].detail == "missing: 20.0% then, 100.0% now"


def test_a_handful_of_records_is_not_compared(training):
    assert drift(training, night(seed=1, count=29, top_hertz=1_000)) == []


def test_splits_are_pooled_before_they_are_compared(training):
    parts, whole = combine.Accumulator(), combine.Accumulator()
    for split, length in [("train", 2), ("test", 30)] * 100:
        measured = Measured((("text.words", length),), (), ())
        parts.add(split, measured)
        whole.add("all", measured)
    assert drift(combine.summary(parts), combine.summary(whole)) == []


def test_jensen_shannon_is_symmetric_zero_on_equals_and_one_on_strangers():
    assert jensen_shannon([3, 1, 0], [6, 2, 0]) == 0
    assert jensen_shannon([5, 0], [0, 7]) == pytest.approx(1)
    assert jensen_shannon([1, 2, 3], [3, 2, 1]) == jensen_shannon([3, 2, 1], [1, 2, 3])
    # p = (1, 0), q = (1/2, 1/2), middle = (3/4, 1/4)
    expected = 0.5 * np.log2(4 / 3) + 0.5 * (0.5 * np.log2(2 / 3) + 0.5 * np.log2(2))
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(expected)
