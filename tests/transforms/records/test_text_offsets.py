"""Offsets of canonical characters in the caller's text."""

import unicodedata

import hypothesis
import pytest
from hypothesis import strategies

from triad_ml.transforms.media import text
from triad_ml.transforms.records import text_offsets
from triad_ml.transforms.records.values import MediumError
from triad_ml.transforms.spec.modalities import Limits

LIMITS = Limits()
ODD = (
    "aeo\u0301\u0327\u0338\u0345\u0300\u0323"  # letters and marks
    "\u1100\u1161\u11a8\uac00"  # Hangul that composes
    "\u0f40\u0f71\u0f72\u0f73\u0f74\u0f84"  # marks that decompose, and change places
    "\u09c7\u09be\u0dd9\u0dcf\u0dca\U000110a5\U000110ba"  # starters that compose
    "\u0344\u212b\u2126\ufb1d\u0958\U0001d15e"  # what never stays as it is
    "\x00\x07\x85\ufeff \n"
)


def places(original: str) -> tuple[str, text_offsets.Offsets | None]:
    content = original.encode()
    kept = text.canonical(content, LIMITS)
    return kept.decode(), text.places(content, kept)


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(
    strategies.text(
        strategies.one_of(
            strategies.sampled_from(ODD), strategies.characters(exclude_categories=["Cs"])
        ),
        max_size=12,
    )
)
def test_each_canonical_character_is_made_of_the_place_it_names(original):
    try:
        kept, found = places(original)
    except MediumError:
        return
    if found is None:
        assert kept == original
        return
    assert found.length == len(original)
    assert len(found.starts) == len(found.ends) == len(kept)
    pieces = sorted(set(zip(found.starts, found.ends, strict=True)))
    made = [
        unicodedata.normalize("NFC", text_offsets.without_controls(original[start:end]))
        for start, end in pieces
    ]
    assert "".join(made) == kept
    assert all(before[1] <= after[0] for before, after in zip(pieces, pieces[1:], strict=False))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(
    strategies.text(strategies.sampled_from(ODD), min_size=1, max_size=12), strategies.data()
)
def test_a_span_that_goes_in_and_out_still_holds_what_it_held(original, data):
    try:
        kept, found = places(original)
    except MediumError:
        return
    if found is None:
        return
    start = data.draw(strategies.integers(0, len(original) - 1))
    end = data.draw(strategies.integers(start + 1, len(original)))
    first, last = found.inward(start, end)
    held = [
        place
        for place in range(start, end)
        if text_offsets.without_controls(original[place]) and original[place] != "\ufeff"
    ]
    if first < last:
        outer = found.outward(first, last)
        assert all(outer[0] <= place < outer[1] for place in held)
        assert found.inward(*outer) == (first, last)


def test_a_text_that_is_canonical_has_no_places_of_its_own():
    assert places("caf\u00e9, S\u00e3o Paulo\n") == ("caf\u00e9, S\u00e3o Paulo\n", None)


def test_controls_and_composition_move_places():
    kept, found = places("\ufeff\x07a\x00 cafe\u0301s!")
    assert kept == "a caf\u00e9s!"
    assert found is not None
    word = kept.index("caf\u00e9s")
    assert found.outward(word, word + 5) == (5, 11)
    assert found.outward(0, 1) == (2, 3)
    assert found.inward(5, 11) == (word, word + 5)
    assert found.inward(9, 10) == (word + 3, word + 4)  # the accent alone
    first, last = found.inward(0, 2)  # nothing but what was removed
    assert first >= last


@pytest.mark.parametrize("removed", ["\x00", "\x7f", "\x85"])
def test_what_is_removed_belongs_to_no_span(removed):
    kept, found = places(f"{removed}one{removed} two{removed}")
    assert found is not None
    assert kept == "one two"
    assert [found.outward(0, 3), found.outward(4, 7)] == [(1, 4), (6, 9)]
