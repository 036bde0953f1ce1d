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
from triad_ml.transforms.statistics import sampling, scripts

TELEPHONE_HZ = 4_000
"""Frequency from which on an 8 kHz recording contains nothing."""

CLIPPED = 32_767
SILENT = 33  # 0.001 of full scale, -60 dBFS
QUIETEST = -120.0

_HAN_KANA = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN_KANA}]|[^\W{_HAN_KANA}]+")
_WORD_CHARACTERS = 40
"""Number of characters of a drawn word that are kept."""


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
    "image.contrast": Scale("share of white", tuple(step / 40 for step in range(1, 20)), 10**6),
    "image.sharpness": Scale(
        "squared grey levels", (1, 3, 10, 30, 100, 200, 400, 700, 1e3, 2e3, 4e3, 1e4, 3e4), 10**3
    ),
    "image.top_minus_bottom": Scale(
        "share of white", tuple(step / 20 for step in range(-10, 11)), 10**6
    ),
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
    "audio.centroid": Scale(
        "Hz",
        (100, 200, 300, 400, 600, 800, *range(1_000, 8_001, 500)),
        10**3,
    ),
    "audio.above_4khz": Scale(
        "share of energy",
        (1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7),
        10**9,
    ),
    "text.characters": Scale("characters", _octaves(0, 20, 2)[2:]),
    "text.bytes": Scale("bytes", _octaves(0, 20, 2)[2:]),
    "text.words": Scale("words", (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 128, 512, 2048)),
}
"""Scales of the measures of media, by feature."""

_OF_SCORES = {
    "confidence": Scale("probability", _TWENTIETHS, 10**6),
    "entropy": Scale("share of the largest entropy", _TWENTIETHS, 10**6),
    "value": Scale(
        "unit of the label",
        (*(-(2.0**step) for step in range(20, -11, -1)), 0.0)
        + tuple(2.0**step for step in range(-10, 21)),
        10**6,
    ),
    "spans": Scale("spans", (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100)),
    "characters": Scale("characters", _octaves(0, 12, 2)[2:]),
}
"""Scales of the measures of scores, by the last part of a feature `score.<task>.<measure>`."""


def scale(feature: str) -> Scale:
    """Returns the scale of a numeric feature: of a medium, or of the scores of a task."""
    return SCALES[feature] if feature in SCALES else _OF_SCORES[feature.rpartition(".")[2]]


DRAWN = frozenset({"text.word"})
"""Categories that are parts of a record's content, drawn from it."""

Measures: TypeAlias = Mapping[str, float | str]
"""Measures of a record's media by feature: numbers in the unit of their scale, and categories."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measures of one record.

    Attributes:
        measures: Measures of the media; None if the record is not in the sample.
        categories: Pairs of a feature (`<modality>.state`, `label.<task>`, `label.<task>.state`,
            and `label.<task>.flaw` if a label cannot be used) and a value.
        digests: Pairs of a modality and the first 8 bytes of its medium's SHA-256, as an integer.
    """

    measures: Measures | None
    categories: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, int], ...]


def measure(record: CanonicalRecord, spec: Spec, share: float = 1.0) -> Measured:
    """Measures the modalities and labels that the spec names.

    Args:
        record: Record to measure.
        spec: Spec with the modalities and tasks.
        share: Share of the records whose media are measured, see `sampling`.
    """
    categories: list[tuple[str, str]] = []
    digests: list[tuple[str, int]] = []
    flaws = dict(issue.split(": ", 1) for issue in record.issues if ": " in issue)
    for name in spec.modalities.names:
        medium = getattr(record, name)
        categories.append((f"{name}.state", "present" if medium else flaws.get(name, "missing")))
        if medium:
            digests.append((name, _digest(medium)))
    categories += _label_categories(record, spec)
    return Measured(sampled_media(record, spec, share), tuple(categories), tuple(digests))


def sampled_media(record: CanonicalRecord, spec: Spec, share: float) -> Measures | None:
    """Measures the media of a record that is in the sample; returns None for any other record.

    Args:
        record: Record to measure.
        spec: Spec with the modalities to measure.
        share: Share of the records that the sample holds.
    """
    number = sampling.number(record.id)
    if not sampling.holds(number, share):
        return None
    return {
        f"{name}.{key}": value
        for name in spec.modalities.names
        if (medium := getattr(record, name))
        for key, value in MEASURES[name](medium, spec.modalities, number).items()
    }


def with_measures(record: CanonicalRecord, spec: Spec, share: float) -> CanonicalRecord:
    """Returns the record with its measures, or unchanged if it is not in the sample."""
    measures = sampled_media(record, spec, share)
    return record if measures is None else dataclasses.replace(record, measures=measures)


def image_measures(content: bytes) -> dict[str, float | str]:
    """Measures a canonical image on a reduced copy, whose shorter side has 64 to 127 pixels.

    A JPEG is decoded at down to an eighth of its size. With Rec. 601 luma, brightness is the mean,
    contrast the standard deviation, sharpness the variance of the Laplacian (the four neighbours of
    a pixel less four times itself), and `top_minus_bottom` the mean of the upper half less that of
    the lower half. Saturation is the mean difference between a pixel's largest and smallest
    channel.

    Returns:
        Measures by name; the `format` `unknown` and `bytes` alone if Pillow cannot read the image.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            kind, channels = str(image.format).lower(), len(image.getbands())
            width, height = image.size
            image.draft("RGB", (64, 64))
            factor = max(1, min(image.size) // 64)
            red, green, blue = map(np.asarray, image.convert("RGB").reduce(factor).split())
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return {"format": "unknown", "bytes": len(content)}
    luma = 299 * red.astype(np.int32) + 587 * green.astype(np.int32) + 114 * blue.astype(np.int32)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    half = luma.shape[0] // 2
    measures: dict[str, float | str] = {
        "format": kind,
        "channels": "grey" if channels == 1 else "colour",
        "bytes": len(content),
        "width": width,
        "height": height,
        "pixels": width * height,
        "brightness": int(luma.sum(dtype=np.int64)) / (255_000 * luma.size),
        "contrast": float(luma.std()) / 255_000,
        "saturation": int(spread.sum(dtype=np.int64)) / (255 * spread.size),
    }
    if half:
        measures["top_minus_bottom"] = float(luma[:half].mean() - luma[-half:].mean()) / 255_000
    if min(luma.shape) >= 3:
        measures["sharpness"] = float(_laplacian(luma).var()) / 1e6
    return measures


def audio_measures(content: bytes, sample_rate: int) -> dict[str, float | str]:
    """Measures canonical audio.

    `centroid` and `above_4khz` are measured on the second in the middle. Both are missing if that
    second is silent, and the latter if the sample rate is too low for such frequencies.

    Args:
        content: WAV of `audio.canonical`.
        sample_rate: Sample rate in Hz.
    """
    samples = audio.samples(content)
    if not samples.size:
        return {"seconds": 0.0}
    values = samples.astype(np.float64)
    power = float(values @ values) / samples.size / 2**30  # Sums of whole numbers below 2**53.
    clipped = np.count_nonzero(samples >= CLIPPED) + np.count_nonzero(samples <= -CLIPPED)
    silent = np.count_nonzero((samples < SILENT) & (samples > -SILENT))
    measures: dict[str, float | str] = {
        "seconds": samples.size / sample_rate,
        "level": max(QUIETEST, 10 * math.log10(power)) if power else QUIETEST,
        "clipped": float(clipped / samples.size),
        "silent": float(silent / samples.size),
    }
    return {**measures, **_spectrum(values, sample_rate)}


def text_measures(content: bytes, number: int) -> dict[str, float | str]:
    """Measures a canonical text. Each Han or Kana character is a word.

    Args:
        content: Canonical text.
        number: Number that draws `word`, one of the words, in lower case.

    Returns:
        Measures by name; `word` is missing if the text has no word.
    """
    text = content.decode("utf-8")
    words = _WORD.findall(text)
    measures: dict[str, float | str] = {
        "characters": len(text),
        "bytes": len(content),
        "words": len(words),
        "script": scripts.script(text),
    }
    if words:
        measures["word"] = words[number % len(words)].lower()[:_WORD_CHARACTERS]
    return measures


def _of_image(content: bytes, sections: Modalities, number: int) -> Measures:
    return image_measures(content)


def _of_audio(content: bytes, sections: Modalities, number: int) -> Measures:
    assert sections.audio is not None
    return audio_measures(content, sections.audio.sample_rate)


def _of_text(content: bytes, sections: Modalities, number: int) -> Measures:
    return text_measures(content, number)


MEASURES: Mapping[str, Callable[[bytes, Modalities, int], Measures]] = {
    "image": _of_image,
    "audio": _of_audio,
    "text": _of_text,
}
"""Functions that measure a canonical medium of a record with a `sampling.number`, by modality."""


def _laplacian(luma: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Returns the Laplacian of the inner pixels, int32 `[height - 2, width - 2]`."""
    neighbours = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return neighbours - 4 * luma[1:-1, 1:-1]


def _spectrum(samples: npt.NDArray[np.float64], sample_rate: int) -> dict[str, float]:
    """Measures the energy spectrum of the second in the middle, with a Hann window.

    Returns:
        Mean frequency (`centroid`) and the share of energy from `TELEPHONE_HZ` on; nothing if the
        second is silent.
    """
    start = max(0, (samples.size - sample_rate) // 2)
    middle = samples[start : start + sample_rate]
    middle = (middle - middle.mean()) * _window(middle.size)
    energy = np.abs(np.fft.rfft(middle)) ** 2
    whole = float(energy.sum())
    if whole < 1:
        return {}
    step = sample_rate / middle.size
    found = {"centroid": float(energy @ np.arange(energy.size)) / whole * step}
    if sample_rate > 2 * TELEPHONE_HZ:
        found["above_4khz"] = float(energy[math.ceil(TELEPHONE_HZ / step) :].sum()) / whole
    return found


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
