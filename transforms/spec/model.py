"""Section `model` of a spec: network, fusion, and encoders of images, audio and texts."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

import pydantic

from triad_ml.transforms.spec.encoder_names import (
    APPLICATIONS,
    AS_IMAGE,
    HUB,
    LITE,
    MUSICNN,
    SMALL,
    WHISPER,
)
from triad_ml.transforms.spec.section import Section, unless

_ENCODER = r"^(small|efficientnet_lite0|keras_hub|keras\.applications:[A-Z][A-Za-z0-9]*)$"


class EncoderSpec(Section):
    """Settings of the image encoder.

    Attributes:
        image_encoder: `small` is trained from scratch. The others are pretrained:
            `efficientnet_lite0`, `keras.applications:NAME`, or `keras_hub`.
        image_weights: Path of the encoder's weights: a Keras file, or the folder of a KerasHub
            preset.
        image_weights_sha256: SHA-256 of the weights, hexadecimal; it is filled in when the spec
            file is read.
        image_arguments: Arguments of the function in `keras.applications` that makes the encoder.
        image_layers: Names of inner layers of the encoder. Their outputs, averaged over the image,
            are concatenated before the encoder's embedding, each vector scaled to unit length.
            None: the embedding alone.
        image_freeze: True: the encoder is never trained, and preprocessing runs it. Otherwise the
            number of epochs during which the encoder is frozen, before it is fine-tuned; False:
            none.
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
        """True if the image encoder is pretrained."""
        return self.image_encoder != SMALL

    @property
    def encodes_first(self) -> bool:
        """True if preprocessing runs the encoder and stores each image's embedding."""
        return self.pretrained and self.image_freeze is True


_Units = Annotated[
    tuple[Annotated[int, pydantic.Field(ge=1, le=8192)], ...], pydantic.Field(strict=False)
]


_Layers = Annotated[
    tuple[Annotated[int, pydantic.Field(ge=0, le=64)], ...], pydantic.Field(strict=False)
]


class AudioEncoderSpec(EncoderSpec):
    """Settings of the pretrained audio encoder.

    Attributes:
        audio_encoder: `whisper`, `musicnn`, or `image`: the image encoder of the spec, on a
            spectrogram. None: the audio tower is trained from scratch.
        audio_weights: Path of the file of weights that `triad encoder` made.
        audio_weights_sha256: SHA-256 of the file, hexadecimal; it is filled in when the spec file
            is read.
        audio_freeze: True or None: the encoder is never trained, and preprocessing runs it.
            Otherwise the number of epochs during which the encoder is frozen, before it is
            fine-tuned; False: none.
        audio_pooling: Pooling of Whisper's vectors over time: `mean` or `statistics` (mean,
            standard deviation, and the quantiles 0.1 and 0.9). None: `mean`.
        audio_layers: Numbers of inner layers of Whisper: 0 is what the first block reads, n the
            output of the n-th block. Their vectors, pooled likewise, are concatenated before that
            of the last layer, each at unit length. None: the last layer alone.
    """

    audio_encoder: Literal["whisper", "musicnn", "image"] | None = None
    audio_weights: str | None = pydantic.Field(default=None, min_length=1)
    audio_weights_sha256: str | None = pydantic.Field(default=None, pattern="^[0-9a-f]{64}$")
    audio_freeze: bool | Annotated[int, pydantic.Field(ge=1)] | None = None
    audio_pooling: Literal["mean", "statistics"] | None = None
    audio_layers: _Layers | None = pydantic.Field(default=None, min_length=1)

    @pydantic.model_validator(mode="after")
    def _weights_of_an_audio_encoder(self) -> Self:
        own = self.audio_encoder in (WHISPER, MUSICNN)
        if own and self.audio_weights is None:
            raise ValueError(f"audio_encoder {self.audio_encoder} needs audio_weights; name a file")
        if not own and self.audio_weights is not None:
            raise ValueError(
                f"audio_weights are for audio_encoder {WHISPER} or {MUSICNN}; name one"
            )
        if self.audio_encoder == AS_IMAGE and not self.pretrained:
            raise ValueError(f"audio_encoder {AS_IMAGE} needs a pretrained image_encoder; name one")
        if self.audio_encoder is None and self.audio_freeze is not None:
            raise ValueError("audio_freeze is for an audio_encoder; name one")
        for key in ("audio_pooling", "audio_layers"):
            if self.audio_encoder != WHISPER and getattr(self, key) is not None:
                raise ValueError(f"{key} is for audio_encoder {WHISPER}; remove it")
        if len(set(self.audio_layers or ())) < len(self.audio_layers or ()):
            raise ValueError("audio_layers names a layer twice; name each once")
        return self

    @property
    def encodes_audio_first(self) -> bool:
        """True if preprocessing runs the audio encoder and stores each record's embedding."""
        frozen = self.audio_freeze is None or self.audio_freeze is True  # 1 is one epoch
        return self.audio_encoder is not None and frozen


TransformerFamily = Literal["bert", "distilbert", "roberta", "xlm-roberta", "camembert"]
"""Names of text encoders in `encoders.texts.config`: values of `model_type` in a `config.json`."""

SentenceFamily = Literal["universal-sentence-encoder"]
"""Name of the text encoder in `encoders.texts.sentences`; see `encoder_names.SENTENCES`."""

TextFamily = Literal[
    "bert", "distilbert", "roberta", "xlm-roberta", "camembert", "universal-sentence-encoder"
]
"""Names of text encoders."""

PIECES = 64
"""Default of the largest number of pieces of a text that a text encoder reads."""


class TextEncoderSpec(Section):
    """Settings of the pretrained text encoder.

    Attributes:
        text_encoder: Family of the encoder; None: the text tower is trained from scratch.
        text_weights: Path of the folder that Hugging Face Transformers or sentence-transformers has
            saved.
        text_weights_sha256: SHA-256 of the files that are read, hexadecimal; it is filled in when
            the spec file is read.
        text_freeze: True: the encoder is never trained, and preprocessing runs it. A number: as
            many of its first layers are not trained. False or None: all layers are. The vectors of
            its vocabulary are never trained.
        text_pieces: Largest number of pieces of a text, with those that mark its begin and end;
            longer texts are cut. None: `PIECES`.
    """

    text_encoder: TextFamily | None = None
    text_weights: str | None = pydantic.Field(default=None, min_length=1)
    text_weights_sha256: str | None = pydantic.Field(default=None, pattern="^[0-9a-f]{64}$")
    text_freeze: bool | Annotated[int, pydantic.Field(ge=1)] | None = None
    text_pieces: Annotated[int, pydantic.Field(ge=8, le=192)] | None = None

    @pydantic.model_validator(mode="after")
    def _weights_of_a_text_encoder(self) -> Self:
        if self.text_encoder is not None and self.text_weights is None:
            raise ValueError(f"text_encoder {self.text_encoder} needs text_weights; name a folder")
        for key in ("text_weights", "text_weights_sha256", "text_freeze", "text_pieces"):
            if self.text_encoder is None and getattr(self, key) is not None:
                raise ValueError(f"{key} is for a text_encoder; name one or remove it")
        return self

    @property
    def encodes_texts_first(self) -> bool:
        """True if preprocessing runs the text encoder and stores each text's vector."""
        return self.text_encoder is not None and self.text_freeze is True

    @property
    def pieces(self) -> int:
        """Largest number of pieces of a text."""
        return self.text_pieces or PIECES


_Filters = Annotated[tuple[Annotated[int, pydantic.Field(ge=4)], ...], pydantic.Field(strict=False)]


Fusion = Literal["concat", "mlp", "gated", "attention", "sum"]
"""Names of the fusions in `model.fusion.registry`."""


Recipe = Literal["auto", "network", "linear", "blend"]
"""Names of the recipes in `model.recipe`."""

AUTO: Final = "auto"
"""Recipe unless a spec has another."""

Preset = Literal["fast", "balanced", "best"]
"""Names of the presets in `model.preset`."""

BEST: Final = "best"
"""Preset that averages networks of several folds."""

RECIPES: Mapping[Preset, Recipe] = {"fast": "linear", "balanced": AUTO, BEST: AUTO}
"""Recipe of each preset."""

AudioTower = Literal["both", "cnn", "statistics"]
"""Names of the audio towers in `model.towers.audio`."""

TextTower = Literal["cnn", "gru", "lstm", "transformer"]
"""Names of the layers over tokens in `model.towers.text`."""

TaskFusion = Literal["none", "mlp", "attention"]
"""Names of the task fusions in `model.tasks.task_fusion`."""

_PERCEPTRONS = frozenset({"mlp"})
"""Fusions, of modalities or tasks, that are perceptrons."""


CNN: Final = "cnn"
"""Text tower unless a spec has another."""

BOTH: Final = "both"
"""Audio tower unless a spec has another."""

NO_TASK_FUSION: Final = "none"
"""Task fusion unless a spec has another."""


def is_joint(fusion: Fusion) -> bool:
    """Returns True if a fusion computes a joint embedding; late fusion adds logits instead."""
    return fusion != "sum"


class ModelSpec(AudioEncoderSpec, TextEncoderSpec):
    """Settings of the network: towers, fusion and heads.

    Attributes:
        recipe: Models that predict the tasks with linear models: `network`, `linear`, `blend` (the
            weighted mean of both), or `auto`, the best of them on held-out records. None: that of
            the preset.
        preset: Cost of a training, instead of a recipe: `fast`, linear models where there are some;
            `balanced`, as `recipe: auto`; `best`, the same with the mean of several networks. None:
            `balanced`.
        fusion: `concat`, `mlp`, `gated` or `attention`, see `model.fusion`; or `sum`,
            late fusion.
        fusion_units: Numbers of units of the hidden layers of `fusion: mlp` and `task_fusion: mlp`;
            None: two layers of `2 * dim`.
        fusion_dropout: Dropout rate behind each of these layers.
        task_fusion: Way in which each task reads the representations of all tasks; see
            `model.tasks.task_fusion`.
        dim: Size of each modality's embedding and of the joint one.
        image_filters: Numbers of channels in the stages of the image tower; each stage halves
            height and width.
        audio_filters: Numbers of channels in the stages of the audio tower.
        audio_tower: Parts of the audio tower: convolutions, statistics of each bin over time (mean,
            standard deviation, quantiles, change), or both.
        text_dim: Size of a token's embedding.
        text_tower: Layers over the tokens: convolutions, recurrent layers in both directions, or
            self-attention.
        text_ngrams: Number of hash buckets of the embedding of token n-grams (2 to 4 tokens); 0:
            no such embedding.
        dropout: Dropout rate at the ends of the towers and in the heads.
        modality_dropout: Probability, per record, with which each present modality is hidden in
            training; at least one stays.
    """

    recipe: Recipe | None = None
    preset: Preset | None = None
    fusion: Fusion = "gated"
    fusion_units: _Units | None = pydantic.Field(default=None, min_length=1, max_length=8)
    fusion_dropout: float = pydantic.Field(default=0.0, ge=0, lt=1, exclude_if=unless(0.0))
    task_fusion: TaskFusion = pydantic.Field(
        default=NO_TASK_FUSION, exclude_if=unless(NO_TASK_FUSION)
    )
    dim: int = pydantic.Field(default=128, ge=4, le=4096)
    image_filters: _Filters = (24, 48, 96, 160)
    audio_filters: _Filters = (24, 48, 96)
    audio_tower: AudioTower = pydantic.Field(default=BOTH, exclude_if=unless(BOTH))
    text_dim: int = pydantic.Field(default=96, ge=4, le=4096)
    text_tower: TextTower = pydantic.Field(default=CNN, exclude_if=unless(CNN))
    text_ngrams: int = pydantic.Field(default=0, ge=0, le=2**20)
    dropout: float = pydantic.Field(default=0.3, ge=0, lt=1)
    modality_dropout: float = pydantic.Field(default=0.2, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _perceptrons_have_hidden_layers(self) -> Self:
        if not _PERCEPTRONS & {self.fusion, self.task_fusion}:
            for key in ("fusion_units", "fusion_dropout"):
                if getattr(self, key):
                    raise ValueError(
                        f"{key} is for fusion: mlp and task_fusion: mlp; name one, or leave {key} "
                        "out"
                    )
        return self

    @pydantic.model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if self.preset is not None and self.recipe is not None:
            raise ValueError(
                f"preset {self.preset} chooses the recipe, and recipe is {self.recipe}; name one"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _one_reader_of_audio(self) -> Self:
        if self.audio_encoder is not None and self.audio_tower != BOTH:
            raise ValueError(
                f"audio_tower {self.audio_tower} is for audio without an audio_encoder; leave one "
                "of them out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _one_reader_of_texts(self) -> Self:
        if self.text_encoder is None:
            return self
        if self.text_ngrams:
            raise ValueError(
                "text_ngrams are for texts without a pretrained text_encoder; leave one of them out"
            )
        if self.text_tower != CNN and not self.encodes_texts_first:
            raise ValueError(
                f"text_tower {self.text_tower} has nothing to read beside a text_encoder that is "
                "fine-tuned; leave one of them out"
            )
        return self

    @property
    def convolves_audio(self) -> bool:
        """True if the audio tower has convolutions."""
        return self.audio_encoder is None and self.audio_tower != "statistics"

    @property
    def chosen_recipe(self) -> Recipe:
        """The recipe of the spec, or that of its preset."""
        return self.recipe or RECIPES[self.preset or "balanced"]

    @property
    def hidden_units(self) -> tuple[int, ...]:
        """Numbers of units of the hidden layers of `fusion: mlp` and `task_fusion: mlp`."""
        return self.fusion_units or (2 * self.dim, 2 * self.dim)
