"""Audio tower: convolutions over frames of features, or the vector of a pretrained encoder."""

import functools
from collections.abc import Collection, Mapping

import keras
import numpy as np
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.towers import augmentation, convolutional, pretrained
from triad_ml.model.towers.base import Change, Columns, Parts, Seen, Tensors, Tower
from triad_ml.model.towers.layers import MaskMissing, Tensor
from triad_ml.model.towers.steps import moment_tokens


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
        if parts.encoder is not None:
            heard = MaskMissing(name="audio_masked")(features, present)
            return Seen(pretrained.encoder_tower(heard, parts.encoder, spec, self.name))
        maps = convolutional.audio_maps(features, present, spec)
        embedding = convolutional.map_embedding(maps, spec, self.name)
        return Seen(embedding, moment_tokens(maps) if steps else None)

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
