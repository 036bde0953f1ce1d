"""View of a saliency on a card: heat map, bars, marked words, and sentences."""

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
"""Smallest change of a probability that is reported: half a percentage point."""

_TOP = 3  # most parts that a sentence names


class Part(NamedTuple):
    """Part of a medium, as it is drawn.

    Attributes:
        name: Name of the part, or its text.
        strength: Size of its weight, 0 to 100.
        speaks_for: True if the part raises the probability of the class.
    """

    name: str
    strength: float
    speaks_for: bool


@dataclasses.dataclass(frozen=True)
class View:
    """Saliency in the form in which a card shows it.

    Attributes:
        label: Name of the class.
        probability: Probability of the class.
        picture: `data:` URI of the image with its heat map, or "".
        picture_said: Sentence on the strongest cells of the image.
        sound: Windows of the audio, in their order.
        sound_said: Sentence on the strongest windows.
        words: Pieces of the text; those between words have strength 0.
        words_said: Sentence on the strongest words.
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
        found: Result of `occlusion.explain`.
        record: Record that was explained.
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
    windows = [] if found.sound is None else [float(weight) for weight in found.sound]
    names = [f"{i + 1} of {len(windows)}" for i in range(len(windows))]
    cells = [] if found.picture is None else [float(weight) for weight in found.picture.ravel()]
    return View(
        found.label,
        found.probability,
        "" if found.picture is None else _overlay(record.image, found.picture, strongest),
        "" if found.picture is None else _sentence(_cell_names(found.picture), cells, "Image"),
        tuple(_part(n, w, strongest) for n, w in zip(names, windows, strict=True)),
        _sentence([f"window {name}" for name in names], windows, "Audio") if windows else "",
        tuple(_pieces(text, found, strongest)),
        _sentence(
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
    rest = [Part(" …", 0, True)] if text[end:] else []
    return [*(piece for piece in pieces if piece.name), *rest]


def _sentence(names: Sequence[str], weights: Sequence[float], medium: str) -> str:
    """Returns a sentence on the strongest parts, in percentage points of the probability."""
    order = sorted(range(len(names)), key=lambda index: -abs(weights[index]))
    parts = [
        f"{names[index]} {100 * weights[index]:+.1f}"
        for index in order[:_TOP]
        if abs(weights[index]) >= _NOTHING
    ]
    if not parts:
        return f"{medium}: no part alone changes the probability by half a point."
    return f"{medium}, points of probability: {'; '.join(parts)}."


def _cell_names(cells: Floats) -> list[str]:
    rows, columns = cells.shape
    return [
        f"row {row + 1} of {rows}, column {column + 1} of {columns}"
        for row in range(rows)
        for column in range(columns)
    ]


def _overlay(canonical: bytes, weights: Floats, strongest: float) -> str:
    """Draws the image in gray, with cells that speak for the class in orange, against it in blue.

    Returns:
        A `data:` URI of a JPEG of at most 160 x 160 pixels.
    """
    with Image.open(io.BytesIO(canonical), formats=("JPEG", "PNG")) as image:
        gray = image.convert("L").convert("RGB")
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
