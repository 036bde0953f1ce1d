"""Drift: planted changes are named, and resamples of the same records are not."""

import numpy as np
import pytest
from scipy.spatial import distance

from tests import nights
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.drift import Drift
from triad_ml.transforms.statistics import drift
from triad_ml.transforms.statistics.document import Part, Shares

USUAL_SCORES = {"fan": 120, "motor": 90, "pump": 60, "valve": 30}


def found(now: Part, before: Part | None = None, limits: Drift | None = None) -> list[str]:
    """Returns the lines of the findings."""
    distances = drift.distances(before or nights.usual(), now)
    return list(map(str, drift.findings(distances, limits or Drift())))


def features(lines: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in lines}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"telephone": True}, {"audio.above_4khz", "audio.centroid", "audio.level"}),
        ({"silent": True}, {"audio.silent", "audio.level"}),
        ({"grey": True}, {"image.channels", "image.saturation", "image.bytes"}),
        ({"upside_down": True}, {"image.top_minus_bottom"}),
        ({"words": nights.GERMAN}, {"text.word"}),
    ],
    ids=["nothing", "8 kHz", "silent microphones", "grey", "upside down", "another language"],
)
def test_a_planted_change_of_the_media_is_named_and_nothing_else(change, expected):
    now = nights.part(nights.measured(300, seed=9, **change), USUAL_SCORES)
    assert features(found(now)) == expected


def test_a_class_that_vanished_is_named():
    now = nights.part([], {"fan": 165, "motor": 90, "pump": 45})
    assert found(now) == ["score.category: no record has 'valve' any more, before 10.0%"]


def test_a_rare_class_that_may_be_missing_by_chance_is_not_named():
    assert found(nights.part([], {"fan": 60, "motor": 48, "pump": 32})) == []


def test_a_model_that_always_says_one_class_is_named():
    now = nights.part([], {"fan": 300})
    assert found(now) == ["score.category: no record has 'motor' any more, before 30.0%"]
    trained = nights.part([], label__category={"fan": 400, "motor": 350, "pump": 250})
    (line,) = found(now, trained)
    assert line.startswith("prediction.category: share of 'fan' 40.0%, now 100.0% (L-infinity 0.6")


def test_more_media_that_are_missing_are_named():
    before = nights.part([], image__state={"present": 990, "missing": 10})
    now = nights.part([], image__state={"present": 700, "missing": 200, "truncated": 100})
    (line,) = found(now, before)
    assert line.startswith("image.state: share of 'present' 99.0%, now 70.0% (L-infinity 0.290")


def test_of_200_clean_resamples_at_most_one_in_a_hundred_is_refused():
    random = np.random.default_rng(3)
    population = nights.measured(1_200, seed=5)
    alarms = 0
    for _ in range(200):
        sizes = random.integers([150, 30], [400, 200])
        before, now = (
            nights.part(
                [population[index] for index in random.integers(0, len(population), size)],
                nights.drawn(random, 8 * size),
            )
            for size in sizes
        )
        alarms += bool(found(now, before))
    assert alarms <= 2


def test_without_limits_chance_alone_is_seldom_exceeded():
    random = np.random.default_rng(4)
    zero = Drift(limit=0.0)
    shares = np.repeat([0.2, 0.1, 0.04, 0.01, 0.002], [2, 3, 4, 10, 20])
    above = {"histogram": 0, "shares": 0}
    for _ in range(2_000):
        sizes = random.integers(50, 2_000, 2)
        left, right = (random.multinomial(n, shares / shares.sum()).astype(float) for n in sizes)
        chance = drift.chance_of_histograms(left, right)
        above["histogram"] += drift.jensen_shannon(left, right) > chance
        differences = abs(left / sizes[0] - right / sizes[1])
        above["shares"] += bool((differences > drift.chance_of_shares(left, right)).any())
    assert zero.of_feature("audio.level") == 0
    assert above["histogram"] <= 8
    assert above["shares"] <= 8


def test_the_divergence_is_that_of_scipy():
    random = np.random.default_rng(0)
    for left, right in random.integers(0, 50, (20, 2, 12)).astype(float):
        expected = distance.jensenshannon(left, right, base=2) ** 2
        assert drift.jensen_shannon(left, right) == pytest.approx(expected)
    assert drift.jensen_shannon(np.array([1.0, 0]), np.array([0, 5.0])) == 1
    assert drift.jensen_shannon(np.array([1.0, 3]), np.array([5, 15.0])) == 0


def test_a_share_that_is_not_listed_counts_with_the_others():
    before = Shares(total=100, distinct=3, counts={"a": 80}, other=20)
    now = Shares(total=100, distinct=3, counts={"a": 40, "b": 60}, other=0)
    one = drift.of_shares("image.format", before, now)
    assert (one.distance, one.value, one.shares) == (0.6, "b", (0, 0.6))


def test_statistics_of_two_records_show_nothing():
    few = nights.part(nights.measured(2, seed=1, telephone=True, grey=True), {"fan": 2})
    assert found(few) == []


def test_a_spec_has_limits_of_features_and_of_parts_of_their_names():
    text = (
        "{modalities: {text: }, tasks: {t: {kind: classification, label: l}}, "
        "drift: {limit: 0.2, limits: {audio: 0.5, audio.level: 0.01, score.t: 1}}}"
    )
    limits = loading.parse(text).drift
    names = ("audio.silent", "audio.level", "score.t", "score.t.entropy", "text.word")
    assert [limits.of_feature(name) for name in names] == [0.5, 0.01, 1, 1, 0.2]
    assert Drift().of_feature("prediction.t") == 0.3
    assert Drift().of_feature("text.word") == 0.1


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ("{colour: 0.1}", "colour: is no feature; its name begins with image, audio, text, label"),
        ("{image: 2.0}", "image: must be from 0 to 1, got 2"),
    ],
)
def test_limits_of_nothing_are_refused(limits, line):
    text = "{modalities: {text: }, tasks: {t: {kind: classification, label: l}}, drift: {limits: "
    with pytest.raises(OptionsError, match=line):
        loading.parse(f"{text}{limits}}}}}")


def test_a_spec_without_limits_is_the_spec_of_before():
    plain = "{modalities: {text: }, tasks: {t: {kind: classification, label: l}}%s}"
    first, second = (loading.parse(plain % more) for more in ("", ", drift: {limits: {}}"))
    assert first.to_json() == second.to_json()
    limited = loading.parse(plain % ", drift: {limit: 0.5}")
    assert limited.features_json() == first.features_json()
    assert limited.digest() != first.digest()


def test_a_larger_limit_lets_a_night_pass():
    now = nights.part(nights.measured(300, seed=9, grey=True), USUAL_SCORES)
    assert found(now, limits=Drift(limits={"image": 1.0})) == []
