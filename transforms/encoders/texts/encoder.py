"""Pretrained text encoders: a checkpoint as a Keras model, with the pooling of its vectors."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.transforms.encoders.texts import config as text_config
from triad_ml.transforms.encoders.texts import length_classes, sentences, transformer, weights
from triad_ml.transforms.encoders.texts.config import TextConfig
from triad_ml.transforms.encoders.texts.sentences import SentenceConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import checkpoints
from triad_ml.transforms.spec import encoder_weights
from triad_ml.transforms.spec.encoder_names import SENTENCES
from triad_ml.transforms.spec.model import TextEncoderSpec

Tensor: TypeAlias = keras.KerasTensor


def _first(states: Tensor, known: Tensor) -> Tensor:
    return states[:, 0]


def _mean(states: Tensor, known: Tensor) -> Tensor:
    return _sum(states, known) / ops.maximum(_count(known), 1.0)


def _root_mean(states: Tensor, known: Tensor) -> Tensor:
    # TensorFlow would make a division by a root a product with a reciprocal root, whose bits depend
    # on the row.
    return _sum(states, known) / ops.maximum(ops.sqrt(_count(known)), 1.0)


def _highest(states: Tensor, known: Tensor) -> Tensor:
    return ops.max(ops.where(known[:, :, None], states, -1e9), axis=1)


def _sum(states: Tensor, known: Tensor) -> Tensor:
    return ops.sum(ops.where(known[:, :, None], states, 0.0), axis=1)


def _count(known: Tensor) -> Tensor:
    return ops.sum(ops.cast(known, "float32"), axis=1)[:, None]


POOLINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "mean": _mean,
    "max": _highest,
    "mean_sqrt_len_tokens": _root_mean,
}
"""Poolings by the names of sentence-transformers.

Each maps vectors of pieces, float32 `[batch, length, width]`, and the mask of the pieces, bool
`[batch, length]`, to float32 `[batch, width]`.
"""

MEAN = "mean"
"""Pooling of a checkpoint that names none."""

_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_HARMLESS = ("word_embedding_dimension", "embedding_dimension", "include_prompt")
"""Fields of a pooling that repeat the size of vectors, or are about prompts, which no text has."""


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Pretrained text encoder.

    Attributes:
        network: Encoder; see `transformer.build` and `sentences.build`.
        config: Sizes and constants.
        pooling: Name in `POOLINGS`.
        normalize: True if the vectors of texts are scaled to unit length.
    """

    network: keras.Model
    config: TextConfig | SentenceConfig
    pooling: str = MEAN
    normalize: bool = False

    def states(self, ids: tf.Tensor) -> tf.Tensor:
        """Encodes pieces; a text's vectors depend on the text alone, to the last bit.

        Args:
            ids: Ids of pieces, int32 `[batch, pieces]`, with `transformer.PADDING` behind the
                end of a text.

        Returns:
            Vectors, float32 `[batch, pieces, width]`; zeros behind the end of a text.
        """
        return length_classes.states(self._encode, ids, self.config.width)

    def vectors(self, ids: tf.Tensor) -> tf.Tensor:
        """Encodes texts; a text's vector depends on the text alone, to the last bit.

        Args:
            ids: See `states`.

        Returns:
            Vectors, float32 `[batch, pooled]`; zeros for a text without pieces.
        """
        return length_classes.vectors(self._encode, self.pool, ids, self.config.pooled)

    def pool(self, states: Tensor, ids: Tensor) -> Tensor:
        """Makes one vector of those of a text's pieces, as the checkpoint says.

        Args:
            states: Vectors of pieces, float32 `[batch, length, width]`.
            ids: Ids of pieces, int32 `[batch, length]`.

        Returns:
            Vectors, float32 `[batch, pooled]`.
        """
        vectors = POOLINGS[self.pooling](states, ops.not_equal(ids, transformer.PADDING))
        if not self.normalize:
            return vectors
        squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
        return vectors / ops.maximum(ops.sqrt(squares), 1e-12)

    def freeze(self, layers: int) -> None:
        """Excludes the first layers from training, and the vectors of the vocabulary in any case.

        Args:
            layers: Number of layers to exclude.
        """
        transformer.freeze(self.network, layers)

    def _encode(self, ids: tf.Tensor) -> tf.Tensor:
        return self.network(ids, training=False)


class SentenceEncoder(TextEncoder):
    """Text encoder that makes the vector of a text with layers of its own."""

    def pool(self, states: Tensor, ids: Tensor) -> Tensor:
        return self.network.summary(states, ops.not_equal(ids, transformer.PADDING))

    def freeze(self, layers: int) -> None:
        self.network.freeze(layers)


def load(model: TextEncoderSpec) -> TextEncoder:
    """Loads the encoder with its weights.

    Args:
        model: Section of the spec that names encoder and folder.

    Raises:
        OptionsError: If the folder is no encoder of that family, holds anything that would change
            its vectors and is not computed here, or does not have the spec's digest.
        StorageError: If a file cannot be read.
    """
    assert model.text_encoder is not None  # a spec with weights names their encoder
    held, found = encoder_weights.held_text(model)
    return FAMILIES[model.text_encoder].load(model, held, found)


def config_of(model: TextEncoderSpec) -> TextConfig | SentenceConfig:
    """Reads sizes and constants of the encoder without its weights.

    Raises:
        OptionsError, StorageError: See `load`.
    """
    assert model.text_encoder is not None
    assert model.text_weights is not None
    path = Path(model.text_weights)
    folder = checkpoints.Folder(path)
    return FAMILIES[model.text_encoder].config(model, folder, checkpoints.checkpoint(folder, path))


class Family(NamedTuple):
    """Readers of one family of encoders.

    Attributes:
        config: Reader of sizes and constants.
        load: Reader of the encoder with its weights.
    """

    config: Callable[
        [TextEncoderSpec, checkpoints.Folder | checkpoints.Held, checkpoints.Checkpoint],
        TextConfig | SentenceConfig,
    ]
    load: Callable[[TextEncoderSpec, checkpoints.Held, checkpoints.Checkpoint], TextEncoder]


def _load_transformer(
    model: TextEncoderSpec, held: checkpoints.Held, found: checkpoints.Checkpoint
) -> TextEncoder:
    config = _config(model, held, found)
    pooling = _pooling(held, found, config)
    tensors = weights.checked(config, weights.read(held, found), str(held.path))
    network = transformer.build(config)  # takes memory as its sizes say: the tensors have them
    weights.assign(network, tensors)
    return TextEncoder(network, config, pooling, found.normalize)


def _load_sentences(
    model: TextEncoderSpec, held: checkpoints.Held, found: checkpoints.Checkpoint
) -> SentenceEncoder:
    config = _sentence_config(model, held, found)
    tensors = weights.read(held, found)
    network = sentences.build(config)
    sentences.assign(network, tensors, str(held.path))
    return SentenceEncoder(network, config)


def _sentence_config(
    model: TextEncoderSpec,
    files: checkpoints.Folder | checkpoints.Held,
    found: checkpoints.Checkpoint,
) -> SentenceConfig:
    fields = checkpoints.mapping(files, found.config, files.path)
    return sentences.parse(fields, str(files.path / found.config))


def _config(
    model: TextEncoderSpec,
    files: checkpoints.Folder | checkpoints.Held,
    found: checkpoints.Checkpoint,
) -> TextConfig:
    fields = checkpoints.mapping(files, found.config, files.path)
    assert model.text_encoder is not None
    config = text_config.parse(fields, model.text_encoder, str(files.path / found.config))
    longest = min(config.longest, _longest(files, found))
    if model.pieces > longest:
        raise OptionsError(
            f"{files.path}: reads at most {longest} pieces, and model.text_pieces is "
            f"{model.pieces}; write text_pieces: {longest} or fewer"
        )
    return config


def _longest(files: checkpoints.Folder | checkpoints.Held, found: checkpoints.Checkpoint) -> int:
    """Returns the largest number of pieces that sentence-transformers would pass to the encoder."""
    if found.sentences is None:
        return length_classes.POSITIONS
    settings = checkpoints.mapping(files, found.sentences, files.path)
    if settings.get("do_lower_case") not in (None, False):
        raise OptionsError(
            f"{files.path / found.sentences}: do_lower_case is not followed here; give an encoder "
            "whose tokenizer alone changes texts"
        )
    longest = settings.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise OptionsError(
            f"{files.path / found.sentences}: max_seq_length {longest!r:.80} is no number of "
            "pieces; give the file as it was saved"
        )
    return length_classes.POSITIONS if longest is None else longest


def _pooling(held: checkpoints.Held, found: checkpoints.Checkpoint, config: TextConfig) -> str:
    """Returns the name of the checkpoint's pooling.

    Raises:
        OptionsError: If it has several, or one that is not computed here.
    """
    if found.pooling is None:
        return MEAN
    path = held.path / found.pooling
    fields = checkpoints.mapping(held, found.pooling, held.path)
    known = {*_OLD_POOLINGS, *_HARMLESS, "pooling_mode"}
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise OptionsError(f"{path}: {unknown[0]!r:.80} is not known; give another encoder")
    said = {"pooling_mode_mean_tokens": True, **fields}  # the default of sentence-transformers
    names: list[Any] = [name for key, name in _OLD_POOLINGS.items() if said.get(key)]
    if fields.get("pooling_mode") is not None:
        names = [fields["pooling_mode"]]
    pooling = ", ".join(map(str, names)) or "nothing"
    if pooling not in POOLINGS:
        raise OptionsError(
            f"{path}: pools by {pooling:.80}; give an encoder with one of {', '.join(POOLINGS)}"
        )
    for key in _HARMLESS[:2]:
        if fields.get(key, config.width) != config.width:
            raise OptionsError(
                f"{path}: {key} is {fields[key]!r:.80}, and vectors have {config.width} numbers; "
                "give files that belong together"
            )
    return pooling


_TRANSFORMER = Family(_config, _load_transformer)

FAMILIES: Mapping[str, Family] = {
    "bert": _TRANSFORMER,
    "distilbert": _TRANSFORMER,
    "roberta": _TRANSFORMER,
    "xlm-roberta": _TRANSFORMER,
    "camembert": _TRANSFORMER,
    SENTENCES: Family(_sentence_config, _load_sentences),
}
"""Readers by the name of the encoder in specs."""
