"""Reader of an image's orientation in EXIF and XMP; it reads no other tag."""

import re
import struct
from fractions import Fraction

MARK = b"Exif\0\0"
"""Mark before an EXIF block; in a JPEG it is required."""

UPRIGHT = 1
"""Orientation of an image that is stored as it is displayed."""

_ORIENTATION = 0x0112
_HEADS = {b"II*\0": "<", b"II\0*": "<", b"MM\0*": ">", b"MM*\0": ">"}
_NUMBERS = {3: "H", 4: "I", 5: "II", 6: "b", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I"}
"""Formats of EXIF's numeric types, as in `struct`; of several values Pillow uses the first."""
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Returns the orientation, 1 to 8, as Pillow reads it: from EXIF, else from XMP.

    Malformed metadata is ignored: the image is then upright.

    Args:
        exif: TIFF header and directory, with or without EXIF marks before them.
        xmp: XMP packet as stored.
    """
    start = 0
    while exif.startswith(MARK, start):
        start += len(MARK)
    value = _value(exif[start:])
    if value is None and (match := _XMP.search(xmp)):
        value = int(match[1])
    return next((turn for turn in range(1, 9) if turn == value), UPRIGHT)


def block(value: int) -> bytes:
    """Makes an EXIF block that holds only an orientation."""
    return struct.pack("<4sIHHHIII", b"II*\0", 8, 1, _ORIENTATION, 3, 1, value, 0)


def _value(tiff: bytes) -> float | Fraction | None:
    order = _HEADS.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    count = int.from_bytes(tiff[start : start + 2], "little" if order == "<" else "big")
    entries = tiff[start + 2 : start + 2 + 12 * count]
    value: float | Fraction | None = None
    for tag, kind, length, stored in struct.iter_unpack(
        f"{order}HHI4s", entries[: len(entries) // 12 * 12]
    ):
        if tag != _ORIENTATION or kind not in _NUMBERS or not length:
            continue
        form = order + _NUMBERS[kind]
        if struct.calcsize(form) * length > 4:
            (offset,) = struct.unpack(f"{order}I", stored)
            stored = tiff[offset : offset + struct.calcsize(form)]
        if len(stored) >= struct.calcsize(form):
            value = _ratio(*struct.unpack_from(form, stored))
    return value


def _ratio(value: float, divisor: int = 1) -> float | Fraction:
    if divisor == 1:
        return value
    return Fraction(int(value), divisor) if divisor else 0
