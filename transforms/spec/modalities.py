"""Sections of the modalities of a spec, and limits of records."""

from typing import Any, Literal, Self

import pydantic

from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.section import Section

ISSUES_LIMIT = 0.5
"""The largest share of a modality's media that may be lost, where nothing else is said."""


class ModalitySpec(Section):
    """What each modality has.

    Attributes:
        issues_limit: Largest share of its media that may be lost: over it nothing is written. None
            is `ISSUES_LIMIT`. It decides no feature.
    """

    issues_limit: float | None = pydantic.Field(default=None, ge=0, le=1)


class ImageSpec(ModalitySpec):
    """Pictures become uint8 `[size, size, 3]`.

    Attributes:
        size: Height and width in pixels.
        fit: `pad` keeps the aspect ratio and fills up with white, `stretch` does not keep it.
    """

    size: int = pydantic.Field(default=224, ge=16, le=1024)
    fit: Literal["pad", "stretch"] = "pad"


class AudioSpec(ModalitySpec):
    """Sounds become log-mel float32 `[frames, mel_bins]`.

    Attributes:
        sample_rate: In Hz.
        seconds: What is longer is cut at the end, what is shorter is padded.
        mel_bins: Number of mel bands between 20 Hz and half the sample rate.
    """

    sample_rate: int = pydantic.Field(default=16_000, ge=4_000, le=48_000)
    seconds: float = pydantic.Field(default=4.0, gt=0.1, le=60)
    mel_bins: int = pydantic.Field(default=64, ge=8, le=256)

    @property
    def samples(self) -> int:
        """Number of samples kept."""
        return round(self.sample_rate * self.seconds)

    @property
    def frame_length(self) -> int:
        """Samples in a frame: 25 ms."""
        return round(self.sample_rate * 0.025)

    @property
    def frame_step(self) -> int:
        """Samples from frame to frame: 10 ms."""
        return round(self.sample_rate * 0.010)

    @property
    def frames(self) -> int:
        """Number of whole frames in `samples`."""
        return 1 + (self.samples - self.frame_length) // self.frame_step


class TextSpec(ModalitySpec):
    """Texts become token ids int64 `[length]`: `PAD`, `UNKNOWN`, or from `FIRST_TOKEN` on.

    Attributes:
        tokens: `word` (each Han or Kana character is a word) or `character`.
        vocabulary: The most frequent tokens kept.
        length: Tokens kept; what is longer is cut at the end.
        spelling: Vectors that beginnings, ends and shapes of words share by a hash; None has none.
    """

    tokens: Literal["word", "character"] = "word"
    vocabulary: int = pydantic.Field(default=20_000, ge=1, le=1_000_000)
    length: int = pydantic.Field(default=64, ge=1, le=4096)
    spelling: int | None = pydantic.Field(default=None, ge=16, le=2**20)

    @pydantic.model_validator(mode="after")
    def _spelling_of_words(self) -> Self:
        if self.spelling and self.tokens != "word":
            raise ValueError(f"spelling is for tokens: word, not {self.tokens}; leave it out")
        return self


class Limits(Section):
    """What is refused before it is decoded, and to what a picture is reduced.

    Attributes:
        media_bytes: Of one picture or sound, as stored.
        text_bytes: Of one text, as UTF-8.
        image_pixels: Width times height; larger pictures are refused.
        keep_pixels: Width times height; larger pictures are reduced to it.
        audio_seconds: Declared duration; longer sounds are refused.
        decode_seconds: CPU time of decoding one medium in a child process, and of a second try
            where a used child fails on it; three times as much by the clock.
    """

    media_bytes: int = pydantic.Field(default=64 * 2**20, ge=1)
    text_bytes: int = pydantic.Field(default=2**20, ge=1)
    image_pixels: int = pydantic.Field(default=40_000_000, ge=1)
    keep_pixels: int = pydantic.Field(default=4_000_000, ge=256)
    audio_seconds: float = pydantic.Field(default=3600.0, gt=0)
    decode_seconds: float = pydantic.Field(default=20.0, gt=0, le=3600)


class Modalities(Section):
    """The modalities that the model sees; at least one."""

    image: ImageSpec | None = None
    audio: AudioSpec | None = None
    text: TextSpec | None = None

    @pydantic.model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.names:
            raise ValueError(f"name at least one of {', '.join(MODALITIES)}")
        return self

    @pydantic.field_validator("image", "audio", "text", mode="before")
    @classmethod
    def _named_is_wanted(cls, value: Any) -> Any:
        return {} if value is None else value  # `image:` with nothing behind it

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities named, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if getattr(self, name) is not None)
