"""How BIO tags are numbered, without TensorFlow.

Tag 0 is outside; 1 + 2c begins a span of class c, and 2 + 2c goes on with one.
"""

import numpy as np
import numpy.typing as npt

OUTSIDE = 0


def num_tags(num_classes: int) -> int:
    """Outside, and two tags for each class."""
    return 1 + 2 * num_classes


def allowed(tags: int) -> npt.NDArray[np.bool_]:
    """Which tag (column) may follow which (row), bool `[tags, tags]`.

    A text may begin with what may follow `OUTSIDE`.
    """
    places = np.arange(tags)
    goes_on = (places > OUTSIDE) & (places % 2 == 0)
    same = (places[:, None] + 1) // 2 == (places[None, :] + 1) // 2
    return np.asarray(~goes_on[None, :] | same)
