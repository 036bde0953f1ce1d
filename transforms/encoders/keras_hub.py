"""Encoders of KerasHub, from a preset in a local folder; an optional extra."""

from pathlib import Path

import keras
import numpy as np

from triad_ml.transforms import extras
from triad_ml.transforms.errors import OptionsError


def load(folder: Path, size: int, source: str) -> keras.Model:
    """A preset's backbone with its weights, from bytes of pictures to one vector each.

    Args:
        folder: Of the preset, as `save_to_preset` writes it.
        size: Height and width of the pictures.
        source: What errors name, since the folder may be a copy.

    Returns:
        From uint8 `[batch, size, size, 3]` to float32 `[batch, width]`: the mean of the last map,
        or of the last sequence.

    Raises:
        OptionsError: Without KerasHub, or where the folder holds no preset for pictures.
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
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise OptionsError(
            f"{source}: holds no KerasHub preset for pictures ({said}); name another folder"
        ) from error
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    # Pictures have their size already, and what is left of the converter is a line.
    scale, offset = (
        np.asarray(plain if value is None else value, np.float32).tolist()
        for value, plain in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    numbers = keras.layers.Rescaling(scale, offset, name="numbers")(pixels)
    backbone.name = "encoder"
    maps = backbone(numbers)
    pooled = keras.ops.mean(maps, axis=tuple(range(1, len(maps.shape) - 1)))
    return keras.Model(pixels, pooled, name="image_encoder")
