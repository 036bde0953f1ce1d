"""Generated records of one night, and the same with a planted change, as statistics."""

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soxr
from PIL import Image

from tests import canonical
from triad_ml.transforms.statistics import combine, document, measures
from triad_ml.transforms.statistics.accumulators import WHOLE
from triad_ml.transforms.statistics.measures import Measures

CLASSES = ("fan", "motor", "pump", "valve")
SHARES = (0.4, 0.3, 0.2, 0.1)
ENGLISH = (
    *("the", "the", "the", "a", "of", "is", "is", "when", "fan", "motor", "rattles", "starts"),
    *("and", "it", "loud", "hums", "pump", "near", "at", "night"),
)
GERMAN = (
    *("der", "die", "das", "ein", "von", "ist", "wenn", "ventilator", "motor", "klappert"),
    *("und", "es", "laut", "brummt", "pumpe", "neben", "in", "nacht"),
)


def photo(random: np.random.Generator, *, upside_down: bool = False, grey: bool = False) -> bytes:
    """Returns an image with a brighter sky than ground, in random colours."""
    height, width = 24, 32
    rows = np.linspace(random.uniform(150, 240), random.uniform(30, 110), height)
    tint = random.uniform(0.5, 1.0, 3)
    pixels = rows[:, None, None] * tint + random.normal(0, 12, (height, width, 3))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if upside_down:
        pixels = pixels[::-1]
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    (image.convert("L") if grey else image).save(stream, "PNG")
    return stream.getvalue()


def sound(random: np.random.Generator, *, telephone: bool = False, silent: bool = False) -> bytes:
    """Returns a quarter of a second of noise; of 8 kHz audio, or of a microphone that is off."""
    samples = random.normal(0, random.uniform(500, 4_000), canonical.RATE // 4)
    if telephone:
        low = soxr.resample(samples, canonical.RATE, 8_000)
        samples = soxr.resample(low, 8_000, canonical.RATE)
    if silent:
        samples = random.normal(0, 2, samples.size)
    return canonical.sound(np.clip(np.round(samples), -32_768, 32_767))


def measured(
    count: int, seed: int, *, words: Sequence[str] = ENGLISH, **change: bool
) -> list[Measures]:
    """Returns the measures of records; `change` goes to `photo` and `sound`."""
    random = np.random.default_rng(seed)
    of_image = {name: change[name] for name in ("upside_down", "grey") if name in change}
    of_sound = {name: change[name] for name in ("telephone", "silent") if name in change}
    records = [
        canonical.record(
            f"{seed}-{index}",
            image=photo(random, **of_image),
            audio=sound(random, **of_sound),
            text=" ".join(random.choice(words, random.integers(4, 12))).encode(),
        )
        for index in range(count)
    ]
    found = [measures.sampled_media(one, canonical.SPEC, 1.0) for one in records]
    return [one for one in found if one is not None]


def content(
    measured: Sequence[Measures], scores: Mapping[str, int] | None = None, **more: Mapping[str, int]
) -> bytes:
    """Returns the document of the statistics of measured records.

    Args:
        measured: Measures of each record.
        scores: Numbers of records by predicted class; None without scores.
        more: Counts of other categorical features, with `__` for a dot.
    """
    whole = combine.Accumulator(records={WHOLE: len(measured)})
    for one in measured:
        whole.add_sampled(WHOLE, one)
    if scores is not None:
        whole.categories(WHOLE, "score.category").extend(scores)
    for feature, counts in more.items():
        whole.categories(WHOLE, feature.replace("__", ".")).extend(counts)
    return document.content(combine.summary(whole), canonical.SPEC.digest())


def part(*args: Any, **kwargs: Any) -> document.Part:
    """Returns the statistics of measured records, see `content`."""
    (found,) = document.parse(content(*args, **kwargs), "a night").splits.values()
    return found


def drawn(random: np.random.Generator, count: int) -> dict[str, int]:
    """Returns random numbers of records by class."""
    return dict(zip(CLASSES, random.multinomial(count, SHARES).tolist(), strict=True))


@functools.cache
def usual() -> document.Part:
    """Returns the statistics of 400 records without a change."""
    scores = {name: int(400 * share) for name, share in zip(CLASSES, SHARES, strict=True)}
    return part(measured(400, seed=0), scores)
