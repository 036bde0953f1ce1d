"""Fingerprint of one modality: a short description of a medium, and the distance of two of them."""

import abc
from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.spec.modalities import Modalities

Bytes: TypeAlias = npt.NDArray[np.uint8]
Keys: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]
Vectors: TypeAlias = npt.NDArray[Any]


class Fingerprint(abc.ABC):
    """Fingerprint of the media of one modality.

    A search compares in three steps: media whose keys fall into one bucket are candidates, their
    vectors are compared, and then their whole fingerprints.

    Attributes:
        size: Number of bytes.
        bucket_bits: Largest number of leading bits of a key that name its bucket; the other bits
            order the bucket, so that similar media are neighbours.
        rough_limit: Largest distance of vectors whose fingerprints are compared.
        limit: Largest distance of near-duplicates.
    """

    size: ClassVar[int]
    bucket_bits: ClassVar[int]
    rough_limit: ClassVar[float]
    limit: ClassVar[float]

    @abc.abstractmethod
    def of(self, content: bytes, sections: Modalities) -> bytes | None:
        """Returns the fingerprint of a canonical medium, `size` bytes.

        Returns:
            None if the medium has too little content to tell it from others, or cannot be read.
        """

    @abc.abstractmethod
    def vectors(self, fingerprints: Bytes) -> Vectors:
        """Returns short vectors `[n, dimensions]` of fingerprints, uint8 `[n, size]`.

        They take little memory: fingerprints may be mapped from a file.
        """

    @abc.abstractmethod
    def bands(self, vectors: Vectors) -> Iterator[Keys]:
        """Yields arrays of keys, uint64 `[n]`; near-duplicates share a bucket in any of them."""

    @abc.abstractmethod
    def rough(self, first: Vectors, second: Vectors) -> Floats:
        """Returns the distances, float64 `[n]`, of pairs of vectors `[n, dimensions]`."""

    @abc.abstractmethod
    def distance(self, first: Bytes, second: Bytes) -> Floats:
        """Returns the distances, float64 `[n]`, of pairs of fingerprints, uint8 `[n, size]`."""
