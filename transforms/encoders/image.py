"""Pretrained image encoders, as Keras models and as TensorFlow graphs.

Each maps an image of the feature graph to one embedding, a float32 vector.
"""

import difflib
import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from triad_ml.transforms.encoders import efficientnet_lite
from triad_ml.transforms.encoders import frozen as encoders_frozen
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import encoder_weights
from triad_ml.transforms.spec.encoder_names import APPLICATIONS, HUB, LITE
from triad_ml.transforms.spec.model import EncoderSpec
from triad_ml.transforms.spec.spec import Spec


@keras.saving.register_keras_serializable(package="triad")
class Pixels(keras.layers.Layer):
    """Layer that scales bytes of images, of any shape, as an encoder's training did.

    Args:
        encoder: Name of the encoder, as in a spec.
    """

    def __init__(self, encoder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        numbers = keras.ops.cast(pixels, "float32")
        if self.encoder == LITE:
            return (numbers - efficientnet_lite.MEAN) / efficientnet_lite.DEVIATION
        return _application_module(self.encoder).preprocess_input(numbers)

    def compute_output_spec(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(pixels.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoder": self.encoder}


def load(model: EncoderSpec, size: int) -> keras.Model:
    """Loads the encoder with its weights.

    Args:
        model: Section of the spec that names encoder and weights.
        size: Height and width of the images.

    Returns:
        Model from uint8 `[batch, size, size, 3]` to float32 `[batch, width]`.

    Raises:
        OptionsError: If there is no such encoder, images are too small for it, or the weights do
            not have the spec's digest.
        GateError: If a folder of weights holds a link.
        OSError: If weights cannot be copied.
    """
    if model.image_encoder == HUB:
        return _preset(model, size)
    network = _network(model, size)
    try:
        with encoder_weights.checked_copy(model) as copy, warnings.catch_warnings():
            # Keras only warns about weights that the file does not have, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(copy)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise OptionsError(
            f"{model.image_weights}: holds no weights of {model.image_encoder} as model."
            f"image_arguments have it ({_line(error)}); name the file that belongs to it"
        ) from error
    return _encoder(model, size, network)


def width(spec: Spec) -> int:
    """Returns the size of an image's embedding, for a spec whose encoder preprocessing runs."""
    assert spec.modalities.image is not None
    return width_at(spec.model, spec.modalities.image.size)


def width_at(model: EncoderSpec, size: int) -> int:
    """Returns the size of the embedding of an image of `size` x `size` pixels."""
    return _width(_settings(model), size)


def vectors_graph(pictures: tf.Tensor, present: tf.Tensor, spec: Spec) -> tf.Tensor:
    """Encodes images in the feature graph, one by one; missing images are skipped.

    So each embedding depends on its image alone, to the last bit, and memory does not grow with the
    batch. The weights are constants of the graph.

    Args:
        pictures: Bytes of uint8 `[size, size, 3]`, row by row, string `[batch]`.
        present: True if the record has an image, bool `[batch]`.
        spec: Spec that names the encoder.

    Returns:
        Embeddings, float32 `[batch, width]`; zeros without an image.

    Raises:
        OptionsError, GateError, OSError: See `load`.
    """
    assert spec.modalities.image is not None
    size = spec.modalities.image.size
    graph, dim = _frozen(_settings(spec.model), size)

    def encode(content: tf.Tensor) -> tf.Tensor:
        pixels = tf.reshape(tf.io.decode_raw(content, tf.uint8), [1, size, size, 3])
        (vector,) = tf.graph_util.import_graph_def(
            graph, {"pixels": pixels}, [f"{encoders_frozen.OUTPUT}:0"], name="encoder"
        )
        return tf.reshape(vector, [dim])

    missing = tf.zeros([dim], tf.float32)
    return tf.map_fn(
        lambda row: tf.cond(row[1], lambda: encode(row[0]), lambda: missing),
        (pictures, present),
        fn_output_signature=tf.TensorSpec([dim], tf.float32),
        parallel_iterations=1,
    )


@functools.lru_cache(maxsize=2)
def _frozen(settings: str, size: int) -> Any:
    """Returns the encoder as a GraphDef without variables, `pixels` to `vector`, and its width."""
    model = EncoderSpec.model_validate_json(settings)
    return encoders_frozen.aside(lambda: _without_variables(model, size))


def _without_variables(model: EncoderSpec, size: int) -> tuple[Any, int]:
    pixels = tf.TensorSpec([1, size, size, 3], tf.uint8)
    return encoders_frozen.without_variables(load(model, size), pixels, "pixels")


@functools.lru_cache(maxsize=8)
def _width(settings: str, size: int) -> int:
    model = EncoderSpec.model_validate_json(settings)
    if model.image_encoder == LITE and model.image_layers is None:
        return efficientnet_lite.WIDTH
    return int(_build(model, size).output_shape[-1])


def _settings(model: EncoderSpec) -> str:
    """Returns the encoder's part of a spec as JSON, a hashable key for caches."""
    return model.model_dump_json(include=set(EncoderSpec.model_fields))


def _build(model: EncoderSpec, size: int) -> keras.Model:
    """Builds the encoder with random weights; for KerasHub, with those of the preset."""
    if model.image_encoder == HUB:
        return _preset(model, size)
    return _encoder(model, size, _network(model, size))


def _preset(model: EncoderSpec, size: int) -> keras.Model:
    from triad_ml.transforms.encoders import keras_hub

    with encoder_weights.checked_copy(model) as copy:
        return keras_hub.load(copy, size, str(model.image_weights))


def _network(model: EncoderSpec, size: int) -> keras.Model:
    """Builds the part with weights, which are random: from scaled pixels to the embedding."""
    return efficientnet_lite.build(size) if model.image_encoder == LITE else _made(model, size)


def _encoder(model: EncoderSpec, size: int, network: keras.Model) -> keras.Model:
    """Adds the scaling of bytes before a network, and the spec's `image_layers` to its output."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    numbers = Pixels(model.image_encoder, name="numbers")(pixels)
    if model.image_layers is None:
        network.name = "encoder"
        return keras.Model(pixels, network(numbers), name="image_encoder")
    maps = [_map(network, name, model) for name in model.image_layers]
    outputs = keras.Model(network.input, [*maps, network.output], name="encoder")(numbers)
    vectors = [
        keras.layers.GlobalAveragePooling2D(name=f"mean_{index}")(output)
        for index, output in enumerate(outputs[:-1])
    ]
    units = [
        keras.layers.UnitNormalization(name=f"unit_{index}")(vector)
        for index, vector in enumerate([*vectors, outputs[-1]])
    ]
    joined = keras.layers.Concatenate(name="joined")(units)
    return keras.Model(pixels, joined, name="image_encoder")


def _map(network: keras.Model, name: str, model: EncoderSpec) -> keras.KerasTensor:
    """Returns the output of a layer, float32 `[batch, height, width, channels]`.

    Raises:
        OptionsError: If the network has no layer of this name with such an output.
    """
    maps = {layer.name: layer.output for layer in network.layers if len(layer.output.shape) == 4}
    if name not in maps:
        near = difflib.get_close_matches(name, maps, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the last one is {[*maps][-1]!r}"
        raise OptionsError(
            f"model.image_layers: {model.image_encoder} has no layer {name!r} that gives a map; "
            f"{hint}"
        )
    return maps[name]


def _made(model: EncoderSpec, size: int) -> keras.Model:
    """Builds a network of `keras.applications`, without its classifier.

    Raises:
        OptionsError: If there is no such network, or it cannot have this size or these arguments.
    """
    function = _application(model.image_encoder)
    try:
        return function(
            include_top=False,
            weights=None,
            input_shape=(size, size, 3),
            pooling="avg",
            **model.image_arguments,
        )
    except (ValueError, TypeError) as error:
        raise OptionsError(
            f"model.image_encoder: {model.image_encoder} cannot be made for pictures of {size} x "
            f"{size} with image_arguments {model.image_arguments}: {_line(error)}; change one"
        ) from error


def _application(encoder: str) -> Callable[..., keras.Model]:
    name = encoder.removeprefix(APPLICATIONS)
    known = sorted(entry for entry in dir(keras.applications) if entry[:1].isupper())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise OptionsError(f"model.image_encoder: keras.applications has no {name!r}; {hint}")
    function: Callable[..., keras.Model] = getattr(keras.applications, name)
    return function


def _application_module(encoder: str) -> Any:
    return importlib.import_module(_application(encoder).__module__)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
