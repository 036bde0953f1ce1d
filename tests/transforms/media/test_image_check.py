"""Check of canonical images: it accepts the images that the feature graph can decode."""

import struct

import pytest
import tensorflow as tf

from tests import media
from triad_ml.transforms.features import image
from triad_ml.transforms.media import image_check
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import ImageSpec

PLAIN = {
    "jpeg": media.jpeg(),
    "gray jpeg": media.jpeg(mode="L"),
    "progressive jpeg": media.jpeg(progressive=True),
    "png": media.png(),
    "gray png": media.png("L"),
    "palette png": media.png("P"),
}


def with_broken_checksum(content):
    """A PNG whose pixels are whole but whose checksum is not theirs."""
    at = content.index(b"IDAT")
    end = at + 4 + int.from_bytes(content[at - 4 : at])
    return content[:end] + bytes([content[end] ^ 1]) + content[end + 1 :]


def with_broken_stream(content):
    """A PNG of right checksums whose pixels cannot be inflated."""
    at = content.index(b"IDAT")
    (size,) = struct.unpack_from(">I", content, at - 4)
    body = bytearray(content[at + 4 : at + 4 + size])
    body[size // 2 :] = bytes(size - size // 2)
    return content[: at - 4] + media.png_chunk(b"IDAT", bytes(body)) + content[at + 8 + size :]


BROKEN = {
    "jpeg cut in its scan": media.jpeg()[:-200] + b"\xff\xd9",
    "jpeg without an end": media.jpeg()[:-2],
    "png with a broken checksum": with_broken_checksum(media.png()),
    "png with a broken stream": with_broken_stream(media.png()),
    "png without an end": media.png()[:-60],
    "tiff": media.encoded(media.picture(), "TIFF"),
    "no picture": b"no picture at all",
}


@pytest.fixture(scope="module")
def graph():
    what = ImageSpec(size=16)
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda content: image.image_graph(content, what), signature)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_picture_passes(kind):
    assert image_check.check_image(PLAIN[kind]) is None


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_is_corrupt(kind):
    with pytest.raises(MediumError) as caught:
        image_check.check_image(BROKEN[kind])
    assert caught.value.flaw == Flaw.CORRUPT
    assert str(caught.value) == "corrupt: the decoder of the feature graph refuses it"


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "palette png"])
def test_the_verdict_is_that_of_the_feature_graph(kind, graph):
    verdicts = []
    for content in (PLAIN[kind], *media.mutations(PLAIN[kind], 60, seed=3)):
        if content:  # the graph takes no bytes for a missing picture
            verdicts.append((passes(image_check.check_image, content), passes(graph, [content])))
    assert [pair for pair in verdicts if pair[0] != pair[1]] == []
    assert {True, False} == {passed for passed, _ in verdicts}


def passes(check, content):
    try:
        check(content)
    except (MediumError, tf.errors.InvalidArgumentError):
        return False
    return True
