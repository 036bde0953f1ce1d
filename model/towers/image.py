"""Image tower: convolutions over pixels, or the vector of a pretrained encoder."""

import functools
from collections.abc import Collection, Mapping

import keras
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.towers import augmentation, convolutional, pretrained
from triad_ml.model.towers.base import Change, Columns, Parts, Seen, Tensors, Tower
from triad_ml.model.towers.layers import Tensor, embedding
from triad_ml.model.towers.steps import patch_tokens
from triad_ml.transforms.spec.modalities import ImageSpec


class Image(Tower):
    """Image tower; see `Tower`."""

    def record_bytes(self, layout: Layout) -> int:
        width = layout.image_width
        return 4 * width if width else 3 * _section(layout).size ** 2

    def columns(self, layout: Layout) -> Columns:
        width = layout.image_width
        vector = tf.io.FixedLenFeature([width], tf.float32) if width else None
        return {self.name: vector or tf.io.FixedLenFeature([], tf.string)}

    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        width = layout.image_width
        if width:
            return {self.name: tf.ensure_shape(columns[self.name], [None, width])}
        size = _section(layout).size
        pixels = tf.io.decode_raw(columns[self.name], tf.uint8)
        # Without this check, images of another size would pass as another number of rows.
        pixels = tf.ensure_shape(pixels, [None, 3 * size**2])
        return {self.name: tf.reshape(pixels, [-1, size, size, 3])}

    def inputs(self, layout: Layout) -> Tensors:
        width, size = layout.image_width, _section(layout).size
        if width:
            return {self.name: keras.Input((width,), dtype="float32", name=self.name)}
        return {self.name: keras.Input((size, size, 3), dtype="uint8", name=self.name)}

    def vector_width(self, layout: Layout) -> int | None:
        return layout.image_width

    def encoder(self, layout: Layout) -> keras.Layer | None:
        return pretrained.trainable_encoder(layout.spec)

    def frozen_epochs(self, layout: Layout) -> int:
        return int(layout.spec.model.image_freeze)

    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        features, present = inputs[self.name], inputs[f"{self.name}_present"]
        spec = layout.spec.model
        if layout.image_width:
            return Seen(pretrained.vector_tower(features, present, spec))
        if parts.encoder is not None:
            return Seen(pretrained.encoder_tower(features, parts.encoder, spec))
        maps = convolutional.image_maps(features, present, spec)
        vector = convolutional.map_vector(maps, self.name)
        return Seen(embedding(vector, spec, self.name), patch_tokens(maps) if steps else None)

    def augmentation(self, values: tf.Tensor, changes: Collection[str]) -> Change | None:
        """Returns the augmentation of pixels; None for the vectors of an encoder."""
        if values.shape.rank == 2:
            return None
        return functools.partial(augmentation.vary_pictures, changes=changes)

    def view(self, inputs: Tensors, layout: Layout, encoder: keras.Layer | None) -> Tensor:
        """Builds the scaled vector of a pretrained encoder, or the embedding if there is none."""
        features, present = inputs[self.name], inputs[f"{self.name}_present"]
        if layout.image_width:
            return pretrained.scaled_vectors(features, present)
        if encoder is not None:
            return pretrained.encoded(features, encoder)
        return super().view(inputs, layout, encoder)


def _section(layout: Layout) -> ImageSpec:
    assert layout.spec.modalities.image is not None
    return layout.spec.modalities.image
