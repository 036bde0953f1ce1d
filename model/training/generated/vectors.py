"""Generated vectors of rare classes: number for each class, methods, and the test for copies."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from triad_ml.model.training.generated import gan, space
from triad_ml.model.training.generated.gan import Ids, Settings
from triad_ml.model.training.generated.space import Floats

Vectors: TypeAlias = npt.NDArray[np.float32]
LEAST = 4
"""Smallest number of vectors of a class that more are generated for."""

MOST = 5
"""Largest number of generated vectors of a class for each of its training vectors."""

_ROUNDS = 5  # draws in which copies are replaced
_DRAW = 3  # purpose of a seed

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
    """Source of vectors; a point is a vector in the form in which copies are recognized.

    Attributes:
        points: Points of the training vectors, float64 `[rows, size]`.
        draw: Function that generates one point for each class id, float64 `[ids, size]`.
        outward: Function that computes the vectors of points, float32 `[ids, width]`.
    """

    points: Floats
    draw: Callable[[Ids, np.random.Generator], Floats]
    outward: Callable[[Floats, np.random.Generator], Vectors]


@dataclasses.dataclass(frozen=True)
class Generated:
    """Generated vectors.

    Attributes:
        vectors: float32 `[rows, width]`.
        ids: Classes of the vectors, int64 `[rows]`.
        copies: Number of drawn vectors that were thrown away as copies.
    """

    vectors: Vectors
    ids: Ids
    copies: int


def wanted(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Computes the number of vectors to generate for each class, int64 `[classes]`.

    A class with fewer vectors than the mean of the classes that have some is filled up to the mean,
    by at most `MOST` times its own number. A class with fewer than `LEAST` vectors gets none.

    Args:
        counts: Number of training vectors of each class, `[classes]`.
    """
    some = counts[counts > 0]
    mean = int(np.ceil(some.mean())) if len(some) else 0
    missing = np.minimum(np.maximum(mean - counts, 0), MOST * counts)
    return np.where(counts >= LEAST, missing, 0)


def with_noise(vectors: Vectors, ids: Ids, num_classes: int, seed: int, folder: Path) -> Source:
    """Returns the control of `with_gan`: a training vector plus noise of its class's deviation."""
    points = vectors.astype(np.float64)
    rows = [points[ids == one] for one in range(num_classes)]

    def draw(asked: Ids, random: np.random.Generator) -> Floats:
        made = np.empty((len(asked), vectors.shape[1]))
        for place, one in enumerate(asked):
            chosen = rows[one][random.integers(len(rows[one]))]
            made[place] = chosen + rows[one].std(axis=0) * random.normal(size=len(chosen))
        return made

    return Source(points, draw, lambda made, random: made.astype(np.float32))


def with_gan(vectors: Vectors, ids: Ids, num_classes: int, seed: int, folder: Path) -> Source:
    """Trains a GAN on the vectors of all classes; see `gan.fit`."""
    whole = space.space_of(vectors)
    points = whole.inward(vectors)
    settings = Settings(seed, gan.STEPS, gan.EVERY)
    return Source(points, gan.fit(points, ids, num_classes, settings, folder).draw, whole.outward)


METHODS: Mapping[str, Callable[[Vectors, Ids, int, int, Path], Source]] = {
    "gan": with_gan,
    "noise": with_noise,
}
"""Methods by the `imbalance` of a task; see `transforms.spec.tasks.GENERATED`."""


def generated(
    method: str, vectors: Vectors, ids: Ids, num_classes: int, seed: int, folder: Path
) -> Generated:
    """Generates vectors of rare classes, none of which is a copy; see `wanted` and `space.copies`.

    Args:
        method: Name from `METHODS`.
        vectors: Training vectors, float32 `[rows, width]`.
        ids: Their classes, int64 `[rows]`, each below `num_classes`.
        num_classes: Number of classes.
        seed: Seed of everything random.
        folder: Folder of checkpoints.
    """
    if not wanted(np.bincount(ids, minlength=num_classes)).any():
        return Generated(np.zeros((0, vectors.shape[1]), np.float32), np.zeros(0, np.int64), 0)
    source = METHODS[method](vectors, ids, num_classes, seed, folder)
    return filled_up(source, ids, num_classes, seed)


def filled_up(source: Source, ids: Ids, num_classes: int, seed: int) -> Generated:
    """Draws the vectors that rare classes lack, and replaces copies; see `generated`."""
    numbers = wanted(np.bincount(ids, minlength=num_classes))
    made: list[Vectors] = []
    classes: list[Ids] = []
    thrown = 0
    for one in np.flatnonzero(numbers):
        random = np.random.default_rng([seed, int(one), _DRAW])
        asked = np.full(numbers[one], one, np.int64)
        found, copied = _apart(source, asked, source.points[ids == one], random)
        thrown += copied
        made.append(source.outward(found, random))
        classes.append(asked[: len(found)])
        if len(found) < len(asked):
            _log.warning(
                "class %d gets %d generated vectors, not %d: the others copy training vectors",
                *(one, len(found), len(asked)),
            )
    return Generated(np.concatenate(made), np.concatenate(classes), thrown)


def _apart(
    source: Source, asked: Ids, training: Floats, random: np.random.Generator
) -> tuple[Floats, int]:
    """Draws points of a class, and draws again for each copy; also returns the copies' number."""
    parts: list[Floats] = []
    missing, copied = len(asked), 0
    for _ in range(_ROUNDS):
        drawn = source.draw(asked[:missing], random)
        is_copy = space.copies(drawn, training)
        parts.append(drawn[~is_copy])
        copied += int(is_copy.sum())
        missing -= len(parts[-1])
        if not missing:
            break
    return np.concatenate(parts), copied
