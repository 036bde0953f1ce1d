"""TODO docstring of triad_ml.pipelines.verification.config."""

import dataclasses

from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class ReleaseConfig:
    """Which model a pointer shall name, and what the model must pass.

    Attributes:
        model: Folder that training wrote; the pointer lies beside it.
        golden: Pattern of records that the model must score, as they are labelled.
        verify_key: PEM file of the public key that the model must be signed with.
        media_roots: Folders in which media are looked for after that of the records file, in order.
    """

    model: str
    golden: str | None = None
    verify_key: str | None = None
    media_roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for flag, value in (
            ("MODEL", self.model),
            ("--golden", self.golden),
            ("--verify-key", self.verify_key),
            *(("--media-root", root) for root in self.media_roots),
        ):
            if value is not None and not value.strip():
                raise OptionsError(f"{flag}: must not be empty")
