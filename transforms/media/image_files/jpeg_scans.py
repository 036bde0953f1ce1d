"""Check that the scans of a JPEG are complete; most decoders only warn about missing pixels."""

import re

import simplejpeg

from triad_ml.transforms.records.values import Flaw, MediumError

_NOT_JUDGED = "tjDecompress"
"""Prefix of TurboJPEG's errors for files that it does not support, but other decoders do."""

_CUT = re.compile("premature end", re.IGNORECASE)


def check(content: bytes) -> None:
    """Decodes the scans at an eighth of the size, and treats libjpeg's warnings as errors.

    A scan declares no length: only decoding shows that a part before the end marker is missing or
    zeroed. At an eighth of the size, one number per block is transformed. Nearly all of the time, 7
    to 9 CPU microseconds per kB, is then spent on the Huffman code, which every such check needs.

    An image with a colour sampling that TurboJPEG does not support is not checked.

    Raises:
        MediumError: TRUNCATED if blocks are missing, else CORRUPT.
    """
    try:
        simplejpeg.decode_jpeg(content, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        message = str(error)
        if message.startswith(_NOT_JUDGED):
            return
        flaw = Flaw.TRUNCATED if _CUT.search(message) else Flaw.CORRUPT
        raise MediumError(flaw, "JPEG: its scans are damaged") from error
