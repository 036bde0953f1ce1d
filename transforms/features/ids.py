"""Reserved values in features: special token ids, and missing labels and markers."""

PAD, UNKNOWN, FIRST_TOKEN = 0, 1, 2
"""Token ids: padding, a token outside the vocabulary, and the first token of the vocabulary."""


MISSING_LABEL = -1
"""Class id of a missing label; also the tag of a position without a word."""


NO_MARKER = (-1, -1)
"""Marked characters `[start, end)` of a record without a marker."""
