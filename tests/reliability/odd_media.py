"""Generated odd and broken media of each kind: small files, each with its expected verdict."""

import dataclasses
import json
import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from tests import media
from tests.reliability import bombs
from triad_ml.transforms.media import audio

ROOT = Path(__file__).resolve().parents[2]
ACCEPT = "accept"


@dataclasses.dataclass(frozen=True)
class Odd:
    """A medium, and what becomes of it.

    Attributes:
        modality: `image`, `audio` or `text`.
        content: Its bytes.
        verdicts: `accept` or flaws, of which it gets one.
        bomb: Whether its index calls it one.
    """

    modality: str
    content: bytes
    verdicts: frozenset[str]
    bomb: bool = False


def generated() -> dict[str, Odd]:
    """By name, over fifty files; always the same ones."""
    found = {}
    for modality, files in (("image", _pictures()), ("audio", _sounds()), ("text", _texts())):
        for name, (content, verdict) in files.items():
            found[f"{modality}/{name}"] = Odd(modality, content, frozenset({verdict}))
    return found


def shared() -> dict[str, Odd]:
    """By name, the odd files of other projects' tests; none where they are not on this machine.

    They lie in `../shared/data/odd`, or where the variable TRIAD_ODD_MEDIA says, with an index.
    """
    folder = Path(os.environ.get("TRIAD_ODD_MEDIA") or ROOT.parent / "shared" / "data" / "odd")
    index = folder / "index.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []
    flaws = frozenset({"too_large", "truncated", "corrupt", "unsupported", "empty"})
    of_expectation = {
        "accept": frozenset({ACCEPT}),
        "reject": flaws,
        "either": flaws | {ACCEPT},
        "bomb": flaws | {ACCEPT},
    }
    return {
        row["file"]: Odd(
            row["kind"],
            (folder / row["file"]).read_bytes(),
            of_expectation[row["expect"]],
            row["expect"] == "bomb",
        )
        for row in rows
    }


def wav_form(
    body: bytes,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    declared: int | None = None,
) -> bytes:
    """A WAV whose header says what it is told to."""
    block = channels * (bits // 8)
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block % 2**32, block % 2**16, bits)
    size = struct.pack("<I", len(body) if declared is None else declared)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + size + body
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def patched(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def _frames(kind: str, **options: object) -> bytes:
    frames = [media.picture(seed=seed) for seed in range(3)]
    return media.encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def _pictures() -> dict[str, tuple[bytes, str]]:
    jpeg, png = media.jpeg(), media.png()
    pixels = png.index(b"IDAT")
    frame = jpeg.index(b"\xff\xc0")
    icc = {"icc_profile": bytes(200_000)}  # over several markers
    gray16 = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)
    palette = media.raw_png(
        1, 1, 8, 3, b"\0\0", media.png_chunk(b"PLTE", b"abc"), media.png_chunk(b"tRNS", b"\0")
    )
    tags = Image.Exif()
    tags[0x0112] = 6
    return {
        "gray.jpg": (media.jpeg(mode="L"), ACCEPT),
        "cmyk.jpg": (media.jpeg(mode="CMYK"), ACCEPT),
        "progressive.jpg": (media.jpeg(progressive=True), ACCEPT),
        "turned.jpg": (media.jpeg(orientation=6), ACCEPT),
        "malformed-exif.jpg": (media.jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), ACCEPT),
        "long-profile.jpg": (media.jpeg(**icc), ACCEPT),
        "several.mpo": (_frames("MPO"), ACCEPT),
        "bytes-behind.jpg": (jpeg + b"PK\3\4 and more", ACCEPT),
        "truncated.jpg": (cut(jpeg, 0.6), "truncated"),
        "end-marker-too-soon.jpg": (media.jpeg(96, 96)[:-400] + b"\xff\xd9", "truncated"),
        "no-width.jpg": (patched(jpeg, frame + 5, b"\0\0\0\0"), "empty"),
        "giant.jpg": (patched(jpeg, frame + 5, b"\xff\xff\xff\xff"), "too_large"),
        "one-bit-clear.png": (
            media.encoded(Image.new("1", (9, 9)), "PNG", transparency=0),
            ACCEPT,
        ),
        "clear-palette.png": (palette, ACCEPT),
        "sixteen-bit.png": (media.encoded(gray16, "PNG"), ACCEPT),
        "animated.png": (_frames("PNG"), ACCEPT),
        "named.jpg.png": (jpeg, ACCEPT),
        "truncated.png": (cut(png, 0.5), "truncated"),
        "checksum.png": (patched(png, pixels + 20, bytes([png[pixels + 20] ^ 1])), "corrupt"),
        "method.png": (patched(png, 26, b"\7"), "corrupt"),
        "no-pixels.png": (media.raw_png(4, 4, 8, 2, b""), "corrupt"),
        "giant.png": (media.raw_png(30_000, 30_000, 8, 2, b""), "too_large"),
        "three-frames.gif": (media.gif(frames=3), ACCEPT),
        "no-width.gif": (patched(media.gif(), 6, b"\0\0"), "empty"),
        "giant.gif": (patched(media.gif(), 6, b"\xff\xff\xff\xff"), "too_large"),
        "truncated.gif": (cut(media.gif(), 0.98), "truncated"),
        "alpha.webp": (media.webp(mode="RGBA"), ACCEPT),
        "animated.webp": (_frames("WEBP"), ACCEPT),
        "turned.tiff": (media.encoded(media.picture(), "TIFF", exif=tags), ACCEPT),
        "pages.tiff": (_frames("TIFF"), ACCEPT),
        "float.tiff": (
            media.encoded(Image.new("F", (4, 4)), "TIFF"),
            "unsupported",
        ),
        "top-down.bmp": (_top_down(media.encoded(media.picture(), "BMP")), ACCEPT),
        "short.bmp": (cut(media.encoded(media.picture(), "BMP"), 0.5), "truncated"),
        "runs.bmp": (bombs.bmp_of_runs(16, 16, b"\x10\7\0\0" * 16), "unsupported"),
        "as-text.ppm": (b"P3 2 1 255 1 2 3 4 5 6", "unsupported"),
        "odd-depth.ppm": (b"P5 2 2 254\n" + bytes(4), "unsupported"),
        "negative.ppm": (b"P6\n-4 4\n255\n" + bytes(48), "corrupt"),
        "still.avif": (media.encoded(media.picture(), "AVIF"), ACCEPT),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "unsupported"),
        "named.jfif": (media.jpeg(restart_marker_blocks=2), ACCEPT),
        "zeroed-middle.jpg": (patched(media.jpeg(96, 96), 900, bytes(200)), "truncated"),
        "half-the-rows.png": (media.raw_png(4, 4, 8, 6, bytes(34)), "truncated"),
        "half-the-rows-of-a-plain.png": (media.raw_png(4, 4, 8, 2, bytes(26)), "corrupt"),
        "one-column.png": (media.raw_png(1, 70_000, 8, 0, bytes(140_000)), "too_large"),
        "vector.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported"),
        "page.pdf": (b"%PDF-1.7\n", "unsupported"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported"),
        "newer.jxl": (b"\xff\x0a" + bytes(40), "unsupported"),
        "a-sound.png": (media.wav(), "unsupported"),
        "one-byte.png": (b"\x89", "unsupported"),
    }


def _sounds() -> dict[str, tuple[bytes, str]]:
    wave = media.wave()
    wav = media.wav()
    infinite = wave.copy()
    infinite[7] = np.inf
    not_a_number = wave.copy()
    not_a_number[9] = np.nan
    ogg, flac = media.ogg(), media.flac()
    body = b"\1\0" * 500
    return {
        "eight-bit.wav": (media.wav(subtype="PCM_U8"), ACCEPT),
        "sixty-four-bit.wav": (media.wav(subtype="DOUBLE", channels=2), ACCEPT),
        "mu-law.wav": (media.wav(subtype="ULAW"), ACCEPT),
        "adpcm.wav": (media.wav(subtype="IMA_ADPCM"), ACCEPT),
        "big-endian.wav": (media.wav(subtype="PCM_32", endian="BIG"), ACCEPT),
        "long-sizes.rf64": (media.sound(wave, 16_000, "RF64"), ACCEPT),
        "eight-channels.wav": (media.wav(channels=8), ACCEPT),
        "telephone-rate.wav": (media.wav(rate=8_000), ACCEPT),
        "studio-rate.wav": (media.wav(rate=192_000), ACCEPT),
        "one-sample.wav": (audio.header(16_000, 1) + b"\1\0", ACCEPT),
        "bytes-behind.wav": (wav + b"behind", ACCEPT),
        "tagged.mp3": (
            b"ID3\4\0\0\0\0\0\4abcd" + media.sound(wave, 16_000, "MP3"),
            ACCEPT,
        ),
        "stereo.ogg": (media.ogg(channels=2), ACCEPT),
        "opus.ogg": (media.sound(wave, 16_000, "OGG", subtype="OPUS"), ACCEPT),
        "piped.wav": (wav_form(body, declared=0xFFFFFFFF), ACCEPT),
        "piped.flac": (flac[:22] + bytes(20) + flac[42:], ACCEPT),
        "joined.oga": (ogg + ogg, ACCEPT),
        "apple.m4a": (b"\0\0\0\x20ftypM4A " + bytes(40), "unsupported"),
        "apple.caf": (b"caff\0\1\0\0" + bytes(40), "unsupported"),
        "thirteen-bytes.wav": (wav[:13], "truncated"),
        "header-alone.wav": (wav[:44], "truncated"),
        "lying.wav": (wav_form(body, declared=4_000_000_000), "truncated"),
        "no-samples.wav": (audio.header(16_000, 0), "empty"),
        "nine-channels.wav": (wav_form(b"\0" * 36, channels=9), "unsupported"),
        "no-channels.wav": (wav_form(b"\0" * 36, channels=0), "corrupt"),
        "all-channels.wav": (wav_form(b"\0" * 36, channels=65_535), "corrupt"),
        "no-rate.wav": (wav_form(body, rate=0), "unsupported"),
        "gigahertz.wav": (wav_form(body, rate=4_000_000_000), "unsupported"),
        "infinite.wav": (media.sound(infinite, 16_000, subtype="FLOAT"), "not_finite"),
        "not-a-number.wav": (media.sound(not_a_number, 16_000, subtype="FLOAT"), "not_finite"),
        "not-a-number.au": (
            media.sound(not_a_number, 16_000, "AU", subtype="DOUBLE"),
            "not_finite",
        ),
        "cut.ogg": (cut(ogg, 0.7), "truncated"),
        "cut.flac": (cut(flac, 0.7), "corrupt"),
        "cut.aiff": (cut(media.sound(wave, 16_000, "AIFF"), 0.7), "truncated"),
        "zeroed.flac": (b"fLaC" + bytes(60), "corrupt"),
        "day-long.au": (_declared_au(8_000 * 86_400), "truncated"),
        "a-picture.wav": (media.png(), "unsupported"),
        "a-film.wav": (b"RIFF\0\0\0\0AVI LIST", "unsupported"),
    }


def _texts() -> dict[str, tuple[bytes, str]]:
    return {
        "right-to-left": ("שלום עולם, مرحبا".encode(), ACCEPT),
        "joined": ("👩‍👩‍👧‍👦 fan".encode(), ACCEPT),
        "decomposed": (b"cafe\xcc\x81", ACCEPT),
        "nul": (b"a\0b", ACCEPT),
        "byte-order-mark": ("\ufeffa fan".encode(), ACCEPT),
        "latin-1": (b"caf\xe9", "not_utf8"),
        "utf-16": ("a fan".encode("utf-16"), "not_utf8"),
        "surrogate": (b"\xed\xa0\x80", "not_utf8"),
        "overlong": (b"\xc0\xaf", "not_utf8"),
        "controls-alone": (b"\1\2\3", "empty"),
        "ten-megabytes": (b"fan " * 2_500_000, "too_large"),
        "stacked-marks": (("a" + "\u0301" * 5000).encode(), "too_large"),
    }


def _top_down(bmp: bytes) -> bytes:
    """A BMP with its rows from top to bottom: its height is negative."""
    (height,) = struct.unpack_from("<i", bmp, 22)
    return patched(bmp, 22, struct.pack("<i", -height))


def _declared_au(num_samples: int) -> bytes:
    return struct.pack(">4sIIIII", b".snd", 24, 2 * num_samples, 3, 8_000, 1) + bytes(400)
