"""Small canonical records, and their statistics."""

import io
from typing import Any

import numpy as np
from PIL import Image

from triad_ml.transforms.media import audio
from triad_ml.transforms.records.values import CanonicalRecord, Position
from triad_ml.transforms.spec import loading
from triad_ml.transforms.statistics import combine, measures

SPEC = loading.parse(
    """
modalities: {image: , audio: , text: }
tasks:
  kind: {kind: classification, label: what}
  marks: {kind: classification, label: marks, multi_label: true}
"""
)
RATE = 16_000


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Returns an image of the given uint8 values, `[height, width, 3]`."""
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def plain_picture(colour: tuple[int, int, int], width: int = 20, height: int = 10) -> bytes:
    return picture(np.full((height, width, 3), colour))


def sound(samples: np.ndarray) -> bytes:
    return audio.header(RATE, samples.size) + samples.astype("<i2").tobytes()


def tone(hertz: float, seconds: float = 1.0, loudness: float = 10_000) -> np.ndarray:
    times = np.arange(int(RATE * seconds)) / RATE
    return np.round(loudness * np.sin(2 * np.pi * hertz * times))


def record(name: str = "r", **fields: Any) -> CanonicalRecord:
    return CanonicalRecord(name, Position("records.jsonl", 0), **fields)


def summary_of(*records: CanonicalRecord, split: str = "train") -> dict[str, Any]:
    whole = combine.Accumulator()
    for one in records:
        whole.add(split, measures.measure(one, SPEC))
    return combine.summary(whole)
