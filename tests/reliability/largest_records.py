"""Records as large as the default limits allow, of each kind that takes much memory."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests import media
from tests.reliability import bombs

_PIXELS = 6
"""Records with a picture of as many pixels as may be."""
_INLINE = 4
"""Records whose picture stands in the line itself."""


def write(folder: Path, filled: int, letters: int) -> Path:
    """Writes the records, which share their media: they differ in their ids alone.

    Args:
        folder: Where to.
        filled: Number of records whose picture, sound and text are as many bytes as may be, and of
            those that have only such a text. A few more have as many pixels, or are one line.
        letters: In each word of the text; one letter takes most memory, and most time.

    Returns:
        The records file; its media lie beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bytes.png").write_bytes(picture_of_bytes())
    (folder / "pixels.webp").write_bytes(bombs.allowed()[0][1])
    (folder / "bytes.wav").write_bytes(sound_of_bytes())
    (folder / "text.txt").write_bytes(text(letters))
    path = folder / "records.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for index, record in enumerate(_records(folder, filled)):
            labels = {"category": ("a", "b")[index % 2]}
            split = "eval" if index % 10 == 9 else "train"
            record = {"id": f"r{index:03d}", "labels": labels, "split": split, **record}
            file.write(json.dumps(record) + "\n")
    return path


def _records(folder: Path, filled: int) -> Iterator[dict[str, Any]]:
    whole = {"image": "bytes.png", "audio": "bytes.wav", "text": {"uri": "text.txt"}}
    for _ in range(filled):
        yield whole
    for _ in range(_PIXELS):
        yield {**whole, "image": "pixels.webp"}
    encoded = base64.b64encode((folder / "bytes.png").read_bytes()).decode()
    for _ in range(_INLINE):
        yield {**whole, "image": {"base64": encoded}}
    for _ in range(filled):
        yield {"text": {"uri": "text.txt"}}


def picture_of_bytes() -> bytes:
    """A PNG that passes as it is: `keep_pixels` of noise, filled up to `media_bytes`."""
    side = int(bombs.LIMITS.keep_pixels**0.5)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    plain = media.encoded(Image.fromarray(noise), "PNG", compress_level=0)
    spare = bombs.LIMITS.media_bytes - len(plain) - 12
    return media.with_chunk(plain, media.png_chunk(b"fiLl", bytes(spare)))


def sound_of_bytes() -> bytes:
    """A WAV of `media_bytes`: eight channels of 64-bit floats at the highest rate."""
    frames = bombs.LIMITS.media_bytes // 64 - 3
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (frames, 8))
    return media.sound(noise, 192_000, subtype="DOUBLE")


def text(letters: int) -> bytes:
    """A text of `text_bytes`, of 26 words."""
    words = (chr(0x61 + index) * letters + " " for index in range(26))
    whole = "".join(words).encode()
    return (whole * (bombs.LIMITS.text_bytes // len(whole) + 1))[: bombs.LIMITS.text_bytes]
