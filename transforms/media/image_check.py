"""What counts as readable: the verdict of the very op with which the feature graph decodes."""

import tensorflow as tf

from triad_ml.transforms.records.values import Flaw, MediumError


def check_image(content: bytes) -> None:
    """Decodes a canonical picture as the feature graph does.

    Raises:
        MediumError: `corrupt`, where the graph would fail on it.
    """
    try:
        tf.io.decode_jpeg(content, channels=3)
    except tf.errors.InvalidArgumentError as error:
        raise MediumError(Flaw.CORRUPT, "the decoder of the feature graph refuses it") from error
