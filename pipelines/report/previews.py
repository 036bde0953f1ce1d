"""Previews of media in the report: thumbnails and short audio clips as `data:` URIs."""

import base64
import dataclasses
import io
from collections.abc import Callable, Mapping
from typing import Any

from triad_ml.transforms.media import audio, uris
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import BrokenMedium, Flaw, Medium, MediumError, Uri
from triad_ml.transforms.spec.modalities import AudioSpec, Limits
from triad_ml.transforms.spec.spec import Spec

_THUMBNAIL = 160  # pixels of the longer side
_SOUND_BYTES = 130_000
_SOUND_RATES = (16_000, 8_000)  # hertz; the first whose clip fits into `_SOUND_BYTES` is used
_CHARACTERS = 400


@dataclasses.dataclass(frozen=True)
class Sound:
    """Audio clip that the page plays.

    Attributes:
        uri: `data:` URI of a 16-bit mono WAV file.
        seconds: Duration of the clip.
    """

    uri: str
    seconds: float


def thumbnail(canonical: bytes) -> str:
    """Returns a canonical image as a `data:` URI of at most 160 x 160 pixels; "" if broken."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(canonical), formats=("JPEG", "PNG")) as image:
            image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))
            small = image.convert("RGB")
            small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # broken or too large
        return ""
    jpeg, png = io.BytesIO(), io.BytesIO()
    small.save(jpeg, "JPEG", quality=86)
    small.save(png, "PNG", optimize=True)
    kind, content = min(("jpeg", jpeg), ("png", png), key=lambda pair: pair[1].tell())
    return _uri(f"image/{kind}", content.getvalue())


def sound(content: bytes, spec: AudioSpec, limits: Limits) -> Sound:
    """Returns an audio clip of about 130 KB at most, cut to the spec's seconds.

    Raises:
        MediumError: `audio.canonical` refuses the audio.
    """
    rates = [min(rate, spec.sample_rate) for rate in _SOUND_RATES]
    fitting = (rate for rate in rates if 2 * rate * spec.seconds <= _SOUND_BYTES)
    rate = next(fitting, rates[-1])
    seconds = min(spec.seconds, _SOUND_BYTES / (2 * rate))
    wav = audio.canonical(
        content, spec.model_copy(update={"sample_rate": rate, "seconds": seconds}), limits
    )
    return Sound(_uri("audio/wav", wav), len(audio.samples(wav)) / rate)


def _short(whole: str) -> str:
    return whole if len(whole) <= _CHARACTERS else f"{whole[:_CHARACTERS].rstrip()} …"


def _of_image(content: bytes, spec: Spec) -> str:
    return thumbnail(MEDIA["image"].canonical(content, spec))


def _of_audio(content: bytes, spec: Spec) -> Sound:
    assert spec.modalities.audio is not None
    return sound(content, spec.modalities.audio, spec.limits)


def _of_text(content: bytes, spec: Spec) -> str:
    return _short(MEDIA["text"].canonical(content, spec).decode())


@dataclasses.dataclass(frozen=True)
class Preview:
    """Part of a card that shows one modality.

    Attributes:
        field: Name of the field of `cards.records.Card`.
        make: Function that makes the field's value from a medium's stored bytes; raises
            `MediumError`.
    """

    field: str
    make: Callable[[bytes, Spec], Any]


PREVIEWS: Mapping[str, Preview] = {
    "image": Preview("picture", _of_image),
    "audio": Preview("sound", _of_audio),
    "text": Preview("text", _of_text),
}
"""Previews by modality, in the order of `MODALITIES`."""


def content_of(medium: Medium | None, roots: uris.Roots, cap: int) -> bytes:
    """Returns the stored bytes of a medium; `b""` if the medium is missing.

    Raises:
        MediumError: The medium cannot be read.
    """
    if isinstance(medium, BrokenMedium):
        raise MediumError(Flaw.CORRUPT, medium.detail)
    if isinstance(medium, Uri):
        return uris.fetch(medium.value, roots, cap)
    return medium or b""


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
