"""Space of vectors: few whitened coordinates, and the test that no generated vector is a copy."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

COORDINATES = 32
"""Largest number of coordinates: the principal components with the largest variance."""

MOST_ROWS = 4000
"""Largest number of vectors that measure the space: a sample with a fixed stride."""

CLOSE = 0.2
"""Distance at which a vector counts as a copy, as a share of the median distance of neighbours."""

_SMALLEST = 1e-6  # share of the largest deviation below which a component is left out


class Space(NamedTuple):
    """Principal components of vectors, scaled to a deviation of 1.

    Attributes:
        mean: Mean of the vectors, float64 `[width]`.
        axes: Components, float64 `[coordinates, width]`, of unit length.
        scale: Deviation along each component, float64 `[coordinates]`.
        rest: Deviation of what the components leave out, float64 `[width]`.
    """

    mean: Floats
    axes: Floats
    scale: Floats
    rest: Floats

    def inward(self, vectors: npt.NDArray[np.float32]) -> Floats:
        """Computes the coordinates of vectors, float64 `[rows, coordinates]`."""
        return np.asarray((vectors - self.mean) @ self.axes.T / self.scale)

    def outward(
        self, coordinates: Floats, random: np.random.Generator | None = None
    ) -> npt.NDArray[np.float32]:
        """Computes vectors with these coordinates, float32 `[rows, width]`.

        Args:
            coordinates: float64 `[rows, coordinates]`.
            random: Generator that draws what the components leave out, as Gaussian noise, so that
                vectors are as long as training vectors; None leaves it out.
        """
        vectors = self.mean + (coordinates * self.scale) @ self.axes
        if random is not None:
            noise = random.normal(size=vectors.shape) * self.rest
            vectors += noise - (noise @ self.axes.T) @ self.axes
        return np.asarray(vectors, np.float32)


def space_of(vectors: npt.NDArray[np.float32]) -> Space:
    """Measures the space of vectors, float32 `[rows, width]`, of which there is at least one."""
    wide = vectors[:: -(-len(vectors) // MOST_ROWS)].astype(np.float64)
    mean = wide.mean(axis=0)
    _, deviations, axes = np.linalg.svd(wide - mean, full_matrices=False)
    deviations = deviations / np.sqrt(len(wide))
    kept = deviations > _SMALLEST * max(float(deviations[0]), 1e-30)
    kept[COORDINATES:] = False
    kept[0] = True  # equal vectors have one coordinate, which is always 0
    centred = wide - mean
    left = centred - (centred @ axes[kept].T) @ axes[kept]
    return Space(mean, axes[kept], np.maximum(deviations[kept], 1e-30), left.std(axis=0))


def copies(made: Floats, training: Floats) -> npt.NDArray[np.bool_]:
    """Finds made vectors that are copies of training vectors, bool `[made]`.

    A copy is closer to its nearest training vector than `CLOSE` times the median distance of a
    training vector to its nearest neighbour.

    Args:
        made: Generated points, float64 `[made, size]`: vectors, or coordinates of them. Vectors
            that have what coordinates leave out as noise cannot be judged.
        training: Points of at least two training vectors of the same class.
    """
    apart = _distances(training, training)
    np.fill_diagonal(apart, np.inf)
    usual = float(np.median(apart.min(axis=1)))
    return np.asarray(_distances(made, training).min(axis=1) <= CLOSE * usual)


def nearness(made: Floats, training: Floats) -> float:
    """Compares distances to the nearest training vector: those of made vectors and usual ones.

    Returns:
        Median of the former divided by the median of the latter; 1 for vectors that lie to
        training vectors as these lie to each other, 0 for copies.
    """
    apart = _distances(training, training)
    np.fill_diagonal(apart, np.inf)
    usual = float(np.median(apart.min(axis=1)))
    return float(np.median(_distances(made, training).min(axis=1))) / max(usual, 1e-30)


def _distances(ones: Floats, others: Floats) -> Floats:
    squares = (ones**2).sum(axis=1)[:, np.newaxis] + (others**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares - 2 * ones @ others.T, 0.0)))
