"""Measures of one record for statistics: pure functions of its canonical media and labels."""

import dataclasses
import functools
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.labels.registry import named
from triad_ml.transforms.media import audio
from triad_ml.transforms.records.values import CanonicalRecord
from triad_ml.transforms.spec.modalities import Modalities
from triad_ml.transforms.spec.spec import Spec

TELEPHONE_HZ = 4_000
"""Frequency from which on an 8 kHz recording contains nothing."""

CLIPPED = 32_767
SILENT = 33  # 0.001 of full scale, -60 dBFS
QUIETEST = -120.0

_HAN_KANA = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN_KANA}]|[^\W{_HAN_KANA}]+")


@dataclasses.dataclass(frozen=True)
class Scale:
    """Scale of one measure: its unit, its steps and the bins of its histogram.

    Values are rounded to whole steps, because sums of whole numbers do not depend on their order.

    Attributes:
        unit: Name of the unit, for people.
        edges: Edges of the bins, ascending. The first bin is below `edges[0]`, bin i is
            `[edges[i - 1], edges[i])`, and the last is from `edges[-1]` on.
        resolution: Number of steps per unit.
    """

    unit: str
    edges: tuple[float, ...]
    resolution: int = 1


def _octaves(first: int, last: int, per_octave: int = 1) -> tuple[float, ...]:
    steps = range(first * per_octave, last * per_octave + 1)
    return tuple(float(round(2 ** (step / per_octave))) for step in steps)


_TWENTIETHS = tuple(step / 20 for step in range(1, 20))

SCALES = {
    "image.width": Scale("pixels", _octaves(4, 14, 2)),
    "image.height": Scale("pixels", _octaves(4, 14, 2)),
    "image.pixels": Scale("pixels", _octaves(8, 26)),
    "image.bytes": Scale("bytes", _octaves(6, 27)),
    "image.brightness": Scale("share of white", _TWENTIETHS, 10**6),
    "image.saturation": Scale(
        "share of the fullest colour",
        (0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8),
        10**6,
    ),
    "audio.seconds": Scale(
        "s", (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 15, 20, 30, 45), 10**6
    ),
    "audio.level": Scale("dBFS", tuple(float(step) for step in range(-90, 0, 5)), 10**6),
    "audio.clipped": Scale("share of samples", (1e-5, 1e-4, 1e-3, 1e-2, 0.1), 10**6),
    "audio.silent": Scale("share of samples", _TWENTIETHS, 10**6),
    "audio.above_4khz": Scale(
        "share of energy",
        (1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7),
        10**9,
    ),
    "text.characters": Scale("characters", _octaves(0, 20, 2)[2:]),
    "text.bytes": Scale("bytes", _octaves(0, 20, 2)[2:]),
    "text.words": Scale("words", (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 128, 512, 2048)),
}
"""Scales of the numeric measures, by name."""


MediumMeasures: TypeAlias = tuple[Mapping[str, str], Mapping[str, float]]
"""Categories and numbers of one medium, each by name."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measures of one record.

    Attributes:
        numbers: Pairs of a key of `SCALES` and a value in its unit.
        categories: Pairs of a feature (`<modality>.state`, `image.format`, `label.<task>`,
            `label.<task>.state`, and `label.<task>.flaw` if a label cannot be used) and a value.
        digests: Pairs of a modality and the first 8 bytes of its medium's SHA-256, as an integer.
    """

    numbers: tuple[tuple[str, float], ...]
    categories: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, int], ...]


def measure(record: CanonicalRecord, spec: Spec) -> Measured:
    """Measures the modalities and labels that the spec names."""
    numbers: list[tuple[str, float]] = []
    categories: list[tuple[str, str]] = []
    digests: list[tuple[str, int]] = []
    flaws = dict(issue.split(": ", 1) for issue in record.issues if ": " in issue)
    for name in spec.modalities.names:
        medium = getattr(record, name)
        categories.append((f"{name}.state", "present" if medium else flaws.get(name, "missing")))
        if medium:
            digests.append((name, _digest(medium)))
    for name in spec.modalities.names:
        if medium := getattr(record, name):
            kinds, measured = MEASURES[name](medium, spec.modalities)
            categories += [(f"{name}.{key}", kind) for key, kind in kinds.items()]
            numbers += [(f"{name}.{key}", value) for key, value in measured.items()]
    categories += _label_categories(record, spec)
    return Measured(tuple(numbers), tuple(categories), tuple(digests))


def image_numbers(content: bytes) -> tuple[str, dict[str, float]]:
    """Measures a canonical image on a reduced copy.

    A JPEG is decoded at down to an eighth of its size. Brightness is the mean of Rec. 601 luma, and
    saturation the mean difference between a pixel's largest and smallest channel.

    Returns:
        The format in lower case and the numbers; `unknown` and `bytes` alone if Pillow cannot read
        the image.
    """
    numbers: dict[str, float] = {"bytes": len(content)}
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            kind = str(image.format).lower()
            width, height = image.size
            image.draft("RGB", (64, 64))
            factor = max(1, min(image.size) // 64)
            pixels = np.asarray(image.convert("RGB").reduce(factor), dtype=np.int64)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return "unknown", numbers
    luma = pixels @ np.array([299, 587, 114])
    spread = pixels.max(axis=-1) - pixels.min(axis=-1)
    numbers |= {"width": width, "height": height, "pixels": width * height}
    numbers["brightness"] = int(luma.sum()) / (255_000 * luma.size)
    numbers["saturation"] = int(spread.sum()) / (255 * spread.size)
    return kind, numbers


def audio_numbers(content: bytes, sample_rate: int) -> dict[str, float]:
    """Measures canonical audio.

    `above_4khz` is measured on the second in the middle. It is missing if that second is silent, or
    if the sample rate is too low for such frequencies.

    Args:
        content: WAV of `audio.canonical`.
        sample_rate: Sample rate in Hz.
    """
    samples = audio.samples(content).astype(np.int64)
    if not samples.size:
        return {"seconds": 0.0}
    loudness = np.abs(samples)
    power = int((samples * samples).sum()) / samples.size / 2**30
    numbers = {
        "seconds": samples.size / sample_rate,
        "level": max(QUIETEST, 10 * math.log10(power)) if power else QUIETEST,
        "clipped": float(np.count_nonzero(loudness >= CLIPPED)) / samples.size,
        "silent": float(np.count_nonzero(loudness < SILENT)) / samples.size,
    }
    share = _share_above(samples, sample_rate)
    return numbers if share is None else numbers | {"above_4khz": share}


def text_numbers(content: bytes) -> dict[str, float]:
    """Measures a canonical text. Each Han or Kana character is a word."""
    text = content.decode("utf-8")
    words = sum(1 for _ in _WORD.finditer(text))
    return {"characters": len(text), "bytes": len(content), "words": words}


def _of_image(content: bytes, sections: Modalities) -> MediumMeasures:
    kind, numbers = image_numbers(content)
    return {"format": kind}, numbers


def _of_audio(content: bytes, sections: Modalities) -> MediumMeasures:
    assert sections.audio is not None
    return {}, audio_numbers(content, sections.audio.sample_rate)


def _of_text(content: bytes, sections: Modalities) -> MediumMeasures:
    return {}, text_numbers(content)


MEASURES: Mapping[str, Callable[[bytes, Modalities], MediumMeasures]] = {
    "image": _of_image,
    "audio": _of_audio,
    "text": _of_text,
}
"""Functions that measure a canonical medium, by modality."""


def _share_above(samples: npt.NDArray[np.int64], sample_rate: int) -> float | None:
    """Returns the share of energy from `TELEPHONE_HZ` on, in the second in the middle.

    Returns:
        None if the sample rate is too low, or the second is silent.
    """
    if sample_rate <= 2 * TELEPHONE_HZ:
        return None
    start = max(0, (samples.size - sample_rate) // 2)
    middle = samples[start : start + sample_rate]
    middle = (middle - middle.mean()) * _window(middle.size)
    energy = np.abs(np.fft.rfft(middle)) ** 2
    whole = float(energy.sum())
    if whole < 1:
        return None
    first = math.ceil(TELEPHONE_HZ * middle.size / sample_rate)
    return float(energy[first:].sum()) / whole


@functools.lru_cache(maxsize=16)
def _window(size: int) -> npt.NDArray[np.float64]:
    return np.hanning(size)


def _digest(medium: bytes) -> int:
    return int.from_bytes(hashlib.sha256(medium).digest()[:8], "big")


def _label_categories(record: CanonicalRecord, spec: Spec) -> Iterator[tuple[str, str]]:
    for name, task in spec.tasks.items():
        try:
            classes = named(record, task)
        except LabelError as error:
            yield f"label.{name}.state", "unusable"
            yield f"label.{name}.flaw", str(error)
            continue
        yield f"label.{name}.state", "missing" if classes is None else "present"
        for class_name in classes or ():
            yield f"label.{name}", class_name
