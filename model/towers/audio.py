"""Audio tower: convolutions and statistics of frames, or the vector of a pretrained encoder."""

import functools
from collections.abc import Collection, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.towers import augmentation, convolutional, pretrained
from triad_ml.model.towers.base import Change, Columns, Parts, Seen, Tensors, Tower
from triad_ml.model.towers.layers import MaskMissing, Tensor, embedding
from triad_ml.model.towers.statistics import Statistics
from triad_ml.model.towers.steps import Tokens, moment_tokens
from triad_ml.transforms.spec.model import AudioTower


class Reads(NamedTuple):
    """Parts of an audio tower that is trained from scratch.

    Attributes:
        maps: True for convolutions over the spectrogram.
        statistics: True for statistics of each bin over time.
    """

    maps: bool
    statistics: bool


AUDIO_TOWERS: Mapping[AudioTower, Reads] = {
    "both": Reads(maps=True, statistics=True),
    "cnn": Reads(maps=True, statistics=False),
    "statistics": Reads(maps=False, statistics=True),
}
"""Parts by the names in the key `model.audio_tower` of a spec."""


class Audio(Tower):
    """Audio tower; see `Tower`."""

    def record_bytes(self, layout: Layout) -> int:
        values = _values(layout)
        return int(values.dtype.size * np.prod(values.shape))

    def columns(self, layout: Layout) -> Columns:
        values = _values(layout)
        packed = values.dtype == tf.uint8
        shape = [] if packed else values.shape.as_list()
        return {self.name: tf.io.FixedLenFeature(shape, tf.string if packed else values.dtype)}

    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        values, column = _values(layout), columns[self.name]
        if values.dtype == tf.uint8:
            pixels = tf.io.decode_raw(column, tf.uint8)
            # Without this check, spectrograms of another size would pass as more or fewer rows.
            pixels = tf.ensure_shape(pixels, [None, int(np.prod(values.shape))])
            return {self.name: tf.reshape(pixels, [-1, *values.shape])}
        return {self.name: tf.ensure_shape(column, [None, *values.shape])}

    def inputs(self, layout: Layout) -> Tensors:
        values = _values(layout)
        shape = tuple(values.shape)
        return {self.name: keras.Input(shape, dtype=values.dtype.name, name=self.name)}

    def encoder(self, layout: Layout) -> keras.Layer | None:
        return pretrained.trainable_audio_encoder(layout.spec)

    def frozen_epochs(self, layout: Layout) -> int:
        return int(layout.spec.model.audio_freeze or 0)

    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        features, present = inputs[self.name], inputs[f"{self.name}_present"]
        spec = layout.spec.model
        if layout.audio_width:
            return Seen(pretrained.vector_tower(features, present, spec, self.name))
        heard = MaskMissing(name="audio_masked")(features, present)
        if parts.encoder is not None:
            return Seen(pretrained.encoder_tower(heard, parts.encoder, spec, self.name))
        views: list[Tensor] = []
        tokens: Tokens | None = None
        reads = AUDIO_TOWERS[spec.audio_tower]
        if reads.maps:
            maps = convolutional.audio_maps(heard, present, spec)
            views.append(convolutional.map_vector(maps, self.name))
            tokens = moment_tokens(maps) if steps else None
        if reads.statistics:
            views.append(Statistics(name="audio_statistics")(heard, present))
        vector = keras.layers.Concatenate(name="audio_views")(views) if len(views) > 1 else views[0]
        return Seen(embedding(vector, spec, self.name), tokens)

    def augmentation(self, values: tf.Tensor, changes: Collection[str]) -> Change | None:
        """Returns the changes of frames; None for the vectors of an encoder, and images."""
        if values.shape.rank != 3:
            return None
        return functools.partial(augmentation.vary_sounds, changes=changes)

    def view(self, inputs: Tensors, layout: Layout, encoder: keras.Layer | None) -> Tensor:
        """Builds the scaled vector of a pretrained encoder, or the embedding if there is none."""
        features, present = inputs[self.name], inputs[f"{self.name}_present"]
        if layout.audio_width:
            return pretrained.scaled_vectors(features, present, self.name)
        if encoder is not None:
            heard = MaskMissing(name="audio_masked")(features, present)
            return pretrained.encoded(heard, encoder, self.name)
        return super().view(inputs, layout, encoder)


def _values(layout: Layout) -> tf.TensorSpec:
    """Returns shape, without the batch, and dtype of the network's input."""
    section = layout.spec.modalities.audio
    assert section is not None
    width = layout.audio_width
    if width:
        return tf.TensorSpec([width], tf.float32)
    if layout.spec.model.audio_encoder is not None:
        from triad_ml.transforms.encoders import audio

        return audio.encoder_of(layout.spec).input(layout.spec)
    return tf.TensorSpec([section.frames, section.width], tf.float32)
