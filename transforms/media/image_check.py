"""Check of canonical images with the op that decodes them in the feature graph."""

import tensorflow as tf

from triad_ml.transforms.records.values import Flaw, MediumError


def check_image(content: bytes) -> None:
    """Decodes a canonical image as the feature graph does.

    Raises:
        MediumError: CORRUPT, if the graph would fail on the image.
    """
    try:
        tf.io.decode_jpeg(content, channels=3)
    except tf.errors.InvalidArgumentError as error:
        raise MediumError(Flaw.CORRUPT, "the decoder of the feature graph refuses it") from error
