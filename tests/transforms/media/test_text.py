"""Canonical texts."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import media
from triad_ml.transforms.media import text
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import Limits

LIMITS = Limits()


def _flaw(content: bytes, limits: Limits = LIMITS) -> Flaw:
    with pytest.raises(MediumError) as caught:
        text.canonical(content, limits)
    return caught.value.flaw


@pytest.mark.parametrize(
    "content",
    [b"plain ASCII", b"tab\tand\r\nlines\n", "h\u00e9ron \u9e6d \U0001f986".encode(), b"  "],
    ids=["ascii", "white space", "other scripts", "only spaces"],
)
def test_a_canonical_text_comes_back_unchanged(content: bytes) -> None:
    assert text.canonical(content, LIMITS) == content


def test_decomposed_letters_are_composed() -> None:
    assert text.canonical("e\u0301t\u00e9".encode(), LIMITS) == "\u00e9t\u00e9".encode()


@pytest.mark.parametrize("letter", ["a", "\u00e9"], ids=["ascii", "not ascii"])
def test_control_characters_are_dropped_but_tab_and_line_ends(letter: str) -> None:
    controls = "".join(map(chr, (*range(32), 127)))
    kept = text.canonical(f"{letter}{controls}b".encode(), LIMITS)
    assert kept == f"{letter}\t\n\rb".encode()


def test_the_second_block_of_control_characters_is_dropped_too() -> None:
    assert text.canonical("a\u0080\u0085\u009fb".encode(), LIMITS) == b"ab"


def test_byte_order_marks_are_dropped_at_the_start_alone() -> None:
    content = "\x00\ufeff\ufeffa\ufeffb".encode()
    assert text.canonical(content, LIMITS) == "a\ufeffb".encode()


@pytest.mark.parametrize(
    "content", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", "x".encode("utf-16")]
)
def test_what_is_not_strict_utf8_is_refused(content: bytes) -> None:
    assert _flaw(content) is Flaw.NOT_UTF8


@pytest.mark.parametrize("content", [b"", b"\x00\x01", "\ufeff".encode()])
def test_what_leaves_no_character_is_empty(content: bytes) -> None:
    assert _flaw(content) is Flaw.EMPTY


def test_the_cap_counts_bytes_and_includes_itself() -> None:
    limits = Limits(text_bytes=4)
    assert text.canonical(b"four", limits) == b"four"
    assert _flaw(b"fives", limits) is Flaw.TOO_LARGE


def test_the_cap_holds_for_what_composing_makes_longer() -> None:
    longer = "\U0001d15e".encode()  # one character whose composed form is two
    assert len(unicodedata.normalize("NFC", longer.decode()).encode()) > len(longer)
    assert _flaw(longer, Limits(text_bytes=len(longer))) is Flaw.TOO_LARGE


def test_endless_combining_marks_are_refused_before_they_are_sorted() -> None:
    started = time.process_time()
    assert _flaw(("a" + "\u0301\u0316" * 200_000).encode()) is Flaw.TOO_LARGE
    assert time.process_time() - started < 5  # sorting them takes minutes


@given(st.text())
def test_canonical_of_canonical_is_the_same(content: str) -> None:
    once = text.canonical(b"." + content.encode(), LIMITS)
    assert text.canonical(once, LIMITS) == once
    assert unicodedata.is_normalized("NFC", once.decode())


def test_damaged_texts_raise_nothing_but_medium_errors() -> None:
    source = "Le h\u00e9ron e\u0301tend \u9e6d\u9ce5 \U0001f986\u200d ses ailes\r\n".encode()
    for content in media.mutations(source, 300):
        try:
            once = text.canonical(content, LIMITS)
        except MediumError:
            continue
        assert text.canonical(once, LIMITS) == once
