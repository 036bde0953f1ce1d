"""What in a picture, a sound and a text a prediction rests on: parts are hidden, one at a time.

A part speaks for a class by as much as the class's probability falls where the part is hidden. What
is hidden is hidden in the canonical record, and the probability is what the model serves: nothing
is approximated, and nothing but the serving signature is needed.
"""

import dataclasses
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageStat

from triad_ml.model.serving.export import output_name
from triad_ml.model.serving.scorer import Scorer
from triad_ml.transforms.media import audio
from triad_ml.transforms.records.values import CanonicalRecord

CELLS = 6
"""Cells along the longer side of a picture."""

WINDOWS = 12
"""Parts of a sound, of equal length."""

MOST_WORDS = 64
"""Words that are hidden; those behind them are not looked at."""

_EAST_ASIAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(f"[{_EAST_ASIAN}]|[^\\s{_EAST_ASIAN}]+")

Floats = npt.NDArray[np.float32]


class Word(NamedTuple):
    """A word of a canonical text: its characters `[start, end)`, and how much it speaks for."""

    start: int
    end: int
    weight: float


@dataclasses.dataclass(frozen=True)
class Saliency:
    """How much each part of a record speaks for a class; negative where it speaks against it.

    Attributes:
        label: The class.
        probability: As served for the whole record.
        picture: float32 `[rows, columns]` of the grid of cells; None without a picture.
        sound: float32 `[WINDOWS]`; None without a sound.
        words: Of the text, in its order.
    """

    label: str
    probability: float
    picture: Floats | None = None
    sound: Floats | None = None
    words: tuple[Word, ...] = ()


def explain(scorer: Scorer, record: CanonicalRecord, task: str, place: int, label: str) -> Saliency:
    """Hides each part of a record in turn.

    Args:
        scorer: Of the model that made the prediction.
        record: What is explained.
        task: A classification task.
        place: Of the class in a distribution.
        label: Its name.
    """
    there = [name for name in scorer.modalities if getattr(record, name)]
    occluded = [OCCLUDERS[name](record) for name in there]
    records = [record, *itertools.chain.from_iterable(one.records for one in occluded)]
    shares = iter(_shares(scorer, records, task, place))
    whole = next(shares)
    weights = {
        one.field: one.weights(whole, list(itertools.islice(shares, len(one.records))))
        for one in occluded
    }
    return Saliency(label, float(whole), **weights)


def _shares(
    scorer: Scorer, records: Sequence[CanonicalRecord], task: str, place: int
) -> list[np.float32]:
    name, size = output_name(task, "distribution"), scorer.batch_size
    batches = [records[start : start + size] for start in range(0, len(records), size)]
    return [share for one in batches for share in scorer.outputs(one)[name][:, place]]


@dataclasses.dataclass(frozen=True)
class Occluded:
    """A record with one part of one medium hidden, once for each part.

    Attributes:
        field: Of `Saliency`, the one that has the weights.
        records: What the model is asked about beside the whole record.
        weights: Makes the field's value of the probability for the whole record and of those for
            `records`.
    """

    field: str
    records: Sequence[CanonicalRecord]
    weights: Callable[[np.float32, Sequence[np.float32]], Any]


def grid(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of cells that are about square."""
    longer = max(width, height)
    rows, columns = (max(1, round(CELLS * side / longer)) for side in (height, width))
    return min(rows, height), min(columns, width)


def _of_image(record: CanonicalRecord) -> Occluded:
    """Hides cells. First comes the whole picture, encoded anew like those with a hidden cell."""
    with Image.open(io.BytesIO(record.image), formats=("JPEG", "PNG")) as picture:
        whole = picture.convert("RGB")
    rows, columns = grid(*whole.size)
    neutral = tuple(round(mean) for mean in ImageStat.Stat(whole).mean)
    hidden = [dataclasses.replace(record, image=_png(whole))]
    for row in range(rows):
        for column in range(columns):
            left, right = (whole.width * edge // columns for edge in (column, column + 1))
            top, bottom = (whole.height * edge // rows for edge in (row, row + 1))
            painted = whole.copy()
            painted.paste(neutral, (left, top, right, bottom))
            hidden.append(dataclasses.replace(record, image=_png(painted)))

    def weights(whole: np.float32, shares: Sequence[np.float32]) -> Floats:
        cells = [shares[0] - share for share in shares[1:]]  # the cell is all that differs
        return np.array(cells, np.float32).reshape(rows, columns)

    return Occluded("picture", hidden, weights)


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=1)
    return content.getvalue()


def _of_audio(record: CanonicalRecord) -> Occluded:
    """Silences windows."""
    samples = audio.samples(record.audio)
    start = len(record.audio) - samples.nbytes
    edges = [len(samples) * edge // WINDOWS for edge in range(WINDOWS + 1)]
    made = []
    for begin, end in zip(edges, edges[1:], strict=False):
        silent = samples.copy()
        silent[begin:end] = 0
        content = record.audio[:start] + silent.tobytes()
        made.append(dataclasses.replace(record, audio=content))
    return Occluded(
        "sound",
        made,
        lambda whole, shares: np.array([whole - share for share in shares], np.float32),
    )


def _of_text(record: CanonicalRecord) -> Occluded:
    """Removes words."""
    text = record.text.decode()
    found = [one.span() for one in _WORD.finditer(text)][:MOST_WORDS]

    def weights(whole: np.float32, shares: Sequence[np.float32]) -> tuple[Word, ...]:
        pairs = zip(found, shares, strict=True)
        return tuple(Word(*span, float(whole - share)) for span, share in pairs)

    hidden = [dataclasses.replace(record, text=_without(text, *span)) for span in found]
    return Occluded("words", hidden, weights)


def _without(text: str, start: int, end: int) -> bytes:
    left = f"{text[:start]} {text[end:]}"
    return left.encode() if left.strip() else b""


OCCLUDERS: Mapping[str, Callable[[CanonicalRecord], Occluded]] = {
    "image": _of_image,
    "audio": _of_audio,
    "text": _of_text,
}
"""By modality, in the order of `MODALITIES`; each is given a record that has a medium of it."""
