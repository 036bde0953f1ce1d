"""What generation tasks say, without TensorFlow."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Written(NamedTuple):
    """What a model writes of some records.

    Attributes:
        texts: string `[records]`.
        scores: The probability of exactly that text, float32 `[records]`.
    """

    texts: npt.NDArray[np.object_]
    scores: npt.NDArray[np.float32]

    def of(self, rows: npt.NDArray[np.bool_]) -> "Written":
        """Those of chosen records."""
        return Written(self.texts[rows], self.scores[rows])
