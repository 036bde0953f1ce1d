"""Occlusion saliency: the effect of hiding each part of an image, audio or text on a prediction.

The weight of a part is the drop of the class's probability when the part is hidden. Parts are
hidden in the canonical record, and the probability is the one that the model serves, so nothing is
approximated and only the serving signature is needed.
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
"""Number of cells along the longer side of an image."""

WINDOWS = 12
"""Number of windows of equal length in an audio."""

MOST_WORDS = 64
"""Largest number of words that are hidden in turn; later words have no weight."""

_EAST_ASIAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(f"[{_EAST_ASIAN}]|[^\\s{_EAST_ASIAN}]+")

Floats = npt.NDArray[np.float32]


class Word(NamedTuple):
    """Weight of a word of a canonical text.

    Attributes:
        start: Index of its first character.
        end: Index after its last character.
        weight: Drop of the probability without the word.
    """

    start: int
    end: int
    weight: float


@dataclasses.dataclass(frozen=True)
class Saliency:
    """Weights of a record's parts for a class; positive for it, negative against it.

    Attributes:
        label: Name of the class.
        probability: Probability that is served for the whole record.
        picture: Weights of the cells of the image, float32 `[rows, columns]`; None without image.
        sound: Weights of the windows of the audio, float32 `[WINDOWS]`; None without audio.
        words: Weights of the words of the text, in its order.
    """

    label: str
    probability: float
    picture: Floats | None = None
    sound: Floats | None = None
    words: tuple[Word, ...] = ()


def explain(scorer: Scorer, record: CanonicalRecord, task: str, place: int, label: str) -> Saliency:
    """Hides each part of a record in turn, and returns the weights of the parts.

    Args:
        scorer: Scorer of the model that made the prediction.
        record: Record whose prediction is explained.
        task: Name of a classification task.
        place: Index of the class in the distribution.
        label: Name of the class.
    """
    present = [name for name in scorer.modalities if getattr(record, name)]
    occluded = [OCCLUDERS[name](record) for name in present]
    records = [record, *itertools.chain.from_iterable(medium.records for medium in occluded)]
    probabilities = iter(_probabilities(scorer, records, task, place))
    whole = next(probabilities)
    weights = {
        medium.field: medium.weights(
            whole, list(itertools.islice(probabilities, len(medium.records)))
        )
        for medium in occluded
    }
    return Saliency(label, float(whole), **weights)


def _probabilities(
    scorer: Scorer, records: Sequence[CanonicalRecord], task: str, index: int
) -> list[np.float32]:
    name, size = output_name(task, "distribution"), scorer.batch_size
    batches = [records[start : start + size] for start in range(0, len(records), size)]
    return [p for batch in batches for p in scorer.outputs(batch)[name][:, index]]


@dataclasses.dataclass(frozen=True)
class Occluded:
    """Copies of a record, each with one part of one medium hidden.

    Attributes:
        field: Name of the field of `Saliency` for the weights.
        records: Records to score in addition to the whole record.
        weights: Function that computes the field's value from the probability for the whole record
            and from those for `records`.
    """

    field: str
    records: Sequence[CanonicalRecord]
    weights: Callable[[np.float32, Sequence[np.float32]], Any]


def grid(width: int, height: int) -> tuple[int, int]:
    """Returns the numbers of rows and columns of cells that are about square."""
    longer = max(width, height)
    rows, columns = (max(1, round(CELLS * side / longer)) for side in (height, width))
    return min(rows, height), min(columns, width)


def _of_image(record: CanonicalRecord) -> Occluded:
    """Hides each cell of the image; the first record has the whole image, encoded in the same way.

    The re-encoded image is the reference, so that a hidden cell is the only difference.
    """
    with Image.open(io.BytesIO(record.image), formats=("JPEG", "PNG")) as image:
        whole = image.convert("RGB")
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

    def weights(_: np.float32, probabilities: Sequence[np.float32]) -> Floats:
        reference, *others = probabilities
        cells = [reference - other for other in others]
        return np.array(cells, np.float32).reshape(rows, columns)

    return Occluded("picture", hidden, weights)


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    return content.getvalue()


def _of_audio(record: CanonicalRecord) -> Occluded:
    """Silences each window of the audio."""
    samples = audio.samples(record.audio)
    start = len(record.audio) - samples.nbytes
    edges = [len(samples) * edge // WINDOWS for edge in range(WINDOWS + 1)]
    hidden = []
    for begin, end in zip(edges, edges[1:], strict=False):
        silent = samples.copy()
        silent[begin:end] = 0
        content = record.audio[:start] + silent.tobytes()
        hidden.append(dataclasses.replace(record, audio=content))
    return Occluded(
        "sound",
        hidden,
        lambda whole, probabilities: np.array([whole - p for p in probabilities], np.float32),
    )


def _of_text(record: CanonicalRecord) -> Occluded:
    """Removes each word of the text."""
    text = record.text.decode()
    words = [match.span() for match in _WORD.finditer(text)][:MOST_WORDS]

    def weights(whole: np.float32, probabilities: Sequence[np.float32]) -> tuple[Word, ...]:
        pairs = zip(words, probabilities, strict=True)
        return tuple(Word(*span, float(whole - p)) for span, p in pairs)

    hidden = [dataclasses.replace(record, text=_without(text, *span)) for span in words]
    return Occluded("words", hidden, weights)


def _without(text: str, start: int, end: int) -> bytes:
    left = f"{text[:start]} {text[end:]}"
    return left.encode() if left.strip() else b""


OCCLUDERS: Mapping[str, Callable[[CanonicalRecord], Occluded]] = {
    "image": _of_image,
    "audio": _of_audio,
    "text": _of_text,
}
"""Occluders by modality, in the order of `MODALITIES`; the record must have a medium of it."""
