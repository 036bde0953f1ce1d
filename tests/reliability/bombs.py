"""Decompression bombs: small files that take gigabytes or minutes if their claims are trusted.

Run as a program, it makes media canonical in a separate process, and prints what they took.
"""

import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterable
from concurrent import futures
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests import media
from triad_ml.transforms.media import audio, image, text
from triad_ml.transforms.records.values import MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, Limits

LIMITS = Limits()
SPEC = AudioSpec(seconds=1.0)


def small() -> dict[str, tuple[str, bytes, str]]:
    """By name: modality, content and what becomes of it, which is `accept` or a flaw."""
    inflated = zlib.compress(b"x" * 20_000_000)
    gif = bytearray(media.gif(4, 4))
    gif[6:10] = b"\xff\xff\xff\xff"
    frame = struct.pack("<HHHHB", 0, 0, 13_000, 13_000, 0)
    cleared = b"\x21\xf9\4\x09\0\0\5\0"  # Pillow makes such a frame's background on opening
    tiff = media.encoded(Image.new("1", (7_000, 7_000)), "TIFF", compression="group4")
    jpeg = media.jpeg(progressive=True)
    scan = jpeg.rindex(b"\xff\xda")
    return {
        "gif frame": (
            "image",
            b"GIF89a\4\0\4\0\0\0\0" + cleared + b"," + frame + b"\2\1\0\0;",
            "too_large",
        ),
        "gif canvas": ("image", bytes(gif), "too_large"),
        "png pixels": ("image", media.raw_png(30_000, 30_000, 8, 2, b""), "too_large"),
        "png pixels below Pillow's cap": (
            "image",
            media.raw_png(10_000, 10_000, 1, 0, bytes(1251) * 10_000),
            "too_large",
        ),
        "png text": (
            "image",
            media.with_chunk(media.png(), media.png_chunk(b"zTXt", b"bomb\0\0" + inflated)),
            "accept",  # nobody inflates it
        ),
        "png international text": (
            "image",
            media.with_chunk(media.png(), media.png_chunk(b"iTXt", b"bomb\0\1\0\0\0" + inflated)),
            "accept",
        ),
        "png profile": (
            "image",
            media.with_chunk(
                media.png("RGBA"), media.png_chunk(b"iCCP", b"bomb\0\0" + inflated), before=b"IDAT"
            ),
            "accept",
        ),
        "ppm pixels": ("image", b"P6 50000 50000 255 ", "too_large"),
        "ppm in Python": ("image", b"P5 6000 6000 254\n" + bytes(3_000_000), "unsupported"),
        "bmp in runs": (
            "image",
            bmp_of_runs(60_000, 600, b"\0\2\0\xff"),  # one step of 255 rows
            "unsupported",
        ),
        "tiff fax": ("image", tiff, "too_large"),
        "jpeg scans": ("image", jpeg[:scan] + jpeg[scan:-2] * 120 + b"\xff\xd9", "too_large"),
        "png of one column": (
            "image",
            media.raw_png(1, 40_000_000, 8, 0, bytes(80_000_000)),
            "too_large",
        ),
        "png orientation": (
            "image",
            media.with_chunk(
                media.png(), media.png_chunk(b"zTXt", b"Raw profile type exif\0\0" + inflated)
            ),
            "accept",
        ),
        "png tags": (
            "image",
            media.with_chunk(media.png("RGBA"), media.png_chunk(b"eXIf", _tags(8_000, 500_000))),
            "accept",
        ),
        "gif comment": ("image", _commented_gif(3_200_000, 1), "too_large"),
        "gif comment of the usual blocks": ("image", _commented_gif(4_000, 255), "accept"),
        "gif of empty extensions": ("image", _extended_gif(1_000_000), "too_large"),
        "ppm of blanks": ("image", b"P6" + b"\n" * 3_000_000 + b"1 1 255 abc", "corrupt"),
        "avif of items": (
            "image",
            b"\0\0\0\x1cftypavif" + (b"ispe" + bytes(7) + b"\1" + bytes(3) + b"\1") * 250_000,
            "too_large",
        ),
        "avif of tracks": (
            "image",
            b"\0\0\0\x1cftypavif" + (b"av01" + bytes(25) + b"\1\0\1") * 250_000,
            "too_large",
        ),
        "png orientation as stored": (
            "image",
            media.with_chunk(
                media.png(),
                media.png_chunk(b"tEXt", b"Raw profile type exif\0" + b"\n" * 4_000_000),
            ),
            "accept",
        ),
        "png orientation behind marks": (
            "image",
            media.with_chunk(media.png(), media.png_chunk(b"eXIf", b"Exif\0\0" * 1_000_000)),
            "accept",
        ),
        "ogg streams": ("audio", (b"OggS\0\2" + bytes(21)) * 100_000, "too_large"),
        "jpeg tags": ("image", _with_exif(media.jpeg(), _tags(5_000, 60_000)), "accept"),
        "turned jpeg's tags": (
            "image",
            _with_exif(media.jpeg(mode="CMYK"), *[_tags(5_000, 60_000)] * 8),
            "accept",
        ),
        "webp tags": (
            "image",
            media.encoded(media.picture(), "WEBP", exif=b"Exif\0\0" + _tags(8_000, 400_000)),
            "accept",
        ),
        "tiff tags": ("image", _tags(4_000, 500_000), "too_large"),
        "tiff of tiny tiles": ("image", _tiled_tiff(1_000), "too_large"),
        "tiff of many tags": ("image", _tags(8_000, 1), "too_large"),
        "wav size": (
            "audio",
            b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0"
            + struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
            + b"data\xff\xff\xff\xff"
            + bytes(64),
            "accept",  # as pipes leave it
        ),
        "flac hours": ("audio", _flac_that_claims(2**35), "too_large"),
        "text bytes": ("text", b"fan " * 2_500_000, "too_large"),
        "text marks": ("text", ("a" + "\u0301\u0316" * 200_000).encode(), "too_large"),
    }


def opened() -> dict[str, tuple[str, bytes, str]]:
    """As `small`, of those that show what they are only where a child opens them."""
    return {
        "avif tags": (
            "image",
            media.encoded(media.picture(), "AVIF", exif=b"Exif\0\0" + _tags(8_000, 400_000)),
            "too_large",
        ),
    }


def allowed() -> list[tuple[str, bytes]]:
    """The two worst that the default limits let pass, of 39.7 million pixels each."""
    picture = Image.fromarray(np.zeros((6300, 6300, 4), np.uint8))
    content = media.encoded(picture, "WEBP", lossless=True, quality=0, method=0)
    return [("image", content)] * 2


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """A BMP of 256 colours, compressed in runs."""
    palette = bytes(1024)
    size = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(size) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + size + palette + runs


def _tags(count: int, size: int) -> bytes:
    """A TIFF file or EXIF block whose tags all claim the same bytes."""
    entries = (struct.pack("<HHII", 0x9000 + tag, 7, size, 8) for tag in range(count))
    directory = struct.pack("<H", count) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory.ljust(size, b"\0")


def _tiled_tiff(rows: int) -> bytes:
    """A TIFF of a thousand columns, in tiles of one pixel each, of which Pillow makes a list."""
    tiles = 1000 * rows
    once = {256: 1000, 257: rows, 258: 8, 259: 1, 262: 1, 277: 1, 322: 1, 323: 1}
    entries = [(tag, 4, 1, value) for tag, value in once.items()]
    entries += [(324, 4, tiles, 8), (325, 4, tiles, 8 + 4 * tiles)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    places = struct.pack("<I", 8) * tiles + struct.pack("<I", 1) * tiles
    start = struct.pack("<I", 8 + len(places))
    return b"II*\0" + start + places + struct.pack("<H", len(entries)) + directory + bytes(4)


def _with_exif(jpeg: bytes, *blocks: bytes) -> bytes:
    segments = (
        b"\xff\xe1" + struct.pack(">H", 8 + len(block)) + b"Exif\0\0" + block for block in blocks
    )
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def _commented_gif(blocks: int, size: int) -> bytes:
    """A GIF with a comment in so many blocks of that size."""
    return _with_extensions(b"\x21\xfe" + (bytes([size]) + b"x" * size) * blocks + b"\0")


def _extended_gif(extensions: int) -> bytes:
    """A GIF with so many extensions without any block."""
    return _with_extensions(b"\x21\xfe\0" * extensions)


def _with_extensions(extensions: bytes) -> bytes:
    content = media.gif()
    start = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    return content[:start] + extensions + content[start:]


def canonical(modality: str, content: bytes) -> bytes:
    """Makes a medium canonical within the default limits."""
    make: dict[str, Callable[[], bytes]] = {
        "image": lambda: image.canonical(content, LIMITS),
        "audio": lambda: audio.canonical(content, SPEC, LIMITS),
        "text": lambda: text.canonical(content, LIMITS),
    }
    return make[modality]()


def verdict(modality: str, content: bytes) -> str:
    """`accept`, or the flaw."""
    try:
        canonical(modality, content)
    except MediumError as error:
        return str(error.flaw)
    return "accept"


def peak_bytes(process: int | str = "self") -> int:
    """The most memory that a process has held; `getrusage` counts its parent's, too."""
    status = Path(f"/proc/{process}/status").read_text()
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kibibytes) * 1024


def taken(media_files: Iterable[tuple[str, bytes]]) -> tuple[list[str], int]:
    """What becomes of media on two threads, and by how many bytes that raised the peaks.

    They are the peaks of this process and of the children that are there at the end; one that was
    killed had as much address space as the others, and no more.
    """
    before, (idle, *_) = peak_bytes(), children_peaks()
    with futures.ThreadPoolExecutor(2) as threads:
        verdicts = list(threads.map(lambda one: verdict(*one), media_files))
    added = sum(max(0, peak - idle) for peak in children_peaks())
    return verdicts, peak_bytes() - before + added


def children_peaks() -> list[int]:
    """The most memory that each of the children that are there has held, in bytes."""
    return [peak_bytes(child.pid) for child in psutil.Process().children()]


def _flac_that_claims(frames: int) -> bytes:
    content = bytearray(media.flac())
    content[21:26] = (int.from_bytes(content[21:26]) >> 36 << 36 | frames).to_bytes(5)
    return bytes(content)


def main(folder: Path) -> None:
    """Prints the bytes by which a folder of media raises the peak, and the verdicts."""
    files = [(path.suffix[1:], path.read_bytes()) for path in sorted(folder.iterdir())]
    for modality, content in (
        ("image", media.gif()),
        ("audio", media.flac()),
        ("text", b"caf\xc3\xa9"),
    ):
        canonical(modality, content)  # what is loaded on first use is no medium's fault
    verdicts, added = taken(files)
    print(added, *verdicts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
