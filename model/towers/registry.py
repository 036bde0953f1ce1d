"""Registry of towers, and augmentation of all modalities."""

from collections.abc import Mapping

import tensorflow as tf

from triad_ml.model.towers.audio import Audio
from triad_ml.model.towers.base import Tower
from triad_ml.model.towers.image import Image
from triad_ml.model.towers.text import Text

TOWERS: Mapping[str, Tower] = {
    "image": Image("image"),
    "audio": Audio("audio"),
    "text": Text("text"),
}
"""Towers by modality, in the order of `MODALITIES`."""


def augment(features: Mapping[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Augments each row of a batch with random changes that do not alter its meaning.

    Args:
        features: Features of the batch; see `batches.Batch`.
        seed: Seed, int32 `[2]`; the same seed makes the same changes.

    Returns:
        All features, those of modalities changed; shapes and dtypes stay.
    """
    changed = dict(features)
    for index, (name, tower) in enumerate(TOWERS.items()):
        change = tower.augmentation(features[name]) if name in features else None
        if change is not None:
            own = tf.random.experimental.stateless_fold_in(seed, index)
            changed[name] = change(features[name], own)
    return changed
