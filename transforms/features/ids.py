"""Ids of features that stand for a missing label or marker."""

PAD, UNKNOWN, FIRST_TOKEN = 0, 1, 2
"""Token ids: padding, any token that is not in the vocabulary, and the vocabulary's first token."""


MISSING_LABEL = -1
"""The class id where a record has no label; of tags also where there is no word."""


NO_MARKER = (-1, -1)
"""The marked characters where nothing is marked."""
