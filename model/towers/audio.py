"""Audio tower: convolutions over frames of features."""

import functools
from collections.abc import Collection, Mapping

import keras
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.towers import augmentation, convolutional
from triad_ml.model.towers.base import Change, Columns, Parts, Seen, Tensors, Tower
from triad_ml.model.towers.steps import moment_tokens


class Audio(Tower):
    """Audio tower; see `Tower`."""

    def record_bytes(self, layout: Layout) -> int:
        frames, width = _shape(layout)
        return 4 * frames * width

    def columns(self, layout: Layout) -> Columns:
        return {self.name: tf.io.FixedLenFeature(list(_shape(layout)), tf.float32)}

    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        return {self.name: tf.ensure_shape(columns[self.name], [None, *_shape(layout)])}

    def inputs(self, layout: Layout) -> Tensors:
        return {self.name: keras.Input(_shape(layout), dtype="float32", name=self.name)}

    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        features, present = inputs[self.name], inputs[f"{self.name}_present"]
        maps = convolutional.audio_maps(features, present, layout.spec.model)
        embedding = convolutional.map_embedding(maps, layout.spec.model, self.name)
        return Seen(embedding, moment_tokens(maps) if steps else None)

    def augmentation(self, values: tf.Tensor, changes: Collection[str]) -> Change | None:
        return functools.partial(augmentation.vary_sounds, changes=changes)


def _shape(layout: Layout) -> tuple[int, int]:
    section = layout.spec.modalities.audio
    assert section is not None
    return section.frames, section.width
