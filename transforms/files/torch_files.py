"""Reader of tensors in a PyTorch file, without PyTorch and without running code from the file.

A PyTorch file holds pickles, and unpickling can run any code. This reader only interprets their
opcodes: a value is a number, a string, a tuple or a mapping; a global is only a name; a call is
only noted. Opcodes and names that a state dict does not need are refused.

PyTorch up to 1.5 writes pickles and storages one after the other. Later releases write a ZIP
archive, uncompressed, with one pickle and a file for each storage.
"""

import io
import math
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.errors import OptionsError, StorageError

Arrays = dict[str, npt.NDArray[Any]]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_ORDERED = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "torch HalfStorage": np.dtype("<f2"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
}
_NAMES = frozenset({_ORDERED, _TENSOR, *_DTYPES})
_MAX_OPCODES = 1_000_000
_MAX_BYTES = 2**31
_MAX_SIDES = 8
_MAX_FILES = 100_000
"""Largest number of files in an archive."""
_ZIP = b"PK\x03\x04"
_MAX_SHARED = 2
"""Largest ratio of the tensors' bytes to the file's; tied weights share bytes, so it is over 1."""


class _Refused(Exception):
    """Content of a file that no state dict has."""


class _Name(NamedTuple):
    """Name of a global, which is never looked up."""

    name: str


class _Storage(NamedTuple):
    """Storage in the file: `numel` numbers of one dtype, with a key."""

    key: str
    dtype: np.dtype[Any]
    numel: int


class _Tensor(NamedTuple):
    """View of a storage; `offset` and `strides` are in elements."""

    key: str
    dtype: np.dtype[Any]
    numel: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: str | Path) -> Arrays:
    """Reads a state dict in either of PyTorch's formats.

    Args:
        path: Path of a file of at most 2 GiB.

    Returns:
        Tensors by name, in the order of the file, in little-endian byte order.

    Raises:
        OptionsError: If the file has other content; the message names the first such content.
        StorageError: If the file cannot be read.
    """
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise OptionsError(f"{path}: over {_MAX_BYTES} bytes; give a smaller encoder")
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise OptionsError(f"{path}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Arrays:
    """Reads a state dict from the content of a file; see `read`.

    Args:
        content: Content of the file.
        name: Name of the file for errors.

    Raises:
        OptionsError: If the file has other content; the message names the first such content.
    """
    try:
        if content.startswith(_ZIP):
            return _archived(content)
        return _state_dict(io.BytesIO(content))
    except _Refused as refused:
        raise OptionsError(f"{name}: {refused}; give a state dict of tensors") from refused


def _archived(content: bytes) -> Arrays:
    """Reads the archive of PyTorch 1.6 and later."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _of_archive(archive, len(content))
    except (
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        raise _Refused(f"a broken archive ({type(error).__name__})") from error


def _of_archive(archive: zipfile.ZipFile, size: int) -> Arrays:
    entries = archive.infolist()
    if len(entries) > _MAX_FILES or sum(entry.file_size for entry in entries) > size:
        raise _Refused("an archive of more than its bytes")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _Refused("an archive with compressed files")
    names = [entry.filename for entry in entries]
    root, slash, _ = names[0].partition("/") if names else ("", "", "")
    if len(set(names)) != len(names) or not slash or f"{root}/data.pkl" not in names:
        raise _Refused("is no PyTorch file")
    if f"{root}/byteorder" in names and archive.read(f"{root}/byteorder") != b"little":
        raise _Refused("its numbers are not those of a little-endian machine")
    file = io.BytesIO(archive.read(f"{root}/data.pkl"))
    tensors = _tensors(_value(file), size)
    if file.read(1):
        raise _Refused("has content behind its pickle")
    arrays = {}
    for tensor in tensors.values():
        if tensor.key not in arrays:
            stored = archive.read(f"{root}/data/{tensor.key}")
            if len(stored) != tensor.numel * tensor.dtype.itemsize:
                raise _Refused(f"storage {tensor.key!r} has {len(stored)} bytes")
            arrays[tensor.key] = np.frombuffer(stored, tensor.dtype)
    return {name: _view(name, tensor, arrays[tensor.key]) for name, tensor in tensors.items()}


def _tensors(value: Any, size: int) -> dict[str, _Tensor]:
    """Checks that a value is tensors by name, not much larger than the file's `size` in bytes."""
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in value.items()
    ):
        raise _Refused("holds other things than tensors by name")
    total = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in value.values())
    if total > _MAX_SHARED * size:
        raise _Refused(f"its tensors take {total} bytes, over {_MAX_SHARED} times its own")
    return value


def _state_dict(file: io.BytesIO) -> Arrays:
    if _value(file) != _MAGIC or _value(file) != _PROTOCOL:
        raise _Refused("is no PyTorch file")
    system = _value(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Refused("its system information is not that of a little-endian machine")
    tensors, keys = _tensors(_value(file), len(file.getbuffer())), _value(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Refused("its list of storages is no list of names")
    storages = {tensor.key: tensor for tensor in tensors.values()}
    if sorted(keys) != sorted(storages):
        raise _Refused("its storages are not those of its tensors")
    arrays = {key: _storage(file, storages[key]) for key in keys}
    if file.read(1):
        raise _Refused("has content behind its last storage")
    return {name: _view(name, tensor, arrays[tensor.key]) for name, tensor in tensors.items()}


def _storage(file: io.BytesIO, tensor: _Tensor) -> npt.NDArray[Any]:
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != tensor.numel or count < 0:
        raise _Refused(f"storage {tensor.key!r} holds {count} numbers, not {tensor.numel}")
    content = file.read(count * tensor.dtype.itemsize)
    if len(content) != count * tensor.dtype.itemsize:
        raise _Refused(f"ends within storage {tensor.key!r}")
    return np.frombuffer(content, tensor.dtype)


def _view(name: str, tensor: _Tensor, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copies a tensor from its storage, after checking that all elements are within it."""
    if (tensor.dtype, tensor.numel) != (storage.dtype, storage.size):
        raise _Refused(f"tensor {name!r} takes its storage for another")
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    largest = math.prod(max(1, side) for side in tensor.shape)  # numpy counts empty sides too
    if largest > max(1, storage.size) or last >= storage.size:
        raise _Refused(f"tensor {name!r} reaches beyond its storage")
    steps = tuple(stride * storage.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.shape, steps, writeable=False
    ).copy(order="C")


def _value(file: io.BytesIO) -> Any:
    """Returns the value that the next pickle in the file describes."""
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count >= _MAX_OPCODES:
                raise _Refused(f"a pickle of over {_MAX_OPCODES} opcodes")
            step = _STEPS.get(opcode.name)
            if step is None:
                raise _Refused(f"opcode {opcode.name}, which no state dict needs")
            step(machine, argument)
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise _Refused(f"a broken pickle ({type(error).__name__})") from error
    if len(machine.stack) != 1 or machine.below:
        raise _Refused("a pickle of more than one value")
    return machine.stack[0]


class _Machine:
    """Stack machine of the pickle format, which never calls anything.

    Attributes:
        stack: Values above the last mark.
        below: Stacks below each mark, the lowest first.
        memo: Memoized values, by their number in the pickle.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def above_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.below.pop()
        return values

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def tuple_of(self, size: int) -> None:
        values = tuple(self.stack[-size:])
        if len(values) != size:
            raise IndexError
        del self.stack[-size:]
        self.push(values)

    def set_items(self, values: list[Any]) -> None:
        mapping = self.stack[-1]
        if type(mapping) is not dict or len(values) % 2:
            raise _Refused("items for something that is no mapping")
        if not all(
            type(key) is str for key in values[::2]
        ):  # hashing nested tuples may take forever
            raise _Refused("a key that is no name")
        mapping.update(zip(values[::2], values[1::2], strict=True))

    def append(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise _Refused("items for something that is no list")
        self.stack[-1].extend(values)

    def name(self, name: str) -> None:
        if name not in _NAMES:
            raise _Refused(f"global {name.replace(' ', '.')!r}, which no state dict needs")
        self.push(_Name(name))

    def storage(self) -> None:
        """Replaces a persistent id by the storage that it describes: key, dtype and size."""
        kind, storage, key, _, numel, *views = self.stack.pop()
        if kind != "storage" or not isinstance(storage, _Name) or views not in ([], [None]):
            raise _Refused("a persistent id that is no storage")
        if storage.name not in _DTYPES or not isinstance(key, str):
            raise _Refused("a persistent id that is no storage")
        self.push(_Storage(key, _DTYPES[storage.name], _index(numel)))

    def note_call(self) -> None:
        function, arguments = self.stack[-2:]
        del self.stack[-2:]
        if function == _Name(_ORDERED) and arguments == ():
            self.push({})
        elif function == _Name(_TENSOR):
            storage, offset, shape, strides = arguments[:4]
            if not isinstance(storage, _Storage):
                raise _Refused("a tensor without a storage")
            if len(shape) != len(strides) or len(shape) > _MAX_SIDES:
                raise _Refused("a tensor with other strides than sides, or too many")
            sizes = tuple(map(_index, shape)), tuple(map(_index, strides))
            self.push(_Tensor(*storage, _index(offset), *sizes))
        else:
            raise _Refused("a call that no state dict needs")

    def leave_out_state(self) -> None:
        """Discards the state of the mapping, in which PyTorch keeps the versions of its modules."""
        state = self.stack.pop()
        if type(self.stack[-1]) is not dict or type(state) is not dict:
            raise _Refused("a state for something that is no mapping")


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**40:
        raise _Refused("a size that is no whole number from 0 on")
    return value


_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine.mark(),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"),
        lambda machine, value: machine.push(value),
    ),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.above_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.above_mark()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.above_mark()),
    "BINPUT": lambda machine, place: machine.put(place),
    "LONG_BINPUT": lambda machine, place: machine.put(place),
    "BINGET": lambda machine, place: machine.push(machine.memo[place]),
    "LONG_BINGET": lambda machine, place: machine.push(machine.memo[place]),
    "GLOBAL": lambda machine, name: machine.name(name),
    "BINPERSID": lambda machine, _: machine.storage(),
    "REDUCE": lambda machine, _: machine.note_call(),
    "BUILD": lambda machine, _: machine.leave_out_state(),
}
