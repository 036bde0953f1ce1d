"""Registry of noises on canonical media, one for each modality."""

import dataclasses
import hashlib
import io
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from triad_ml.transforms.media import audio
from triad_ml.transforms.records.values import CanonicalRecord

Apply = Callable[[bytes, float, np.random.Generator], bytes]
"""Function from a canonical medium, a strength and a generator to a canonical medium."""


@dataclasses.dataclass(frozen=True)
class Noise:
    """Noise on the media of one modality.

    Attributes:
        unit: Unit of the strength.
        strengths: Strengths, from the weakest noise to the strongest.
        apply: Function that adds the noise.
    """

    unit: str
    strengths: tuple[float, ...]
    apply: Apply


def noisy(record: CanonicalRecord, modality: str, strength: float) -> CanonicalRecord:
    """Returns a record with noise on one medium; the others stay as they are.

    The random numbers follow from the id and the modality alone, so a stronger noise is the same
    noise, enlarged. Positions in the text no longer fit, so the record has no marker.

    Args:
        record: Record that has a medium of the modality.
        modality: Name of the modality.
        strength: Strength in the unit of `NOISES[modality]`.
    """
    digest = hashlib.sha256(f"{modality}\0{record.id}".encode("utf-8", "surrogatepass")).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    medium = NOISES[modality].apply(getattr(record, modality), strength, generator)
    changed: dict[str, Any] = {modality: medium}
    return dataclasses.replace(record, offsets=None, markers={}, **changed)


def _image(content: bytes, strength: float, generator: np.random.Generator) -> bytes:
    """Adds Gaussian noise to each channel of each pixel."""
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32)
    added = pixels + 255 * strength * generator.standard_normal(pixels.shape, np.float32)
    stream = io.BytesIO()
    Image.fromarray(added.round().clip(0, 255).astype(np.uint8)).save(
        stream, "PNG", compress_level=1
    )
    return stream.getvalue()


def _audio(content: bytes, strength: float, generator: np.random.Generator) -> bytes:
    """Adds white noise; its power is that of the whole audio less the ratio, so silence stays."""
    samples = audio.samples(content).astype(np.float64)
    if not samples.size:
        return content
    deviation = np.sqrt(np.mean(samples**2) / 10 ** (strength / 10))
    added = samples + deviation * generator.standard_normal(samples.size)
    whole = added.round().clip(-(2**15), 2**15 - 1).astype("<i2")
    return content[: len(content) - whole.nbytes] + bytes(whole.tobytes())


def _text(content: bytes, strength: float, generator: np.random.Generator) -> bytes:
    """Drops characters; one that is no space always stays, so that there is a text."""
    text = content.decode()
    drawn = generator.random(len(text))
    kept = "".join(one for one, draw in zip(text, drawn, strict=True) if draw >= strength)
    kept = unicodedata.normalize("NFC", kept).strip()
    return (kept or text.strip()[:1]).encode()


NOISES: Mapping[str, Noise] = {
    "image": Noise(
        "standard deviation of pixels, of 1 for the whole range", (0.05, 0.1, 0.2, 0.4), _image
    ),
    "audio": Noise("signal-to-noise ratio in dB", (20.0, 10.0, 0.0, -10.0), _audio),
    "text": Noise("share of dropped characters", (0.05, 0.1, 0.2, 0.4), _text),
}
"""Noises by modality, in the order of `MODALITIES`."""
