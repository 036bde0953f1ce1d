"""Files in PyTorch's old format and its archives, written without PyTorch."""

import io
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


class _Storage:
    """Storage, pickled as a persistent id."""

    def __init__(self, key: str, kind: str, size: int) -> None:
        self.id = ("storage", _Named("torch", kind), key, "cpu", size, None)


class _Named:
    """Object that is pickled as a global of a name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Tensor:
    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


class _Pickler(pickle._Pickler):  # written in Python, so that its parts can be replaced
    def persistent_id(self, value: Any) -> Any:
        return value.id if isinstance(value, _Storage) else None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Named):
            self.write(b"c" + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, _Tensor):
            self.save(_Named("torch._utils", "_rebuild_tensor_v2"))
            self.save(value.arguments)
            self.write(b"R")
        else:
            super().save(value, save_persistent_id)


def tensor(
    key: str,
    storage: npt.NDArray[Any],
    shape: Sequence[Any],
    strides: Sequence[int] | None = None,
    offset: int = 0,
) -> Any:
    """Returns a tensor of a state dict: a view of a storage, in elements."""
    steps = strides
    if steps is None:
        steps = [s // storage.itemsize for s in np.empty(shape, storage.dtype).strides]
    stored = _Storage(key, _STORAGES[storage.dtype.name], storage.size)
    return _Tensor(stored, offset, tuple(shape), tuple(steps), False, OrderedDict())


def state(tensors: Mapping[str, Any]) -> bytes:
    """Returns the pickle of a state dict."""
    stream = io.BytesIO()
    _Pickler(stream, 2).dump(OrderedDict(tensors))
    return stream.getvalue()


def write_parts(
    path: Path, tensors: Mapping[str, Any], storages: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Writes a file of tensors and storages, without checks of their consistency."""
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, system)]
    parts += [state(tensors), pickle.dumps(list(storages), 2)]
    for values in storages.values():
        parts.append(struct.pack("<q", values.size) + values.tobytes())
    path.write_bytes(b"".join(parts))


def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes a state dict."""
    keys = {name: str(place) for place, name in enumerate(arrays)}
    tensors = {name: tensor(keys[name], one, one.shape) for name, one in arrays.items()}
    write_parts(path, tensors, {keys[name]: one for name, one in arrays.items()})


def write_archive(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes a state dict as PyTorch 1.6 and later do."""
    keys = {name: str(place) for place, name in enumerate(arrays)}
    tensors = {name: tensor(keys[name], one, one.shape) for name, one in arrays.items()}
    for stored in tensors.values():
        stored.arguments[0].id = stored.arguments[0].id[:5]  # archives know no views of storages
    files = {"data.pkl": state(tensors), "byteorder": b"little"}
    files |= {f"data/{keys[name]}": one.tobytes() for name, one in arrays.items()}
    write_files(path, files | {"version": b"3\n"})


def write_files(path: Path, files: Mapping[str, bytes], **options: Any) -> None:
    """Writes an archive of any files, below one folder."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(f"weights/{name}", content)


def archived(path: Path) -> dict[str, bytes]:
    """Returns the files of an archive, without the name of their folder."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def pickles(content: bytes) -> Iterator[bytes]:
    """Returns the five pickles of a file, and the bytes after them."""
    stream = io.BytesIO(content)
    for _ in range(5):
        begin = stream.tell()
        for _ in pickletools.genops(stream):
            pass
        yield content[begin : stream.tell()]
    yield content[stream.tell() :]
