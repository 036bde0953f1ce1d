"""Reader of tensors in a model.bin of CTranslate2, without CTranslate2.

A file is a version, the name and revision of a specification, the variables (name, shape, dtype,
size, numbers), and aliases of variables. Nothing in it is executed. Each length is compared with
the rest of the file before anything is read.
"""

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.files.safetensors import Arrays

VERSION = 6
"""Version of the format that is read, which CTranslate2 writes since its release 2.0."""

_DTYPES: Mapping[int, tuple[str, np.dtype[Any]]] = {
    0: ("float32", np.dtype("<f4")),
    1: ("int8", np.dtype("<i1")),
    2: ("int16", np.dtype("<i2")),
    3: ("int32", np.dtype("<i4")),
    4: ("float16", np.dtype("<f2")),
    5: ("bfloat16", np.dtype("<u2")),
}
_MAX_VARIABLES = 100_000
_MAX_SIDES = 8


class BrokenError(ValueError):
    """Content that the format does not allow; the text names the first such content."""


def read(file: BinaryIO, wanted: Callable[[str], bool]) -> tuple[str, int, Arrays]:
    """Reads variables of a file.

    Args:
        file: The file, from its first byte on.
        wanted: Function that returns True for the name of a variable or an alias to read.

    Returns:
        Name and revision of the specification, and variables by name; an alias has the numbers of
        its variable, bfloat16 is widened to float32.

    Raises:
        BrokenError: If the file does not follow the format.
        OSError: If the file cannot be read.
    """
    reader = _Reader(file)
    version = reader.number("I")
    if version != VERSION:
        raise BrokenError(f"has version {version} of the format, not {VERSION}")
    name, revision = reader.text(), reader.number("I")
    places: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(reader.count(_MAX_VARIABLES)):
        variable, place = reader.variable()
        if variable in places:
            raise BrokenError(f"has two variables {variable!r}")
        places[variable] = place
    for _ in range(reader.count(_MAX_VARIABLES)):
        alias, variable = reader.text(), reader.text()
        if alias in places or variable not in places:
            raise BrokenError(f"has an alias {alias!r} of no variable, or of two")
        places[alias] = places[variable]
    if reader.left:
        raise BrokenError(f"has {reader.left} bytes behind its last variable")
    return name, revision, {v: reader.array(v, places[v]) for v in places if wanted(v)}


class _Reader:
    """Cursor in a file that never leaves it.

    Attributes:
        left: Number of bytes behind the cursor.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = file.seek(0, 2)
        file.seek(0)

    def take(self, size: int) -> bytes:
        self._take(size)
        return self._file.read(size)

    def number(self, kind: str) -> int:
        return int(struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0])

    def count(self, most: int) -> int:
        count = self.number("I")
        if count > most:
            raise BrokenError(f"states {count} entries, over {most}")
        return count

    def text(self) -> str:
        content = self.take(self.number("H"))
        try:
            return content.removesuffix(b"\0").decode()
        except UnicodeDecodeError as error:
            raise BrokenError("has a name that is no UTF-8") from error

    def variable(self) -> tuple[str, tuple[tuple[int, ...], int, int]]:
        """Returns the name of the next variable, its shape, its dtype and its first byte."""
        name, sides = self.text(), self.number("B")
        if sides > _MAX_SIDES:
            raise BrokenError(f"variable {name!r} has {sides} sides, over {_MAX_SIDES}")
        shape = tuple(self.number("I") for _ in range(sides))
        dtype, size = self.number("B"), self.number("I")
        if dtype not in _DTYPES or size != math.prod(shape) * _DTYPES[dtype][1].itemsize:
            raise BrokenError(f"variable {name!r} has a size that its shape and dtype do not have")
        begin = self._file.tell()
        self._take(size)
        self._file.seek(size, 1)
        return name, (shape, dtype, begin)

    def array(self, name: str, place: tuple[tuple[int, ...], int, int]) -> npt.NDArray[Any]:
        shape, kind, begin = place
        label, dtype = _DTYPES[kind]
        self._file.seek(begin)
        size = math.prod(shape) * dtype.itemsize
        content = self._file.read(size)
        if len(content) != size:
            raise BrokenError(f"ends within variable {name!r}")
        array = np.frombuffer(content, dtype).reshape(shape)
        if label == "bfloat16":
            return (array.astype("<u4") << 16).view("<f4")
        return array

    def _take(self, size: int) -> None:
        if size > self.left:
            raise BrokenError("ends within a variable or a name")
        self.left -= size
