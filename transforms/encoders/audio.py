"""Pretrained audio encoders, as Keras models and as TensorFlow graphs.

Each maps the samples of a record to one embedding, a float32 vector: in the feature graph if it is
frozen; otherwise the feature graph computes the input of the encoder, which is part of the network.
"""

import abc
import functools
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.transforms.encoders import frozen, image, musicnn, spectrogram, whisper
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import safetensors
from triad_ml.transforms.spec import encoder_weights
from triad_ml.transforms.spec.encoder_names import AS_IMAGE, MUSICNN, WHISPER
from triad_ml.transforms.spec.modalities import AudioSpec, ImageSpec
from triad_ml.transforms.spec.spec import Spec

Tensor: TypeAlias = keras.KerasTensor

ENCODER, CONFIG = "triad.encoder", "triad.config"
"""Names of the texts in a file of weights: the encoder's name, and its configuration."""

LOW, HIGH = 0.1, 0.9
"""Quantiles over time of `audio_pooling: statistics`."""


class AudioEncoder(abc.ABC):
    """Kind of pretrained audio encoder."""

    @abc.abstractmethod
    def input(self, spec: Spec) -> tf.TensorSpec:
        """Returns shape, without the batch, and dtype of the encoder's input."""

    @abc.abstractmethod
    def features(self, signal: tf.Tensor, num_samples: tf.Tensor, spec: Spec) -> tf.Tensor:
        """Computes the encoder's input in the feature graph.

        Args:
            signal: Samples, zero-padded, float32 `[batch, samples]`.
            num_samples: Number of samples that are no padding, int32 `[batch]`; 0 if missing.
            spec: Spec that names the encoder.
        """

    @abc.abstractmethod
    def load(self, spec: Spec) -> keras.Model:
        """Loads the encoder with its weights, as a model from `input` to float32 `[batch, width]`.

        Raises:
            OptionsError: If the weights are missing, or are not those of the spec's encoder.
            OSError: If they cannot be copied.
        """

    @abc.abstractmethod
    def width(self, spec: Spec) -> int:
        """Returns the size of the embedding.

        Raises:
            OptionsError, OSError: See `load`.
        """


class Whisper(AudioEncoder):
    """Encoder of Whisper: its vectors of positions, pooled over the time that has sound."""

    def input(self, spec: Spec) -> tf.TensorSpec:
        config, frames = self._sizes(spec)
        return tf.TensorSpec([frames, config.bins], tf.float32)

    def features(self, signal: tf.Tensor, num_samples: tf.Tensor, spec: Spec) -> tf.Tensor:
        config, _ = self._sizes(spec)
        return whisper.log_mel(signal, num_samples, config.bins)

    def load(self, spec: Spec) -> keras.Model:
        config, frames = self._sizes(spec)
        network = whisper.build(config, frames)
        _assign(network, whisper.assign, spec)
        last, known = network.output
        pool = PoolTime(spec.model.audio_pooling or "mean", name="pooled")
        vectors = [pool(whisper.layer(network, n), known) for n in self._layers(spec)]
        vectors.append(pool(last, known))
        if len(vectors) > 1:
            unit = keras.layers.UnitNormalization(name="unit")
            vectors = [keras.layers.Concatenate(name="joined")([unit(one) for one in vectors])]
        return keras.Model(network.input, vectors[0], name="audio_encoder")

    def width(self, spec: Spec) -> int:
        parts = PARTS[spec.model.audio_pooling or "mean"]
        return (len(self._layers(spec)) + 1) * parts * self._config(spec).width

    def _layers(self, spec: Spec) -> tuple[int, ...]:
        """Returns the spec's inner layers, after a comparison with those of the encoder."""
        blocks = self._config(spec).layers
        for number in spec.model.audio_layers or ():
            if number >= blocks:
                raise OptionsError(
                    f"model.audio_layers: {number} is no inner layer of "
                    f"{spec.model.audio_weights}; choose of 0 to {blocks - 1}"
                )
        return spec.model.audio_layers or ()

    def _sizes(self, spec: Spec) -> tuple[whisper.Config, int]:
        """Returns the sizes of the encoder and the number of frames, after a comparison of both."""
        config, frames = self._config(spec), whisper.num_frames(_section(spec).samples)
        if frames > 2 * config.positions:
            raise OptionsError(
                f"modalities.audio.seconds: {_section(spec).seconds:g} is over the "
                f"{config.positions / 50:g} of {spec.model.audio_weights}; choose fewer"
            )
        return config, frames

    def _config(self, spec: Spec) -> whisper.Config:
        text = _metadata(spec.to_json())[CONFIG]
        try:
            return whisper.Config.from_json(text)
        except (ValueError, TypeError) as error:
            raise _no_weights(spec, str(error)) from error


class Musicnn(AudioEncoder):
    """Tagger of music: the vector before its tags, averaged over patches of 3 seconds."""

    def input(self, spec: Spec) -> tf.TensorSpec:
        frames = musicnn.num_frames(_section(spec).samples)
        return tf.TensorSpec([frames, musicnn.BINS], tf.float32)

    def features(self, signal: tf.Tensor, num_samples: tf.Tensor, spec: Spec) -> tf.Tensor:
        return musicnn.log_mel(signal, num_samples)

    def load(self, spec: Spec) -> keras.Model:
        network = musicnn.build(musicnn.num_frames(_section(spec).samples))
        _assign(network, musicnn.assign, spec)
        return network

    def width(self, spec: Spec) -> int:
        return musicnn.WIDTH


class AsImage(AudioEncoder):
    """Spectrogram as an image, and the image encoder of the spec."""

    def input(self, spec: Spec) -> tf.TensorSpec:
        size = picture_size(spec)
        return tf.TensorSpec([size, size, 3], tf.uint8)

    def features(self, signal: tf.Tensor, num_samples: tf.Tensor, spec: Spec) -> tf.Tensor:
        return spectrogram.pictures(signal, num_samples, _section(spec), picture_size(spec))

    def load(self, spec: Spec) -> keras.Model:
        return image.load(spec.model, picture_size(spec))

    def width(self, spec: Spec) -> int:
        return image.width_at(spec.model, picture_size(spec))


ENCODERS: Mapping[str, AudioEncoder] = {
    WHISPER: Whisper(),
    MUSICNN: Musicnn(),
    AS_IMAGE: AsImage(),
}
"""Kinds by their names in the key `model.audio_encoder` of a spec."""

PARTS: Mapping[str, int] = {"mean": 1, "statistics": 4}
"""Number of vectors that each `audio_pooling` joins."""


@keras.saving.register_keras_serializable(package="triad")
class PoolTime(keras.layers.Layer):
    """Pools vectors over the positions that are no padding.

    Takes float32 `[batch, positions, width]` and the mask of the positions, bool
    `[batch, positions]`; returns float32 `[batch, parts * width]`, zeros without a position.

    Args:
        pooling: `mean`; or `statistics`: mean, standard deviation, and the quantiles `LOW` and
            `HIGH`.
    """

    def __init__(self, pooling: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pooling = pooling

    def call(self, values: Tensor, known: Tensor) -> Tensor:
        mask = ops.cast(known, "float32")[:, :, None]
        count = ops.sum(mask, axis=1)
        divisor = ops.maximum(count, 1.0)
        mean = ops.sum(values * mask, axis=1) / divisor
        if PARTS[self.pooling] == 1:
            return mean
        centred = (values - mean[:, None]) * mask
        deviation = ops.sqrt(ops.sum(ops.square(centred), axis=1) / divisor)
        ordered = ops.sort(ops.where(known[:, :, None], values, 1e9), axis=1)
        last = ops.maximum(count - 1.0, 0.0)
        places = [ops.cast(ops.round(share * last[:, 0]), "int32") for share in (LOW, HIGH)]
        quantiles = [tf.gather(ordered, place, axis=1, batch_dims=1) for place in places]
        quantiles = [ops.where(count > 0, one, 0.0) for one in quantiles]
        return ops.concatenate([mean, deviation, *quantiles], axis=1)

    def compute_output_spec(self, values: Tensor, known: Tensor) -> Tensor:
        width = PARTS[self.pooling] * values.shape[2]
        return keras.KerasTensor((values.shape[0], width), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling}


def encoder_of(spec: Spec) -> AudioEncoder:
    """Returns the kind of the spec's audio encoder."""
    assert spec.model.audio_encoder is not None
    return ENCODERS[spec.model.audio_encoder]


def width(spec: Spec) -> int:
    """Returns the size of a record's audio embedding, for a spec with a frozen audio encoder."""
    return encoder_of(spec).width(spec)


def picture_size(spec: Spec) -> int:
    """Returns height and width of spectrograms: those of the spec's images, or their default."""
    return (spec.modalities.image or ImageSpec()).size


def vectors_graph(signal: tf.Tensor, num_samples: tf.Tensor, spec: Spec) -> tf.Tensor:
    """Encodes audio in the feature graph, one record at a time; missing audio is skipped.

    So each embedding depends on its audio alone, to the last bit, and memory does not grow with
    the batch. The weights are constants of the graph.

    Args:
        signal: Samples, zero-padded, float32 `[batch, samples]`.
        num_samples: Number of samples that are no padding, int32 `[batch]`; 0 if missing.
        spec: Spec that names the encoder.

    Returns:
        Embeddings, float32 `[batch, width]`; zeros without audio.

    Raises:
        OptionsError, GateError, OSError: If the weights cannot be used.
    """
    kind, encoder = encoder_of(spec), _frozen(spec.to_json())
    constants = encoder.constants()
    missing = tf.zeros([encoder.width], tf.float32)

    def encode(samples: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        features = kind.features(samples[tf.newaxis], count[tf.newaxis], spec)
        return encoder.apply(features, constants)

    return tf.map_fn(
        lambda row: tf.cond(row[1] > 0, lambda: encode(row[0], row[1]), lambda: missing),
        (signal, num_samples),
        fn_output_signature=tf.TensorSpec([encoder.width], tf.float32),
        parallel_iterations=1,
    )


@functools.lru_cache(maxsize=2)
def _frozen(spec_json: str) -> frozen.Frozen:
    spec = Spec.model_validate_json(spec_json)

    def made() -> frozen.Frozen:
        kind = encoder_of(spec)
        one = kind.input(spec)
        return frozen.frozen(kind.load(spec), tf.TensorSpec([1, *one.shape], one.dtype))

    found: frozen.Frozen = frozen.aside(made)
    return found


def _section(spec: Spec) -> AudioSpec:
    assert spec.modalities.audio is not None
    return spec.modalities.audio


@functools.lru_cache(maxsize=8)
def _metadata(spec_json: str) -> Mapping[str, str]:
    """Returns the texts of the spec's file of weights, after a check of the encoder's name."""
    spec = Spec.model_validate_json(spec_json)
    with _copy(spec) as copy:
        metadata = safetensors.read_header(copy, spec.model.audio_weights).metadata
    if metadata.get(ENCODER) != spec.model.audio_encoder or CONFIG not in metadata:
        raise _no_weights(spec, f"its encoder is {metadata.get(ENCODER, 'not named')!r}")
    return metadata


def _assign(network: keras.Model, assign: Any, spec: Spec) -> None:
    _metadata(spec.to_json())
    with _copy(spec) as copy:
        arrays, _ = safetensors.read(copy, source=spec.model.audio_weights)
    try:
        assign(network, arrays)
    except (KeyError, ValueError) as error:
        raise _no_weights(spec, str(error)) from error


def _copy(spec: Spec) -> Any:
    return encoder_weights.checked_copy(spec.model, encoder_weights.AUDIO)


def _no_weights(spec: Spec, why: str) -> OptionsError:
    return OptionsError(
        f"{spec.model.audio_weights}: holds no weights of {spec.model.audio_encoder} "
        f"({why[:160]}); make the file with triad encoder --kind {spec.model.audio_encoder}"
    )
