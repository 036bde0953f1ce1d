"""The part of a spec that says what turns a picture into numbers."""

from typing import Annotated, Self

import pydantic

from triad_ml.transforms.spec.tasks import Section

SMALL, LITE = "small", "efficientnet_lite0"
HUB, APPLICATIONS = "keras_hub", "keras.applications:"
"""How picture encoders are named; the last is followed by a function's name."""

_ENCODER = r"^(small|efficientnet_lite0|keras_hub|keras\.applications:[A-Z][A-Za-z0-9]*)$"


class EncoderSpec(Section):
    """The encoder of pictures.

    Attributes:
        image_encoder: `small` learns from the records alone. The others have learned before:
            `efficientnet_lite0`, `keras.applications:NAME`, or `keras_hub`.
        image_weights: The encoder's weights: a file of Keras, or the folder of a KerasHub preset.
        image_weights_sha256: Of these weights; whoever reads a spec file fills it in.
        image_arguments: Of the function in `keras.applications` that makes the encoder.
        image_layers: Layers of the encoder whose outputs, averaged over the picture, stand before
            the vector that it gives anyway; each of them, and it, at unit length. None is without.
        image_freeze: True: the encoder never changes, and preprocessing runs it. Else for how many
            epochs the encoder stays as it was; False is none. Then it is fine-tuned.
    """

    image_encoder: str = pydantic.Field(default=SMALL, pattern=_ENCODER)
    image_weights: str | None = pydantic.Field(default=None, min_length=1)
    image_weights_sha256: str | None = pydantic.Field(default=None, pattern="^[0-9a-f]{64}$")
    image_arguments: dict[str, bool | int | float | str] = {}
    image_layers: tuple[str, ...] | None = pydantic.Field(default=None, min_length=1, strict=False)
    image_freeze: bool | Annotated[int, pydantic.Field(ge=1)] = True

    @pydantic.model_validator(mode="after")
    def _weights_of_an_encoder(self) -> Self:
        if self.pretrained and self.image_weights is None:
            raise ValueError(f"image_encoder {self.image_encoder} needs image_weights; name a file")
        if not self.pretrained and self.image_weights is not None:
            raise ValueError("image_weights are for a pretrained image_encoder; name one")
        if self.image_arguments and not self.image_encoder.startswith(APPLICATIONS):
            raise ValueError(f"image_arguments are for {APPLICATIONS}NAME; remove them")
        if self.image_layers and self.image_encoder in (SMALL, HUB):
            raise ValueError(
                f"image_layers are for {LITE} and {APPLICATIONS}NAME, not {self.image_encoder}; "
                "remove them"
            )
        return self

    @property
    def pretrained(self) -> bool:
        """Whether pictures go through a network that has learned from others before."""
        return self.image_encoder != SMALL

    @property
    def encodes_first(self) -> bool:
        """Whether preprocessing turns each picture into the vector that the encoder makes of it."""
        return self.pretrained and self.image_freeze is True
