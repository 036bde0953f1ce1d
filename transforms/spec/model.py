"""Section `model` of a spec: network, fusion and image encoder."""

from typing import Annotated, Literal, Self

import pydantic

from triad_ml.transforms.spec.section import Section

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


_Filters = Annotated[tuple[Annotated[int, pydantic.Field(ge=4)], ...], pydantic.Field(strict=False)]


Fusion = Literal["concat", "mlp", "gated", "attention", "sum"]
"""The names of the fusions; `model.fusion.registry` has them all."""


def is_joint(fusion: Fusion) -> bool:
    """Whether a fusion gives a joint embedding: late fusion adds logits up instead."""
    return fusion != "sum"


class ModelSpec(EncoderSpec):
    """The fused network, with an encoder of pictures.

    Attributes:
        fusion: `concat`, `mlp`, `gated` or `attention`, see `model.fusion`; or `sum`,
            late fusion.
        dim: Size of each modality's embedding and of the joint one.
        image_filters: Channels of the picture tower's stages, each at half the size before.
        audio_filters: Channels of the sound tower's stages.
        text_dim: Size of a token's embedding.
        text_ngrams: Vectors that sequences of two to four tokens share by a hash; 0 has none.
        dropout: Share of units dropped in the towers' ends and in the heads.
        modality_dropout: Probability, per record, with which each modality that is there is hidden
            in training; at least one stays.
    """

    fusion: Fusion = "gated"
    dim: int = pydantic.Field(default=128, ge=4, le=4096)
    image_filters: _Filters = (24, 48, 96, 160)
    audio_filters: _Filters = (24, 48, 96)
    text_dim: int = pydantic.Field(default=96, ge=4, le=4096)
    text_ngrams: int = pydantic.Field(default=0, ge=0, le=2**20)
    dropout: float = pydantic.Field(default=0.3, ge=0, lt=1)
    modality_dropout: float = pydantic.Field(default=0.2, ge=0, lt=1)
