"""Sizes of images, read with bounded memory."""

import tracemalloc

import pytest

from tests import media
from triad_ml.transforms.media.image_files import headers, sizes
from triad_ml.transforms.records.values import Flaw, MediumError

_LARGE = 6_000_000
_ROOM = 2**20
"""Bytes of Python's that reading a size may take, beside a small part of the file."""

_AVIF = b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"
_GIF = b"GIF89a\4\0\4\0\0\0\0"


def _filled(part: bytes) -> bytes:
    return part * (_LARGE // len(part))


@pytest.mark.parametrize(
    ("kind", "content", "flaw"),
    [
        ("GIF", _GIF + _filled(b"!\xfe\0"), Flaw.TOO_LARGE),  # each comment is empty
        ("GIF", _GIF + b"!\xfe" + _filled(b"\1x"), Flaw.TOO_LARGE),
        ("PPM", b"P6" + _filled(b" ") + b"4 4 255 ", Flaw.CORRUPT),
        ("PPM", b"P6 " + _filled(b"#\n") + b"4 4 255 ", Flaw.CORRUPT),
        ("AVIF", _AVIF + _filled(b"ispe\0\0\0\0\0\0\0\1\0\0\0\1"), Flaw.TOO_LARGE),
        ("AVIF", _AVIF + _filled(b"av01" + bytes(28)), Flaw.TOO_LARGE),
    ],
    ids=["gif comments", "gif blocks", "ppm blanks", "ppm comments", "avif items", "avif tracks"],
)
def test_what_repeats_in_front_of_a_size_takes_no_memory(kind, content, flaw):
    tracemalloc.start()
    with pytest.raises(MediumError) as caught:
        sizes.READERS[kind](content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.flaw is flaw
    assert peak < 32 * _ROOM  # tuples of 65,536 sizes take some of it


def test_text_of_a_png_that_may_hold_an_orientation_is_looked_at_no_further_than_it_may_be():
    content = media.encoded(media.picture(), "PNG")
    text = b"Raw profile type exif\0\n\n\n" + _filled(b"\n")
    chunk = media.png_chunk(b"tEXt", text)
    tracemalloc.start()
    assert headers.png(content[:33] + chunk + content[33:]).orientation == 1
    assert tracemalloc.get_traced_memory()[1] < 6 * _LARGE
    tracemalloc.stop()


def test_a_comment_of_the_usual_length_is_passed_over():
    assert sizes.ppm(b"P6\n# " + b"x" * 60_000 + b"\n4 # wide\n5\n255\n")[:2] == (4, 5)
    shown = _GIF + b"!\xfe\3abc\0" * 1000 + b",\0\0\0\0\4\0\4\0\0"
    assert sizes.gif(shown)[:2] == (4, 4)
