"""Frozen text encoder in the feature graph; its weights are variables of the graph.

Constants would be in the graph's file twice, and could not be larger than 2 GiB.
"""

import functools
from concurrent import futures

import tensorflow as tf
import tensorflow_transform as tft

from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.encoders.texts.encoder import TextEncoder
from triad_ml.transforms.spec.model import ModelSpec, TextEncoderSpec

NAME = "text_encoder"
"""Name of the variables in a SavedModel of tf.Transform."""


class Tracked(tf.Module):
    """Text encoder whose variables tf.Transform saves.

    It shows tf.Transform TensorFlow's variables, not those of Keras that hold them: tf.Transform
    saves the former in any case, and would save the latter as well.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__(name=NAME)
        self.encoder = encoder
        self.weights = [variable.value for variable in encoder.network.weights]


def vectors_graph(ids: tf.Tensor, model: ModelSpec) -> tf.Tensor:
    """Encodes texts in the feature graph.

    In a plain graph, which is only compared with others, the weights are placeholders.

    Args:
        ids: Ids of pieces, int64 `[batch, pieces]`; see `TextEncoder.vectors`.
        model: Section of the spec that names the encoder.

    Returns:
        Vectors, float32 `[batch, width]`; zeros for a text without pieces.

    Raises:
        OptionsError, StorageError: See `encoder.load`.
    """
    settings = model.model_dump_json(include=set(TextEncoderSpec.model_fields))
    if not tf.inside_function():
        return _described(ids, settings)
    tracked = tft.make_and_track_object(lambda: Tracked(_loaded(settings)), name=NAME)
    return tracked.encoder.vectors(ids)


@functools.lru_cache(maxsize=1)
def _loaded(settings: str) -> TextEncoder:
    model = TextEncoderSpec.model_validate_json(settings)
    # In this thread, variables would be created in the feature graph that is being traced.
    with futures.ThreadPoolExecutor(1) as aside:
        return aside.submit(text.load, model).result()


def _described(ids: tf.Tensor, settings: str) -> tf.Tensor:
    with futures.ThreadPoolExecutor(1) as aside:
        traced = aside.submit(_traced, _loaded(settings), ids.shape[1], ids.dtype).result()
    (vectors,) = tf.graph_util.import_graph_def(
        traced.graph.as_graph_def(),
        {traced.inputs[0].name: ids},
        [traced.outputs[0].name],
        name=NAME,
    )
    return vectors


def _traced(
    encoder: TextEncoder, pieces: int, dtype: tf.DType
) -> tf.types.experimental.ConcreteFunction:
    """Traces an encoder; its variables are captured by placeholders."""
    function = tf.function(encoder.vectors, autograph=False)
    return function.get_concrete_function(tf.TensorSpec([None, pieces], dtype))
