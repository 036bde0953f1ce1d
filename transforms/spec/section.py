"""Base class of the sections of a spec."""

from collections.abc import Callable
from typing import Any

import pydantic


class Section(pydantic.BaseModel):
    """Part of a spec: immutable, strictly typed, and without unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


def unless(default: Any) -> Callable[[Any], bool]:
    """Returns the `exclude_if` of a key that is not stored while it has its default.

    So a spec without the key has the digest that it had before there was such a key.
    """
    return lambda value: bool(value == default)
