"""Registry of towers, and augmentation of all modalities."""

from collections.abc import Collection, Mapping

import tensorflow as tf

from triad_ml.model.towers.audio import Audio
from triad_ml.model.towers.base import Tower
from triad_ml.model.towers.image import Image
from triad_ml.model.towers.text import Text
from triad_ml.transforms.spec.training import USUAL

TOWERS: Mapping[str, Tower] = {
    "image": Image("image"),
    "audio": Audio("audio"),
    "text": Text("text"),
}
"""Towers by modality, in the order of `MODALITIES`."""


def augment(
    features: Mapping[str, tf.Tensor], seed: tf.Tensor, changes: Collection[str] = USUAL
) -> dict[str, tf.Tensor]:
    """Augments each row of a batch with random changes that do not alter its meaning.

    Args:
        features: Features of the batch; see `batches.Batch`.
        seed: Seed, int32 `[2]`; the same seed makes the same changes.
        changes: Names of the changes to make, see `transforms.spec.training.Augment`.

    Returns:
        All features, those of modalities changed; shapes and dtypes stay.
    """
    changed = dict(features)
    for index, (name, tower) in enumerate(TOWERS.items()):
        change = tower.augmentation(features[name], changes) if name in features else None
        if change is not None:
            own = tf.random.experimental.stateless_fold_in(seed, index)
            changed[name] = change(features[name], own)
    return changed
