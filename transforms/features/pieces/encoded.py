"""Features of texts for a pretrained text encoder: the pieces that it reads, or its vectors."""

import dataclasses
import functools
import tempfile
from concurrent import futures
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft

from triad_ml.transforms.encoders.texts.transformer import PADDING
from triad_ml.transforms.features.pieces import reading, values, vocabulary
from triad_ml.transforms.features.pieces.reading import Tokenizer
from triad_ml.transforms.features.pieces.values import FIRST, PIECES, VECTOR, DensePieces
from triad_ml.transforms.features.pieces.vocabulary import Tables
from triad_ml.transforms.features.words import Words, first_overlaps
from triad_ml.transforms.spec import encoder_weights
from triad_ml.transforms.spec.model import ModelSpec, TextEncoderSpec

_NAME = "text_pieces"
"""Name of the tables in a SavedModel of tf.Transform."""


def vectors_graph(content: tf.Tensor, model: ModelSpec) -> dict[str, tf.Tensor]:
    """Computes the vectors of texts by the encoder that preprocessing runs.

    Args:
        content: Canonical UTF-8, string `[batch]`; empty if missing.
        model: Section of the spec that names the encoder.

    Returns:
        Feature with the vectors, float32 `[batch, width]`; zeros if the text is missing.

    Raises:
        OptionsError, StorageError: If the encoder's folder cannot be used.
    """
    from triad_ml.transforms.encoders.texts import tracked

    return {VECTOR: tracked.vectors_graph(pieces_graph(content, model).ids, model)}


def pieces_features(
    content: tf.Tensor, model: ModelSpec, words: Words | None
) -> dict[str, tf.Tensor]:
    """Computes the features that an encoder within the network reads.

    Args:
        content: See `vectors_graph`.
        model: See `vectors_graph`.
        words: Words that tasks read; None if none does.

    Returns:
        Ids of the pieces, int64 `[batch, pieces]`, and, if there are words, the place of each
        word's first piece, int64 `[batch, length]`; -1 for none.

    Raises:
        OptionsError, StorageError: See `vectors_graph`.
    """
    pieces = pieces_graph(content, model)
    features = {PIECES: pieces.ids}
    if words is not None:
        features[FIRST] = first_overlaps(words, pieces.starts, pieces.ends)
    return features


def pieces_graph(content: tf.Tensor, model: ModelSpec) -> DensePieces:
    """Cuts texts into at most `model.pieces` pieces, with the special ones around them.

    Args:
        content: Canonical UTF-8, string `[batch]`; empty if missing.
        model: Section of the spec that names the encoder.

    Returns:
        Pieces; ids behind the end of a text, and all of a missing text, are `PADDING`.
    """
    settings = model.model_dump_json(include=set(TextEncoderSpec.model_fields))
    if tf.inside_function():
        folder = Path(_files(settings).name)
        tracked = tft.make_and_track_object(lambda: _Tracked(settings, folder), name=_NAME)
        return _cut(content, settings, tracked.tables)
    return _described(content, settings)


def _cut(content: tf.Tensor, settings: str, tables: Tables) -> DensePieces:
    tokenizer = _tokenizer(settings)
    length = TextEncoderSpec.model_validate_json(settings).pieces
    frame = dataclasses.replace(tokenizer.frame.cut(length), padding=PADDING)
    cut = values.dense(tokenizer.graph(content, tables), frame)
    present = tf.not_equal(content, b"")[:, tf.newaxis]
    return cut._replace(ids=tf.where(present, cut.ids, tf.constant(PADDING, tf.int64)))


def _described(content: tf.Tensor, settings: str) -> DensePieces:
    """Adds a graph that is only compared with others; its tables are placeholders.

    The digest of the tokenizer's files stands for what the tables hold.
    """

    def traced() -> tf.types.experimental.ConcreteFunction:
        tables = vocabulary.tables(_tokenizer(settings).files(), Path(_files(settings).name))
        function = tf.function(lambda texts: _cut(texts, settings, tables), autograph=False)
        return function.get_concrete_function(tf.TensorSpec([None], tf.string))

    with futures.ThreadPoolExecutor(1) as aside:  # in this thread, tables would be in this graph
        found = aside.submit(traced).result()
    outputs = [one.name for one in found.outputs]
    graph, texts = found.graph.as_graph_def(), found.inputs[0].name
    return DensePieces(
        *tf.graph_util.import_graph_def(graph, {texts: content}, outputs, name=_NAME)
    )


@functools.lru_cache(maxsize=1)
def _tokenizer(settings: str) -> Tokenizer:
    """Reads the tokenizer, of which the digest of the whole folder has been checked."""
    held, found = encoder_weights.held_text(TextEncoderSpec.model_validate_json(settings))
    base = found.config.rpartition("/")[0]
    return reading.read(held.path / base, held, f"{base}/" if base else "")


@functools.lru_cache(maxsize=1)
def _files(settings: str) -> tempfile.TemporaryDirectory[str]:
    """Writes the files of the tables, which must be there until the graph is stored."""
    # For the whole process: tf.Transform stores the graph only while the pipeline runs.
    folder = tempfile.TemporaryDirectory(prefix="triad-pieces-")
    vocabulary.write(_tokenizer(settings).files(), Path(folder.name))
    return folder


class _Tracked(tf.Module):
    """Tables that tf.Transform stores with their files."""

    def __init__(self, settings: str, folder: Path) -> None:
        super().__init__(name=_NAME)
        self.tables = vocabulary.tables(_tokenizer(settings).files(), folder)
