"""Base class of the sections of a spec."""

import pydantic


class Section(pydantic.BaseModel):
    """Part of a spec: immutable, strictly typed, and without unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)
