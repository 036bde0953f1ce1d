"""Numbering of BIO tags; works without TensorFlow.

Tag 0 is outside of spans, tag 1 + 2c begins a span of class c, and tag 2 + 2c continues one.
"""

import numpy as np
import numpy.typing as npt

OUTSIDE = 0


def num_tags(num_classes: int) -> int:
    """Returns the number of tags: one for outside, and two for each class."""
    return 1 + 2 * num_classes


def allowed(tags: int) -> npt.NDArray[np.bool_]:
    """Computes a mask of tag pairs, bool `[tags, tags]`, True if the column may follow the row.

    A text may begin with any tag that may follow `OUTSIDE`.
    """
    tag = np.arange(tags)
    continues = (tag > OUTSIDE) & (tag % 2 == 0)
    same = (tag[:, None] + 1) // 2 == (tag[None, :] + 1) // 2
    return np.asarray(~continues[None, :] | same)
