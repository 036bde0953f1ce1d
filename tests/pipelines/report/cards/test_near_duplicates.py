"""Cards of near-duplicates: both media of a pair, by the ids that preprocessing named."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests import reports
from triad_ml.pipelines.report.cards import near_duplicates
from triad_ml.pipelines.report.cards.near_duplicates import NearDuplicates, Pair, Side
from triad_ml.transforms.records.values import Position, RawRecord
from triad_ml.transforms.spec import loading

SPEC = loading.parse(
    """
modalities: {image: {size: 32}, audio: {seconds: 0.5}, text: {}}
tasks: {category: {kind: classification, label: category}}
"""
)
LEAK = {"first": ["a", "train"], "second": ["b", "test"], "distance": 0.02}
INSIDE = {"first": ["b", "test"], "second": ["c", "test"], "distance": 0.0}
NONE = {"compared": 3, "alike": 0, "leaks": {"eval": 0, "test": 0}, "pairs": []}


def preprocessed(name: str) -> dict[str, Any]:
    found = {"compared": 3, "alike": 3, "leaks": {"eval": 0, "test": 1}, "pairs": [LEAK, INSIDE]}
    return {"duplicates": {"image": NONE, "audio": NONE, "text": NONE, name: found}}


def records() -> list[RawRecord]:
    return [
        RawRecord("a", Position("lines", 0), reports.png(1), reports.wav(1), b"one text"),
        RawRecord("b", Position("lines", 1), reports.png(2), reports.wav(2), b"another text"),
        RawRecord("other", Position("lines", 2), text=b"of no pair"),
    ]


def shown(name: str) -> NearDuplicates:
    (found,) = near_duplicates.build(SPEC, preprocessed(name), lambda: iter(records()))
    assert (found.modality, found.compared, found.alike, found.leaking) == (name, 3, 3, 1)
    assert [pair.leaks for pair in found.pairs] == [True, False]
    return found


def test_texts_are_side_by_side_and_a_record_that_is_gone_has_its_id():
    assert shown("text").pairs == (
        Pair(Side("a", "train", text="one text"), Side("b", "test", text="another text"), 0.02),
        Pair(Side("b", "test", text="another text"), Side("c", "test"), 0.0),
    )


def test_pictures_are_those_of_the_records():
    for side, content in zip(
        (shown("image").pairs[0].first, shown("image").pairs[0].second),
        (reports.png(1), reports.png(2)),
        strict=True,
    ):
        preview = Image.open(io.BytesIO(base64.b64decode(side.picture.partition(",")[2])))
        original = Image.open(io.BytesIO(content))
        assert preview.convert("RGB").getpixel((2, 2)) == pytest.approx(
            original.getpixel((2, 2)), abs=4
        )
        assert side.text == ""
        assert side.sound is None


def test_sounds_can_be_played():
    pair = shown("audio").pairs[0]
    assert pair.first.sound is not None
    assert pair.second.sound is not None
    assert pair.first.sound.uri != pair.second.sound.uri


def test_a_manifest_of_an_earlier_version_shows_nothing():
    assert near_duplicates.build(SPEC, {}, lambda: iter(records())) == ()
