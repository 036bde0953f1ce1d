"""Files of tensors in the safetensors format, read and written with NumPy alone.

A file is the length of its header (8 bytes), the header (JSON with dtype, shape and place of each
tensor, and texts under `__metadata__`), and the numbers. Nothing in it is executed. Each length in
the header is compared with the file before any number is read.
"""

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import regular

Arrays = dict[str, npt.NDArray[Any]]
T = TypeVar("T")

METADATA = "__metadata__"
"""Key of the texts in the header."""

_BFLOAT16 = "BF16"  # widened to float32
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    _BFLOAT16: np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_LENGTH = 8
_MAX_HEADER = 2**24
_MAX_BYTES = 2**33
_MAX_SIDES = 8


class _Refused(Exception):
    """Content that the format does not allow."""


class Place(NamedTuple):
    """Tensor in a file: dtype as the format names it, shape, and first and last byte + 1."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """Header of a file.

    Attributes:
        tensors: Tensors by name; `begin` and `end` count from the first byte behind the header.
        metadata: Texts by name.
        length: Length of the header in bytes, without the 8 bytes before it.
    """

    tensors: Mapping[str, Place]
    metadata: Mapping[str, str]
    length: int


def read_header(path: Path, source: str | None = None) -> Header:
    """Reads the header of a file, after a check of each length in it.

    Args:
        path: Path of a file of at most 8 GiB.
        source: Name of the file in errors, because `path` may be a copy; None for `path`.

    Raises:
        OptionsError: If the file does not follow the format; the message names the first fault.
        OSError: If the file cannot be read.
    """
    with regular.open_regular(path) as file:
        return _explained(source or path, lambda: _header(file))


def read(
    path: Path, wanted: Callable[[str], bool] = lambda name: True, source: str | None = None
) -> tuple[Arrays, Mapping[str, str]]:
    """Reads tensors of a file.

    Args:
        path: Path of a file of at most 8 GiB.
        wanted: Function that returns True for the name of a tensor to read.
        source: Name of the file in errors, because `path` may be a copy; None for `path`.

    Returns:
        Tensors by name, bfloat16 as float32, and the texts of the header.

    Raises:
        OptionsError: If the file does not follow the format; the message names the first fault.
        OSError: If the file cannot be read.
    """
    with regular.open_regular(path) as file:
        name = source or path
        header = _explained(name, lambda: _header(file))
        wished = [one for one in header.tensors if wanted(one)]
        arrays = _explained(name, lambda: {one: _tensor(file, one, header) for one in wished})
    return arrays, header.metadata


def parse(content: bytes, name: str) -> Arrays:
    """Reads all tensors of a file that is already in memory.

    Args:
        content: Content of the file.
        name: Name of the file for errors.

    Returns:
        Tensors by name, which share the memory of `content`; bfloat16 becomes float32.

    Raises:
        OptionsError: If the content does not follow the format; the message names the first fault.
    """
    header = _explained(name, lambda: _header(io.BytesIO(content)))
    numbers = memoryview(content)[_LENGTH + header.length :]
    return _explained(
        name,
        lambda: {
            one: _array(numbers[place.begin : place.end], one, place)
            for one, place in header.tensors.items()
        },
    )


def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Writes tensors of float16, float32, float64, int32 or int64, and texts.

    Equal arguments give equal bytes.
    """
    names = {dtype: name for name, dtype in _DTYPES.items() if name != _BFLOAT16}
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))}
    begin = 0
    for name, array in sorted(arrays.items()):
        dtype = array.dtype.newbyteorder("<")
        end = begin + array.size * dtype.itemsize
        header[name] = {"dtype": names[dtype], "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    content = json.dumps(header, ensure_ascii=False).encode()
    content += b" " * (-len(content) % 8)  # as the format aligns the numbers
    with path.open("wb") as file:
        file.write(len(content).to_bytes(_LENGTH, "little") + content)
        for _, array in sorted(arrays.items()):
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def halved(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Converts numbers to float16 if it holds each of them exactly, else to float32."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    same = np.array_equal(half.astype(array.dtype), array)
    return half if same else array.astype(np.float32)


def _explained(path: str | Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except _Refused as refused:
        raise OptionsError(
            f"{path}: {refused}; give a whole file in the safetensors format"
        ) from refused


def _header(file: BinaryIO) -> Header:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > _MAX_BYTES:
        raise _Refused(f"over {_MAX_BYTES} bytes")
    length = int.from_bytes(file.read(_LENGTH), "little")
    if size < _LENGTH or not 2 <= length <= min(_MAX_HEADER, size - _LENGTH):
        raise _Refused("its header does not have the length that it states")
    try:
        content = json.loads(file.read(length), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _Refused("its header is no JSON") from error
    if not isinstance(content, dict):
        raise _Refused("its header is no mapping")
    metadata = content.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _Refused(f"{METADATA} holds other things than texts")
    tensors = {name: _place(name, entry) for name, entry in content.items()}
    end = 0
    for name, place in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if place.begin != end:
            raise _Refused(f"tensor {name!r} does not begin where the one before it ends")
        end = place.end
    if end != size - _LENGTH - length:
        raise _Refused(f"its tensors take {end} bytes, and the file has {size - _LENGTH - length}")
    return Header(tensors, metadata, length)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key appears twice")
    return content


def _place(name: str, entry: Any) -> Place:
    """Checks the entry of one tensor: a known dtype, and a place of the size of its shape."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Refused(f"tensor {name!r} has other keys than dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _Refused(f"tensor {name!r} has the dtype {str(dtype)[:40]!r}, which is not read")
    if not _sizes(shape) or len(shape) > _MAX_SIDES or not _sizes(offsets) or len(offsets) != 2:
        raise _Refused(f"tensor {name!r} has a shape or a place of other things than sizes")
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[dtype].itemsize:
        raise _Refused(f"tensor {name!r} has a place of another size than its shape")
    return Place(dtype, tuple(shape), begin, end)


def _sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**40 for v in values)


def _tensor(file: BinaryIO, name: str, header: Header) -> npt.NDArray[Any]:
    place = header.tensors[name]
    file.seek(_LENGTH + header.length + place.begin)
    content = file.read(place.end - place.begin)
    if len(content) != place.end - place.begin:
        raise _Refused(f"ends within tensor {name!r}")
    return _array(content, name, place)


def _array(content: bytes | memoryview, name: str, place: Place) -> npt.NDArray[Any]:
    array = np.frombuffer(content, _DTYPES[place.dtype])
    if place.dtype == _BFLOAT16:
        array = (array.astype("<u4") << 16).view("<f4")
    try:
        return array.reshape(place.shape)
    except ValueError as error:  # an empty tensor with sides beyond NumPy's limits
        raise _Refused(f"tensor {name!r} has a shape that cannot be") from error
