"""The registry of towers, and what is done with the features of all modalities alike."""

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
"""By modality, in the order of `MODALITIES`."""


def augment(features: Mapping[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Changes each row of a batch in its own way, and leaves what it stands for.

    Args:
        features: See `data.batches.Batch`.
        seed: int32 `[2]`; the same seed makes the same changes.

    Returns:
        The features with those of the modalities changed, of the same shapes and types.
    """
    changed = dict(features)
    for place, (name, tower) in enumerate(TOWERS.items()):
        change = tower.augmentation(features[name]) if name in features else None
        if change is not None:
            own = tf.random.experimental.stateless_fold_in(seed, place)
            changed[name] = change(features[name], own)
    return changed
