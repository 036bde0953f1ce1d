"""Orientation of images: the same as Pillow's, for each type and position of the tag."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import media
from triad_ml.transforms.media import image as media_image
from triad_ml.transforms.media.image_files import exif, headers
from triad_ml.transforms.spec.modalities import Limits

TYPES = {
    "byte": (1, "B"),
    "short": (3, "H"),
    "long": (4, "I"),
    "rational": (5, "II"),
    "signed byte": (6, "b"),
    "undefined": (7, "B"),
    "signed short": (8, "h"),
    "signed long": (9, "i"),
    "signed rational": (10, "ii"),
    "float": (11, "f"),
    "double": (12, "d"),
    "directory": (13, "I"),
}
NOT_TURNED = {"byte", "undefined"}  # Pillow takes both for bytes
PACKET = b'<x:xmpmeta tiff:Orientation="6"/>'


def block(order: str, kind: int, form: str, value: int, count: int = 1) -> bytes:
    """A TIFF whose one tag is an orientation of the type."""
    values = struct.pack(order + form, *([value, 1][: len(form)])) * count
    place = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(f"{order}I", 26)
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}IHHHI", 8, 1, 0x0112, kind, count) + place
    return head + entry + bytes(4) + (values if len(values) > 4 else b"")


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg(*segments: bytes) -> bytes:
    plain = media.jpeg()
    return plain[:2] + b"".join(segments) + plain[2:]


def carriers(tiff: bytes) -> dict[str, bytes]:
    """The same picture in each format that has an orientation."""
    body = b"Exif\0\0" + tiff
    others = (segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), segment(0xED, b"Photoshop"))
    return {
        "jpeg": jpeg(*others, segment(0xE1, body), segment(0xFE, b"words")),
        "png": media.with_chunk(media.png(), media.png_chunk(b"eXIf", tiff)),
        "png behind": media.with_chunk(media.png(), media.png_chunk(b"eXIf", tiff), before=b"IEND"),
        "png of ImageMagick": media.with_chunk(
            media.png(),
            media.png_chunk(
                b"tEXt",
                b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(body), body.hex().encode()),
            ),
        ),
        "webp": media.encoded(media.picture(), "WEBP", lossless=True, exif=body),
    }


def upright(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
def test_an_orientation_of_any_type_turns_as_pillow_turns(kind: str, order: str) -> None:
    for name, content in carriers(block(order, *TYPES[kind], 6)).items():
        found = media.decoded(media_image.canonical(content, Limits()))
        np.testing.assert_array_equal(found, upright(content), name)
        assert found.shape == ((24, 32, 3) if kind in NOT_TURNED else (32, 24, 3)), name


@pytest.mark.parametrize("kind", ["short", "long"])
def test_a_tiff_of_any_type_of_orientation_is_upright(kind: str) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    content = bytearray(media.encoded(media.picture(), "TIFF", exif=tags))
    at = content.index(struct.pack("<HHI", 0x0112, 3, 1))
    content[at + 2 : at + 4] = struct.pack("<H", TYPES[kind][0])
    found = media.decoded(media_image.canonical(bytes(content), Limits()))
    np.testing.assert_array_equal(found, upright(bytes(content)))
    assert found.shape == (32, 24, 3)


def test_of_several_values_the_first_counts() -> None:
    for form in ((3, "H"), (4, "I")):
        assert exif.orientation(block("<", *form, 6, count=3)) == 6


@pytest.mark.parametrize("value", [0, 9, 200])
def test_an_impossible_orientation_is_upright(value: int) -> None:
    assert exif.orientation(block("<", 4, "I", value), PACKET) == 1


@pytest.mark.parametrize("length", range(0, 34, 3))
def test_a_block_that_is_cut_off_is_upright(length: int) -> None:
    whole = block(">", 5, "II", 6)
    assert exif.orientation(whole) == 6
    assert exif.orientation(whole[:length]) == 1
    assert exif.orientation(b"Exif\0\0Exif\0\0" + whole) == 6


def test_what_is_written_is_read() -> None:
    assert [exif.orientation(exif.block(turn)) for turn in range(1, 9)] == list(range(1, 9))


def test_without_exif_xmp_turns_a_picture_as_pillow_does() -> None:
    in_jpeg = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PACKET)
    in_png = media.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)
    for content in (
        jpeg(in_jpeg),
        media.with_chunk(media.png(), in_png),
        media.encoded(media.picture(), "WEBP", lossless=True, xmp=PACKET),
    ):
        found = media.decoded(media_image.canonical(content, Limits()))
        np.testing.assert_array_equal(found, upright(content))
        assert found.shape == (32, 24, 3)
    both = jpeg(in_jpeg, segment(0xE1, b"Exif\0\0" + exif.block(1)))
    assert media_image.canonical(both, Limits()) == both


def test_of_several_profiles_in_the_texts_of_a_png_the_first_counts() -> None:
    """Each would be inflated: thousands of them would take minutes."""
    broken, turning = (
        media.png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
        for text in (b"\nexif\n2\nno", b"\nexif\n38\n" + media.exif(6).hex().encode())
    )
    content = media.with_chunk(media.png(), turning)
    assert headers.png(content).orientation == 6
    assert headers.png(media.with_chunk(content, broken, b"zTXt")).orientation == 1


def test_marks_of_exif_in_front_are_passed_over() -> None:
    block = media.exif(6)
    assert exif.orientation(block) == exif.orientation(block[:6] * 3 + block[6:]) == 6


def test_a_name_that_stands_in_front_very_often_takes_time_that_grows_with_its_length() -> None:
    named = b"Exif\0\0" * 200_000  # the square takes minutes
    assert exif.orientation(named + block("<", 3, "H", 6)) == 6
    assert exif.orientation(named) == 1
