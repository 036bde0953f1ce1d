"""Pretrained encoders with seeded random weights."""

from pathlib import Path

import keras

from triad_ml.transforms.encoders import efficientnet_lite

LITE = {"image_encoder": "efficientnet_lite0"}
"""Part of a spec's `model` for the weights of `lite`."""

MOBILE_NET = {
    "image_encoder": "keras.applications:MobileNetV2",
    "image_arguments": {"alpha": 0.35},
}
"""Part of a spec's `model` for the weights of `mobile_net`."""


def mobile_net(path: Path, seed: int = 0, size: int = 32) -> Path:
    """Writes the weights of MobileNetV2 and returns their path."""
    keras.utils.set_random_seed(seed)
    network = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    network.save_weights(path)
    return path


def lite(path: Path) -> Path:
    """Writes the weights of EfficientNet-Lite0, which has no normalization and traces faster."""
    keras.utils.set_random_seed(0)
    efficientnet_lite.build(32).save_weights(path)
    return path
