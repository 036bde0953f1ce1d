"""Reader of tensors in the safetensors format: a length, a JSON header, and raw numbers."""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.errors import OptionsError

Arrays = dict[str, npt.NDArray[Any]]

_BFLOAT16 = "BF16"
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    _BFLOAT16: np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_LENGTH = 8
_MAX_HEADER = 16 * 2**20
_MAX_SIDES = 8
_METADATA = "__metadata__"


class _Refused(Exception):
    """Content that no safetensors file has."""


def parse(content: bytes, name: str) -> Arrays:
    """Reads all tensors.

    Args:
        content: Content of the file.
        name: Name of the file for errors.

    Returns:
        Tensors by name, which share the memory of `content`; bfloat16 becomes float32.

    Raises:
        OptionsError: If the content is not exactly a header and the tensors that it describes.
    """
    try:
        return _tensors(memoryview(content))
    except _Refused as refused:
        raise OptionsError(f"{name}: {refused}; give a whole safetensors file") from refused


def _tensors(content: memoryview) -> Arrays:
    length = int.from_bytes(content[:_LENGTH], "little")
    if len(content) < _LENGTH or length > min(len(content) - _LENGTH, _MAX_HEADER):
        raise _Refused("ends within its header, or has none")
    header = _header(bytes(content[_LENGTH : _LENGTH + length]))
    numbers = content[_LENGTH + length :]
    places = sorted((_place(name, entry), name) for name, entry in header.items())
    edges = [0, *itertools.chain.from_iterable(place for place, _ in places), len(numbers)]
    # Tensors follow each other without a gap, as the format wants: 0, 0, a, a, b, b, ..., length.
    if edges[::2] != edges[1::2]:
        raise _Refused("its tensors overlap, have gaps or do not fill the file")
    return {name: _tensor(name, header[name], numbers[begin:end]) for (begin, end), name in places}


def _header(content: bytes) -> dict[str, dict[str, Any]]:
    try:
        header = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"its header is no JSON ({type(error).__name__})") from error
    if not isinstance(header, dict):
        raise _Refused("its header is no mapping")
    header.pop(_METADATA, None)
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("a name stands twice in its header")
    return found


def _place(name: str, entry: Any) -> tuple[int, int]:
    """Checks the description of a tensor, and returns the offsets of its first and last byte."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Refused(f"tensor {name!r} has other keys than dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _Refused(f"tensor {name!r} has dtype {dtype!r:.40}, which is not read")
    if not _whole_numbers(shape) or len(shape) > _MAX_SIDES:
        raise _Refused(f"tensor {name!r} has no shape")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise _Refused(f"tensor {name!r} has no offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[dtype].itemsize:
        raise _Refused(f"tensor {name!r} has not as many bytes as its shape")
    return begin, end


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number < 2**40 for number in value
    )


def _tensor(name: str, entry: dict[str, Any], numbers: memoryview) -> npt.NDArray[Any]:
    array = np.frombuffer(numbers, _DTYPES[entry["dtype"]])
    if entry["dtype"] == _BFLOAT16:
        array = (array.astype("<u4") << 16).view("<f4")
    try:
        return array.reshape(entry["shape"])
    except ValueError as error:  # an empty tensor with sides beyond NumPy's limits
        raise _Refused(f"tensor {name!r} has a shape that cannot be") from error
