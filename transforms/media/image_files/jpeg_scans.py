"""Whether the pixels of a JPEG are all there, which most decoders only warn of."""

import re

import simplejpeg

from triad_ml.transforms.records.values import Flaw, MediumError

_NOT_JUDGED = "tjDecompress"
"""How TurboJPEG begins where a file is not of its kind, as for sampling that others can read."""

_CUT = re.compile("premature end", re.IGNORECASE)


def check(content: bytes) -> None:
    """Decodes the scans, at an eighth of the size, and takes libjpeg's warnings for errors.

    A scan has no length: only who decodes it knows that half of it is missing in front of an end
    marker, or zeroed. At an eighth no more than one number a block is transformed, so that nearly
    all the time, 7 to 9 CPU microseconds a kB, is that of the Huffman code: no verdict takes less.

    A picture whose colours are sampled in a way that TurboJPEG does not know is not judged.

    Raises:
        MediumError: TRUNCATED where blocks are missing, CORRUPT.
    """
    try:
        simplejpeg.decode_jpeg(content, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        message = str(error)
        if message.startswith(_NOT_JUDGED):
            return
        flaw = Flaw.TRUNCATED if _CUT.search(message) else Flaw.CORRUPT
        raise MediumError(flaw, "JPEG: its scans are damaged") from error
