"""Base class of the sections of a spec."""

import pydantic


class Section(pydantic.BaseModel):
    """A part of a spec: it cannot be changed, and has no keys but its own."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)
