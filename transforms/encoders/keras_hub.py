"""Image encoders of KerasHub, from a preset in a local folder; KerasHub is an optional extra."""

from pathlib import Path

import keras
import numpy as np

from triad_ml.transforms import extras
from triad_ml.transforms.errors import OptionsError


def load(folder: Path, size: int, source: str) -> keras.Model:
    """Loads a preset's backbone with its weights, as a model from bytes to embeddings.

    Args:
        folder: Folder of the preset, as `save_to_preset` writes it.
        size: Height and width of the images.
        source: Name of the folder in errors, because `folder` may be a copy.

    Returns:
        Model from uint8 `[batch, size, size, 3]` to float32 `[batch, width]`, the mean of the last
        feature map or of the last sequence.

    Raises:
        OptionsError: If KerasHub is not installed, or the folder has no preset for images.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise OptionsError(
            f"model.image_encoder: keras_hub is not installed; {extras.remedy('hub')}"
        ) from error
    try:
        backbone = keras_hub.models.Backbone.from_preset(str(folder))
        converter = keras_hub.layers.ImageConverter.from_preset(str(folder))
    except (ValueError, OSError, KeyError) as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise OptionsError(
            f"{source}: holds no KerasHub preset for pictures ({message}); name another folder"
        ) from error
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    # Images have their size already, so that only the converter's linear scaling is left.
    scale, offset = (
        np.asarray(plain if value is None else value, np.float32).tolist()
        for value, plain in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    numbers = keras.layers.Rescaling(scale, offset, name="numbers")(pixels)
    backbone.name = "encoder"
    maps = backbone(numbers)
    pooled = keras.ops.mean(maps, axis=tuple(range(1, len(maps.shape) - 1)))
    return keras.Model(pixels, pooled, name="image_encoder")
