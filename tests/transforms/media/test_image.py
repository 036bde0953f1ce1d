"""Canonical images."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests import media
from triad_ml.transforms.media import image as media_image
from triad_ml.transforms.media.image_files import headers, sizes
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import Limits

LIMITS = Limits()
ODD = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "odd"
WHITE = (255, 255, 255)


def _flaw(content: bytes, limits: Limits = LIMITS) -> Flaw:
    with pytest.raises(MediumError) as caught:
        media_image.canonical(content, limits)
    assert "0x" not in str(caught.value)
    return caught.value.flaw


def _chunks(content: bytes) -> list[bytes]:
    kinds, position = [], 8
    while position < len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        kinds.append(kind)
        position += 12 + length
    return kinds


def _encoded_pixels(content: bytes, limits: Limits = LIMITS) -> np.ndarray:
    """The pixels of a canonical picture that had to be encoded, checked to be a bare RGB PNG."""
    result = media_image.canonical(content, limits)
    assert result != content
    assert set(_chunks(result)) == {b"IHDR", b"IDAT", b"IEND"}
    assert result[24:26] == b"\x08\x02"  # 8 bits, RGB
    return media.decoded(result)


PLAIN = {
    "jpeg": media.jpeg(),
    "gray jpeg": media.jpeg(mode="L"),
    "progressive jpeg": media.jpeg(progressive=True),
    "jpeg without subsampling": media.jpeg(subsampling=0),
    "jpeg that says upright": media.jpeg(orientation=1),
    "jpeg with an impossible orientation": media.jpeg(orientation=9),
    "jpeg with broken exif": media.jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "jpeg with padding behind": media.jpeg() + b"\0" * 100,
    "rgb png": media.png("RGB"),
    "gray png": media.png("L"),
    "black and white png": media.png("1"),
    "palette png": media.png("P"),
    "palette png of 4 bits": media.encoded(media.picture("RGB").quantize(13), "PNG", bits=4),
    "png that says upright": media.with_chunk(
        media.png(), media.png_chunk(b"eXIf", media.exif(1)[6:])
    ),
    "png with plain text": media.with_chunk(
        media.png(), media.png_chunk(b"iTXt", b"Comment\0\0\0\0\0hello")
    ),
    "png with bytes behind": media.png() + b"behind",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_canonical_picture_comes_back_byte_for_byte(name: str) -> None:
    assert media_image.canonical(PLAIN[name], LIMITS) == PLAIN[name]


def test_tensorflow_reads_what_comes_back_as_pillow_does() -> None:
    import tensorflow as tf

    for name, content in PLAIN.items():
        decode = tf.io.decode_jpeg if "jpeg" in name else tf.io.decode_png
        options = {"dct_method": "INTEGER_ACCURATE"} if "jpeg" in name else {}
        pixels = decode(content, channels=3, **options).numpy()
        np.testing.assert_array_equal(pixels, media.decoded(content), name)


def _gray_tiff(width: int, bits: int, row: bytes, white_is_zero: bool) -> bytes:
    """A TIFF of one row."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: int(not white_is_zero), 273: 8}
    tags |= {277: 1, 278: 1, 279: len(row)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    row += bytes(-len(row) % 4)
    return b"II*\0" + struct.pack("<I", 8 + len(row)) + row + directory


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_that_counts_from_white_is_no_negative(bits: int, white_is_zero: bool) -> None:
    row = b"".join(bytes(bits // 8 - 1) + bytes([high]) for high in (0, 0x20, 0xFF))
    found = _encoded_pixels(_gray_tiff(3, bits, row, white_is_zero))[0, :, 0].tolist()
    assert found == ([255, 0xDF, 0] if white_is_zero else [0, 0x20, 255])


def test_twelve_bit_gray_of_a_tiff_keeps_its_high_byte() -> None:
    """Two samples in three bytes; what a 16-bit PNG or TIFF holds is taken for 16 bits."""
    content = _gray_tiff(2, 12, b"\xff\xf8\x0a", white_is_zero=False)
    assert _encoded_pixels(content)[0, :, 0].tolist() == [0xFF, 0x80]
    marked = media.png_chunk(b"sBIT", b"\x0c")  # samples stand in the high bits all the same
    row = b"\0" + struct.pack(">2H", 0xFFFF, 0x80A8)
    assert _encoded_pixels(media.raw_png(2, 1, 16, 0, row, marked))[0, :, 0].tolist() == [255, 128]


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_become_png_with_the_same_pixels(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    mode = "P" if kind == "GIF" else "RGB"
    content = media.encoded(media.picture(mode), kind, **options)
    np.testing.assert_array_equal(_encoded_pixels(content), media.decoded(content))


def test_avif_becomes_png_with_the_same_pixels() -> None:
    content = media.encoded(media.picture(), "AVIF")
    np.testing.assert_array_equal(_encoded_pixels(content), media.decoded(content))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_stood_upright(orientation: int) -> None:
    block = media.exif(orientation)
    in_front = media.with_chunk(media.png(), media.png_chunk(b"eXIf", block[6:]))
    behind = media.with_chunk(media.png(), media.png_chunk(b"eXIf", block[6:]), before=b"IEND")
    webp = media.encoded(media.picture(), "WEBP", lossless=True, exif=block)
    tiff_tags = Image.Exif()
    tiff_tags[0x0112] = orientation
    tiff = media.encoded(media.picture(), "TIFF", exif=tiff_tags)
    for content in (media.jpeg(orientation=orientation), in_front, behind, webp, tiff):
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        np.testing.assert_array_equal(_encoded_pixels(content), expected)
    assert expected.shape == ((32, 24, 3) if orientation > 4 else (24, 32, 3))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_a_turned_picture_keeps_its_proportions_when_it_is_reduced(kind: str) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    content = media.encoded(media.picture(width=80, height=20), kind, exif=tags)
    assert _encoded_pixels(content, Limits(keep_pixels=400)).shape == (40, 10, 3)


def test_big_endian_exif_is_read() -> None:
    block = b"Exif\0\0" + struct.pack(">4sIHHHIHHI", b"MM\0*", 8, 1, 0x0112, 3, 1, 3, 0, 0)
    content = media.jpeg(exif=block)
    np.testing.assert_array_equal(_encoded_pixels(content), media.decoded(content)[::-1, ::-1])


def test_transparency_lies_over_white() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [10, 20, 30, 51]]], np.uint8)
    content = media.encoded(Image.fromarray(pixels), "PNG")
    assert _encoded_pixels(content).tolist() == [[[10, 20, 30], [255] * 3, [206, 208, 210]]]
    content = media.encoded(Image.fromarray(pixels), "WEBP", lossless=True, exact=True)
    assert _encoded_pixels(content).tolist() == [[[10, 20, 30], [255] * 3, [206, 208, 210]]]


def test_gray_with_alpha_lies_over_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(7, 255), (7, 0)])
    assert _encoded_pixels(media.encoded(image, "PNG")).tolist() == [[[7] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("mode", "clear", "pixel"),
    [("L", 9, 9), ("RGB", (1, 2, 3), (1, 2, 3)), ("P", 1, 1), ("1", 0, 0)],
)
def test_a_clear_colour_becomes_white(mode: str, clear: object, pixel: object) -> None:
    image = Image.new(mode, (2, 1))
    if mode == "P":
        image.putpalette([5, 6, 7, 8, 9, 10])
    image.putpixel((0, 0), pixel)
    image.putpixel((1, 0), 255 if mode == "1" else 0)
    result = _encoded_pixels(media.encoded(image, "PNG", transparency=clear))
    other = {"L": (0, 0, 0), "RGB": (0, 0, 0), "P": (5, 6, 7), "1": WHITE}[mode]
    assert [tuple(pixel) for pixel in result[0].tolist()] == [WHITE, other]


def test_sixteen_bit_gray_keeps_its_high_byte() -> None:
    values = np.array([[0, 255, 256, 0x1234, 0x8000, 0xFFFF]], np.uint16)
    for kind in ("PNG", "TIFF", "PPM"):
        result = _encoded_pixels(media.encoded(Image.fromarray(values), kind))
        assert result[0, :, 0].tolist() == [0, 0, 1, 0x12, 0x80, 0xFF]
        assert (result[..., 0] == result[..., 2]).all()


def test_sixteen_bit_gray_may_have_a_clear_value() -> None:
    row = b"\0" + struct.pack(">2H", 0x1234, 0x1235)
    clear = media.png_chunk(b"tRNS", struct.pack(">H", 0x1234))
    assert _encoded_pixels(media.raw_png(2, 1, 16, 0, row, clear))[0, :, 0].tolist() == [255, 0x12]


def test_sixteen_bit_colour_keeps_its_high_bytes() -> None:
    row = b"\0" + struct.pack(">6H", 0x12FF, 0x3400, 0xFFFF, 0, 0x00FF, 0x0100)
    assert _encoded_pixels(media.raw_png(2, 1, 16, 2, row)).tolist() == [
        [[0x12, 0x34, 0xFF], [0, 0, 1]]
    ]


def test_cmyk_becomes_rgb() -> None:
    content = media.encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert abs(_encoded_pixels(content).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP", "MPO"])
def test_the_first_of_several_frames_counts(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = media.encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert abs(_encoded_pixels(content).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("kind", media.PICTURE_KINDS)
def test_too_many_pixels_are_reduced_in_proportion(kind: str) -> None:
    content = media.encoded(media.picture(width=90, height=40), kind)
    result = _encoded_pixels(content, Limits(keep_pixels=900))
    assert result.shape == (20, 45, 3)
    corners = media.decoded(content)[[4, 4, -4, -4], [4, -4, 4, -4]].astype(int)
    assert abs(result[[2, 2, -2, -2], [2, -2, 2, -2]] - corners).max() < 30


def test_a_large_jpeg_is_reduced_to_what_a_full_decoding_gives() -> None:
    content = media.jpeg(width=1600, height=1200)
    result = _encoded_pixels(content, Limits(keep_pixels=190 * 140))
    assert result.shape == (141, 188, 3)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.resize((188, 141), Image.Resampling.LANCZOS))
    assert abs(result.astype(int) - expected).mean() < 1


def test_a_line_of_pixels_is_reduced_to_a_line() -> None:
    assert _encoded_pixels(media.png("L", 5000, 1), Limits(keep_pixels=1000)).shape == (1, 1000, 3)


def test_colour_profile_resolution_and_text_are_dropped() -> None:
    options = {"icc_profile": b"profile", "exif": media.exif(1)}
    for kind, more in (("WEBP", {"lossless": True}), ("TIFF", {"dpi": (72, 72)})):
        _encoded_pixels(media.encoded(media.picture(), kind, **options, **more))
    _encoded_pixels(media.encoded(media.picture("RGBA"), "PNG", dpi=(72, 72), **options))


def test_the_cap_on_bytes_counts_what_comes_in_and_what_goes_out() -> None:
    content = media.jpeg()
    assert media_image.canonical(content, Limits(media_bytes=len(content))) == content
    assert _flaw(content, Limits(media_bytes=len(content) - 1)) is Flaw.TOO_LARGE
    small = media.encoded(media.picture(width=200, height=200), "WEBP", quality=1)
    assert _flaw(small, Limits(media_bytes=len(small))) is Flaw.TOO_LARGE


@pytest.mark.parametrize("kind", media.PICTURE_KINDS)
def test_the_cap_on_pixels_includes_itself(kind: str) -> None:
    content = media.encoded(media.picture(width=40, height=20), kind)
    assert media_image.canonical(content, Limits(image_pixels=800))
    assert _flaw(content, Limits(image_pixels=799)) is Flaw.TOO_LARGE


def test_a_gif_frame_that_outgrows_its_canvas_counts() -> None:
    content = bytearray(media.gif(16, 16))
    content[6:10] = struct.pack("<HH", 1, 1)
    assert _flaw(bytes(content), Limits(image_pixels=255)) is Flaw.TOO_LARGE


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 17), (300, 2)])
def test_the_size_of_a_webp_stands_in_its_header(mode: str, width: int, height: int) -> None:
    image = media.picture(mode, width, height)
    more = [{"lossless": True}, {"quality": 50}, {"exif": media.exif(3)}]
    more.append({"save_all": True, "append_images": [media.picture(mode, width, height, 1)]})
    for options in more:
        header = sizes.webp(media.encoded(image, "WEBP", **options))
        assert header == headers.Header(width, height)


@pytest.mark.parametrize("kind", media.PICTURE_KINDS)
def test_a_file_cut_off_is_refused(kind: str) -> None:
    content = media.encoded(media.picture(width=64, height=64), kind)
    for share in (0.3, 0.6, 0.9):
        assert _flaw(content[: int(len(content) * share)]) in (Flaw.TRUNCATED, Flaw.CORRUPT)


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "rgb png", "palette png"])
def test_wherever_a_plain_file_is_cut_it_is_seen_without_decoding(name: str) -> None:
    content = PLAIN[name]
    for size in range(8, len(content)):
        assert _flaw(content[:size]) is Flaw.TRUNCATED


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x18ftypheic",
        b"\0\0\1\0\1\0",
        b"SIMPLE  =",
        b"\xff\x0a",
        b"BMore text than picture, and longer than a header",
        b"P7\nWIDTH 1",
        b"x",
        media.wav(),
    ],
    ids=["pdf", "eps", "svg", "heic", "ico", "fits", "jxl", "BM", "pam", "letter", "wav"],
)
def test_what_is_on_no_list_is_unsupported(content: bytes) -> None:
    assert _flaw(content) is Flaw.UNSUPPORTED


def test_no_bytes_and_no_pixels_are_empty() -> None:
    assert _flaw(b"") is Flaw.EMPTY
    assert _flaw(media.raw_png(0, 5, 8, 0, b"")) is Flaw.EMPTY
    content = bytearray(media.jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 7] = b"\0\0"
    assert _flaw(bytes(content)) is Flaw.EMPTY


@pytest.mark.parametrize(
    "content",
    [
        media.raw_png(1, 1, 3, 0, b"\0\0"),
        media.raw_png(1, 1, 8, 3, b"\0\0"),
        media.png().replace(b"IDAT", b"ID\0T"),
        b"\xff\xd8\xff\xd9" + b"\0" * 20,
        b"\xff\xd8\xff\xda\0\x02\xff\xd9",
        b"\xff\xd8\xff\xe0\0\0" + b"\0" * 20,
    ],
    ids=["depth", "no palette", "no chunk", "no scan", "no frame", "no length"],
)
def test_what_contradicts_its_format_is_corrupt(content: bytes) -> None:
    assert _flaw(content) is Flaw.CORRUPT


def test_a_jpeg_of_endless_scans_is_too_large() -> None:
    content = media.jpeg(progressive=True)
    scan = content.rindex(b"\xff\xda")
    assert media_image.canonical(content, LIMITS) == content
    assert _flaw(content[:scan] + content[scan:-2] * 120 + b"\xff\xd9") is Flaw.TOO_LARGE


def test_endless_segments_and_chunks_are_corrupt() -> None:
    jpeg, chunk = media.jpeg(), media.png_chunk(b"tEXt", b"")
    assert _flaw(jpeg[:2] + b"\xff\xfe\0\2" * 70_000 + jpeg[2:]) is Flaw.CORRUPT
    assert _flaw(media.with_chunk(media.png(), chunk * 70_000)) is Flaw.CORRUPT


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(media.PICTURE_KINDS),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    seed=st.integers(0, 99),
    keep=st.sampled_from([256, 1000, 4_000_000]),
)
def test_canonical_of_canonical_is_the_same(
    kind: str, mode: str, width: int, height: int, seed: int, keep: int
) -> None:
    image = media.picture(mode, width, height, seed)
    try:
        content = media.encoded(image, kind)
    except (OSError, ValueError):  # the format has no such mode
        content = media.encoded(image.convert("RGB"), kind)
    limits = Limits(keep_pixels=keep)
    once = media_image.canonical(content, limits)
    assert media_image.canonical(content, limits) == once
    assert media_image.canonical(once, limits) == once
    pixels = media.decoded(once)
    assert pixels.shape[0] * pixels.shape[1] <= keep


@pytest.mark.parametrize("kind", media.PICTURE_KINDS)
def test_damaged_pictures_raise_nothing_but_medium_errors(kind: str) -> None:
    limits = Limits(image_pixels=100_000)
    mode = "RGBA" if kind in ("PNG", "WEBP") else "RGB"
    for content in media.mutations(media.encoded(media.picture(mode), kind), 300):
        try:
            once = media_image.canonical(content, limits)
        except MediumError:
            continue
        assert media_image.canonical(once, limits) == once


def _odd() -> list[dict[str, str]]:
    index = ODD / "index.jsonl"
    lines = index.read_text().splitlines() if index.exists() else []
    return [row for row in map(json.loads, lines) if row["kind"] == "image"]


@pytest.mark.skipif(not ODD.exists(), reason="the odd pictures are not here")
@pytest.mark.parametrize("row", _odd(), ids=lambda row: row["file"])
def test_odd_pictures_do_what_is_expected_of_them(row: dict[str, str]) -> None:
    content = (ODD / row["file"]).read_bytes()
    try:
        once = media_image.canonical(content, LIMITS)
    except MediumError:
        assert row["expect"] != "accept"
    else:
        assert row["expect"] != "reject"
        assert media_image.canonical(once, LIMITS) == once
        assert media.decoded(once).size
