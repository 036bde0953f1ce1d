"""What a saliency looks like in a page: a heat map, bars, marked words, and sentences."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from triad_ml.pipelines.report.occlusion import Floats, Saliency
from triad_ml.transforms.records.values import CanonicalRecord

_SIDE = 160
_FOR, _AGAINST = (196, 86, 10), (31, 99, 184)
_NOTHING = 0.005
"""What moves a probability by less than half a point is not worth a word."""

_TOP = 3


class Part(NamedTuple):
    """A part that is drawn: what it is, how strong, 0 to 100, and whether it speaks for it."""

    name: str
    strength: float
    speaks_for: bool


@dataclasses.dataclass(frozen=True)
class View:
    """What a card shows.

    Attributes:
        label: The class.
        probability: Of the class.
        picture: A `data:` URI with the heat map in it, or "".
        picture_said: The same in words.
        sound: The windows, in their order.
        sound_said: The same in words.
        words: The text in pieces; what lies between words has strength 0.
        words_said: The same in words.
    """

    label: str
    probability: float
    picture: str
    picture_said: str
    sound: tuple[Part, ...]
    sound_said: str
    words: tuple[Part, ...]
    words_said: str


def view(found: Saliency, record: CanonicalRecord) -> View:
    """Arranges a saliency for a card.

    Args:
        found: From `saliency.explain`.
        record: What it is about.
    """
    text = record.text.decode()
    strongest = max(
        [
            *(abs(found.picture).ravel() if found.picture is not None else ()),
            *(abs(found.sound) if found.sound is not None else ()),
            *(abs(word.weight) for word in found.words),
            _NOTHING,
        ]
    )
    windows = [] if found.sound is None else [float(one) for one in found.sound]
    names = [f"{i + 1} of {len(windows)}" for i in range(len(windows))]
    cells = [] if found.picture is None else [float(one) for one in found.picture.ravel()]
    return View(
        found.label,
        found.probability,
        "" if found.picture is None else _overlay(record.image, found.picture, strongest),
        "" if found.picture is None else _said(_cell_names(found.picture), cells, "Picture"),
        tuple(_part(n, w, strongest) for n, w in zip(names, windows, strict=True)),
        _said([f"window {name}" for name in names], windows, "Sound") if windows else "",
        tuple(_pieces(text, found, strongest)),
        _said(
            [f"“{text[word.start : word.end]}”" for word in found.words],
            [word.weight for word in found.words],
            "Words",
        )
        if found.words
        else "",
    )


def _part(name: str, weight: float, strongest: float) -> Part:
    return Part(name, round(100 * abs(float(weight)) / float(strongest), 1), weight > 0)


def _pieces(text: str, found: Saliency, strongest: float) -> list[Part]:
    pieces, end = [], 0
    for word in found.words:
        pieces.append(Part(text[end : word.start], 0, True))
        pieces.append(_part(text[word.start : word.end], word.weight, strongest))
        end = word.end
    return [*(one for one in pieces if one.name), *([Part(" …", 0, True)] if text[end:] else [])]


def _said(names: Sequence[str], weights: Sequence[float], what: str) -> str:
    """The strongest parts in a sentence, in points of probability."""
    order = sorted(range(len(names)), key=lambda place: -abs(weights[place]))
    told = [
        f"{names[place]} {100 * weights[place]:+.1f}"
        for place in order[:_TOP]
        if abs(weights[place]) >= _NOTHING
    ]
    if not told:
        return f"{what}: no part alone moves it by half a point."
    return f"{what}, points of probability: {'; '.join(told)}."


def _cell_names(picture: Floats) -> list[str]:
    rows, columns = picture.shape
    return [
        f"row {row + 1} of {rows}, column {column + 1} of {columns}"
        for row in range(rows)
        for column in range(columns)
    ]


def _overlay(canonical: bytes, weights: Floats, strongest: float) -> str:
    """The picture in gray, with cells that speak for the class in orange, against it in blue."""
    with Image.open(io.BytesIO(canonical), formats=("JPEG", "PNG")) as picture:
        gray = picture.convert("L").convert("RGB")
    gray.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    strength = np.clip(abs(weights) / strongest, 0, 1)
    cells = np.zeros((*weights.shape, 4), np.uint8)
    cells[..., :3] = np.where((weights > 0)[..., None], _FOR, _AGAINST)
    cells[..., 3] = np.round(200 * strength)
    heat = Image.fromarray(cells).resize(gray.size, Image.Resampling.NEAREST)
    gray.paste(heat.convert("RGB"), (0, 0), heat.getchannel("A"))
    content = io.BytesIO()
    gray.save(content, "JPEG", quality=86)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
