"""Sections `modalities` and `limits` of a spec."""

from typing import Any, Literal, Self

import pydantic

from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.section import Section

ISSUES_LIMIT = 0.5
"""Default of the largest share of a modality's media that may be unusable."""


class ModalitySpec(Section):
    """Settings that all modalities have.

    Attributes:
        issues_limit: Largest share of the modality's media that may be unusable; above it nothing
            is written. None: `ISSUES_LIMIT`. It does not change features.
    """

    issues_limit: float | None = pydantic.Field(default=None, ge=0, le=1)


class ImageSpec(ModalitySpec):
    """Settings of images, which become uint8 `[size, size, 3]`.

    Attributes:
        size: Height and width in pixels.
        fit: `pad` keeps the aspect ratio and pads with white; `stretch` does not keep it.
    """

    size: int = pydantic.Field(default=224, ge=16, le=1024)
    fit: Literal["pad", "stretch"] = "pad"


AudioFeatures = Literal["log_mel", "mfcc", "chroma"]
"""Names of the features of audio; see `transforms.features.audio`."""

CHROMA = 12
"""Number of pitch classes."""
COEFFICIENTS = 20
"""Largest number of cepstral coefficients."""


class AudioSpec(ModalitySpec):
    """Settings of audio, which becomes float32 `[frames, width]`.

    Attributes:
        sample_rate: Sample rate in Hz.
        seconds: Duration; longer audio is cut at the end, shorter audio is padded.
        mel_bins: Number of mel bands between 20 Hz and half the sample rate.
        features: Features of a frame; None: log-mel, which is also the value of `log_mel`, so that
            both are one spec.
        mel_scale: Scale of the bands in librosa's filter bank. None: the bands of tf.signal for
            log-mel, and `slaney` for `mfcc`.
    """

    sample_rate: int = pydantic.Field(default=16_000, ge=4_000, le=48_000)
    seconds: float = pydantic.Field(default=4.0, gt=0.1, le=60)
    mel_bins: int = pydantic.Field(default=64, ge=8, le=256)
    features: AudioFeatures | None = None
    mel_scale: Literal["htk", "slaney"] | None = None

    @pydantic.field_validator("features")
    @classmethod
    def _log_mel_is_the_default(cls, value: AudioFeatures | None) -> AudioFeatures | None:
        return None if value == "log_mel" else value

    @pydantic.model_validator(mode="after")
    def _scale_of_bands(self) -> Self:
        if self.features == "chroma" and self.mel_scale:
            raise ValueError("mel_scale is for log_mel and mfcc, not chroma; leave it out")
        return self

    @property
    def width(self) -> int:
        """Number of features in a frame."""
        widths = {"mfcc": min(COEFFICIENTS, self.mel_bins), "chroma": CHROMA}
        return widths.get(self.features or "", self.mel_bins)

    @property
    def needs_librosa(self) -> bool:
        """True if building the feature graph takes a filter bank of librosa."""
        return self.features is not None or self.mel_scale is not None

    @property
    def samples(self) -> int:
        """Number of samples in `seconds`."""
        return round(self.sample_rate * self.seconds)

    @property
    def frame_length(self) -> int:
        """Number of samples in a frame of 25 ms."""
        return round(self.sample_rate * 0.025)

    @property
    def frame_step(self) -> int:
        """Number of samples from one frame's start to the next one's: 10 ms."""
        return round(self.sample_rate * 0.010)

    @property
    def frames(self) -> int:
        """Number of whole frames in `samples`."""
        return 1 + (self.samples - self.frame_length) // self.frame_step


class TextSpec(ModalitySpec):
    """Settings of texts, which become token ids, int64 `[length]`.

    An id is `PAD`, `UNKNOWN`, or at least `FIRST_TOKEN`.

    Attributes:
        tokens: `word` (each Han or Kana character is a word) or `character`.
        vocabulary: Size of the vocabulary: the most frequent tokens.
        length: Number of tokens; longer texts are cut at the end.
        spelling: Number of hash buckets of the embedding that prefixes, suffixes and shapes of
            words share; None: no such embedding.
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
    """Limits above which media are refused before decoding, and the size to reduce images to.

    Attributes:
        media_bytes: Largest stored size of one image or audio medium, in bytes.
        text_bytes: Largest size of one text, in bytes of UTF-8.
        image_pixels: Largest width times height of an image; larger images are refused.
        keep_pixels: Width times height to which larger images are reduced.
        audio_seconds: Longest declared duration of audio; longer audio is refused.
        decode_seconds: CPU time for decoding one medium in a child process, and for the second try
            if a child that has decoded other media fails. The limit of wall-clock time is three
            times as long.
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
        return {} if value is None else value  # `image:` without a value

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modalities in the spec, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if getattr(self, name) is not None)
