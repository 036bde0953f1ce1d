"""Detection of JPEG files with intact structure but missing pixels."""

import zlib

import pytest

from tests import media
from tests.reliability.odd_media import patched
from triad_ml.transforms.media import image
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Flaw,
    MediumError,
    Position,
    RawRecord,
)
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.modalities import Limits

SPEC = loading.parse(
    "{modalities: {image: , text: }, tasks: {a: {kind: classification, label: a}}}"
)
END = b"\xff\xd9"
KINDS = {
    "baseline": media.jpeg(160, 120),
    "gray": media.jpeg(160, 120, mode="L"),
    "progressive": media.jpeg(160, 120, progressive=True),
    "restarts": media.jpeg(160, 120, restart_marker_blocks=7),
    "optimized": media.jpeg(160, 120, optimize=True),
    "four colours": media.jpeg(160, 120, mode="CMYK"),
    "turned": media.jpeg(160, 120, orientation=6),
}
HEADERS = {
    "JFIF 9": lambda content: patched(content, 11, b"\x09"),
    "Adobe's ninth transform": lambda content: (
        content[:20] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09" + content[20:]
    ),
    "stray bytes": lambda content: content[:20] + b"abc" + content[20:],
    "odd scan": lambda content: patched(content, scan_of(content) - 3, b"\0\0\0"),
}


def scan_of(content: bytes) -> int:
    """Where the data of the first scan begins."""
    start = content.index(b"\xff\xda") + 2
    return start + int.from_bytes(content[start : start + 2])


def damaged(content: bytes, how: str) -> bytes:
    start = scan_of(content)
    middle = start + (len(content) - start) // 2
    if how == "half":
        return content[:middle].rstrip(b"\xff") + END
    if how == "zeroed":
        return patched(content, middle, bytes(len(content) // 8))
    if how == "tail":
        return content[:middle].rstrip(b"\xff") + bytes(len(content) - middle - 2) + END
    return content[: len(content) * 55 // 100] + b"\x55" * (len(content) * 45 // 100)


def flaw(content: bytes) -> Flaw:
    with pytest.raises(MediumError) as caught:
        image.canonical(content, Limits())
    return caught.value.flaw


@pytest.mark.parametrize("how", ["half", "zeroed", "tail", "garbage"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_scan_is_told(kind: str, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    image.canonical(KINDS[kind], Limits())
    assert flaw(damaged(KINDS[kind], how)) in (Flaw.TRUNCATED, Flaw.CORRUPT)
    assert capfd.readouterr() == ("", "")


def test_a_half_is_truncated_and_bytes_too_many_are_corrupt() -> None:
    content = KINDS["baseline"]
    assert flaw(damaged(content, "half")) is Flaw.TRUNCATED
    assert flaw(content[:-2] + bytes(range(1, 30)) + END) is Flaw.CORRUPT


@pytest.mark.parametrize("check", [True, False])
def test_the_verdict_is_the_same_in_training_and_scoring(check: bool) -> None:
    record = RawRecord("r", Position("r", 0), image=damaged(KINDS["baseline"], "half"), text=b"a")
    outcome = Canonicalizer(SPEC, check=check).canonical(record)
    assert isinstance(outcome, CanonicalRecord)
    assert (outcome.image, outcome.issues) == (b"", ("image: truncated",))


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_decoders_only_warn_of_costs_nothing(
    header: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = HEADERS[header](KINDS["baseline"])
    result = image.canonical(content, Limits())
    assert result.startswith(b"\x89PNG")
    assert (media.decoded(result) == media.decoded(KINDS["baseline"])).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("behind", [b"", b"\0" * 9, b"\xff\xff", b"PK\3\4"])
def test_a_whole_picture_passes_byte_for_byte(behind: bytes) -> None:
    for kind in ("baseline", "gray", "progressive", "restarts", "optimized"):
        content = KINDS[kind] + behind
        assert image.canonical(content, Limits()) == content


def test_rare_sampling_is_no_damage() -> None:
    content = bytearray(media.jpeg(56, 8, keep_rgb=True))  # 21 blocks of one table
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = bytes((0, 16, 0, 48))
    content[frame + 11 : frame + 20 : 3] = bytes((0x22, 0x12, 0x11))
    assert media.decoded(bytes(content)).shape == (16, 48, 3)
    assert image.canonical(bytes(content), Limits()) == content


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_that_lacks_rows_is_told(colour: int, depth: int) -> None:
    """Of plain ones the feature graph's op tells; see `readable`."""
    size = {0: 1, 2: 3, 4: 2, 6: 4}[colour] * depth // 8 * 10
    clear = (media.png_chunk(b"tRNS", bytes({0: 2, 2: 6}[colour])),) if colour in (0, 2) else ()
    rows = [b"\0" + bytes(range(size))] * 8
    whole = media.raw_png(10, 8, depth, colour, b"".join(rows), *clear)
    assert image.canonical(whole, Limits()).startswith(b"\x89PNG")
    assert flaw(media.raw_png(10, 8, depth, colour, b"".join(rows[:4]), *clear)) is Flaw.TRUNCATED


def test_an_interlaced_png_that_lacks_pixels_is_told() -> None:
    passes = [(2, 1), (1, 1), (3, 1), (2, 2), (5, 2), (4, 4), (9, 4)]  # of 9 x 8 pixels
    data = b"".join((b"\0" + b"\x80" * (2 * columns)) * rows for columns, rows in passes)
    for missing in (0, 1):
        content = media.raw_png(9, 8, 8, 4, data[: len(data) - missing])
        header = content[12:28] + b"\1"
        content = content[:12] + header + zlib.crc32(header).to_bytes(4) + content[33:]
        if missing:
            assert flaw(content) is Flaw.TRUNCATED
        else:
            assert (media.decoded(image.canonical(content, Limits())) == 191).all()
