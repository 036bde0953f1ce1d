"""Seeded builders of small images and audio, as bytes of files."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

PICTURE_KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
SOUND_KINDS = ("WAV", "RF64", "OGG", "FLAC", "AIFF", "AU", "MP3")


def picture(mode: str = "RGB", width: int = 32, height: int = 24, seed: int = 0) -> Image.Image:
    """Returns a soft gradient with a little noise, in which no two corners are alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [120 * x / width + 90 * y / height + 40 * rng.random() for _ in range(4)]
    noise = rng.integers(0, 5, (height, width, 4))
    pixels = (np.stack(planes, axis=-1) + noise).astype(np.uint8)
    pixels[..., 1] = pixels[::-1, :, 1]
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    rgba = Image.fromarray(pixels)
    return rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encodes `image` in a format by Pillow's name."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def decoded(content: bytes) -> npt.NDArray[np.uint8]:
    """Decodes an image with Pillow to pixels, uint8 `[height, width, 3]`."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def jpeg(
    width: int = 32,
    height: int = 24,
    seed: int = 0,
    mode: str = "RGB",
    orientation: int | None = None,
    **options: Any,
) -> bytes:
    if orientation is not None:
        options["exif"] = exif(orientation)
    return encoded(picture(mode, width, height, seed), "JPEG", quality=90, **options)


def png(
    mode: str = "RGB", width: int = 32, height: int = 24, seed: int = 0, **options: Any
) -> bytes:
    return encoded(picture(mode, width, height, seed), "PNG", **options)


def corrupt_png() -> bytes:
    """Returns an image with an intact structure whose pixels cannot be decoded."""
    content = bytearray(png(seed=5))
    content[content.index(b"IDAT") + 10] ^= 0xFF
    return bytes(content)


def webp(width: int = 32, height: int = 24, seed: int = 0, mode: str = "RGB") -> bytes:
    return encoded(picture(mode, width, height, seed), "WEBP", lossless=True)


def gif(width: int = 32, height: int = 24, seed: int = 0, frames: int = 1) -> bytes:
    images = [picture("P", width, height, seed + frame) for frame in range(frames)]
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:])


def exif(orientation: int) -> bytes:
    """Returns an EXIF block with an orientation only."""
    return b"Exif\0\0" + struct.pack("<4sIHHHIII", b"II*\0", 8, 1, 0x0112, 3, 1, orientation, 0)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """Returns a PNG of `rows` that include their filter bytes; `extra` chunks precede the rows."""
    size = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    head = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", size)
    return head + b"".join(extra) + pixels + png_chunk(b"IEND", b"")


def with_chunk(content: bytes, chunk: bytes, before: bytes = b"IDAT") -> bytes:
    """Inserts a chunk into a PNG, in front of the first chunk of kind `before`."""
    at = content.index(before) - 4
    return content[:at] + chunk + content[at:]


def wave(
    rate: int = 16_000, seconds: float = 0.25, channels: int = 1, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Returns two tones and a little noise, `[frames, channels]`, within half of full scale."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds))[:, None] / rate
    pitch = rng.uniform(200, 1500, (2, channels))
    tones = np.sin(2 * np.pi * pitch[0] * time) + np.sin(2 * np.pi * pitch[1] * time)
    return 0.2 * tones + 0.05 * rng.uniform(-1, 1, (len(time), channels))


def sound(frames: npt.NDArray[Any], rate: int, kind: str = "WAV", **options: Any) -> bytes:
    """Encodes `frames` in a format by libsndfile's name."""
    stream = io.BytesIO()
    soundfile.write(stream, frames, rate, format=kind, **options)
    return stream.getvalue()


def wav(
    rate: int = 16_000,
    seconds: float = 0.25,
    channels: int = 1,
    subtype: str = "PCM_16",
    seed: int = 0,
    **options: Any,
) -> bytes:
    frames = wave(rate, seconds, channels, seed)
    return sound(frames, rate, "WAV", subtype=subtype, **options)


def ogg(rate: int = 16_000, seconds: float = 0.25, channels: int = 1, seed: int = 0) -> bytes:
    return sound(wave(rate, seconds, channels, seed), rate, "OGG", subtype="VORBIS")


def flac(rate: int = 16_000, seconds: float = 0.25, channels: int = 1, seed: int = 0) -> bytes:
    return sound(wave(rate, seconds, channels, seed), rate, "FLAC", subtype="PCM_16")


def mutations(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yields damaged copies: bytes changed (most near the start), removed, repeated, or cut off."""
    rng = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            at = int(len(damaged) * rng.random() ** 3)
            match rng.randrange(6):
                case 0 | 1 | 2 if damaged:
                    damaged[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
                case 3:
                    damaged[at : at + 4] = rng.randbytes(4)
                case 4:
                    damaged[at : at + rng.randrange(64)] = b""
                case _:
                    damaged[at:at] = damaged[at : at + rng.randrange(64)]
        yield bytes(damaged[: rng.randrange(len(damaged) + 1)] if rng.random() < 0.1 else damaged)
