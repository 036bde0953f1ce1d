"""Reader of PyTorch files: tensors are read; any other content is refused and never run."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import torch_format
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import torch_files

TENSORS = {
    "_conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "_bn.bias": np.array([1.5, -2.0], np.float64),
    "_bn.seen": np.array(7, np.int64),
}


def refusal(path: Path) -> str:
    with pytest.raises(OptionsError) as refused:
        torch_files.read(path)
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{path}: ").partition("; ")[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def test_each_tensor_comes_back_with_its_numbers_shape_and_type(path: Path) -> None:
    torch_format.write(path, TENSORS)
    found = torch_files.read(path)
    assert list(found) == list(TENSORS)
    for name, expected in TENSORS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_a_tensor_whose_sides_are_stored_in_another_order_is_put_in_order(path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    stored = torch_format.tensor("0", values, (4, 2, 3), strides=(1, 12, 4))
    torch_format.write_parts(path, {"w": stored}, {"0": values})
    np.testing.assert_array_equal(torch_files.read(path)["w"], values.transpose(2, 0, 1))


def test_two_tensors_may_share_a_storage(path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    parts = {
        "whole": torch_format.tensor("0", values, (6,)),
        "half": torch_format.tensor("0", values, (3,), offset=3),
    }
    torch_format.write_parts(path, parts, {"0": values})
    found = torch_files.read(path)
    assert found["whole"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found["half"].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((7,), (1,), 0), ((2,), (6,), 0), ((6,), (1,), 1), ((7,), (0,), 0), ((2, 4), (3, 1), 0)],
)
def test_no_tensor_reaches_beyond_its_storage(
    path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    values = np.zeros(6, np.float32)
    stored = torch_format.tensor("0", values, shape, strides, offset)
    torch_format.write_parts(path, {"w": stored}, {"0": values})
    assert refusal(path) == "tensor 'w' reaches beyond its storage"


@pytest.mark.parametrize("size", [-1, 2**40, True, 1.0, "1"])
def test_sizes_are_whole_numbers_from_0_on(path: Path, size: Any) -> None:
    values = np.zeros(6, np.float32)
    stored = torch_format.tensor("0", values, (size,), (1,))
    torch_format.write_parts(path, {"w": stored}, {"0": values})
    assert refusal(path).startswith(("a size that is no whole number", "opcode "))


class Evil:
    """Would write a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("place", ["magic", "tensors", "value", "keys"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_would_run_something_is_refused_and_does_not_run(
    path: Path, tmp_path: Path, place: str, protocol: int
) -> None:
    evil = pickle.dumps(Evil(tmp_path / "ran"), protocol)
    torch_format.write(path, TENSORS)
    pickles = list(torch_format.pickles(path.read_bytes()))
    if place == "value":
        pickles[3] = pickle.dumps({"weight": Evil(tmp_path / "ran")}, protocol)
    else:
        pickles[{"magic": 0, "tensors": 3, "keys": 4}[place]] = evil
    path.write_bytes(b"".join(pickles))
    assert refusal(path).startswith(("opcode ", "global ", "a broken pickle"))
    assert not (tmp_path / "ran").exists()
    pickle.loads(evil)  # the test's own: it is a pickle that runs
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(X\x04\0\0\0truetR.",
        b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02ccollections\nOrderedDict\n}\x81.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02" + b"(" * 5000 + b"t" * 5000 + b".",
        b"\x80\x02)" + b"\x85" * 5000 + b"\x85R.",
        b"\x80\x02.",
        b"\x80\x02h\x05.",
        b"\x80\x02t.",
        b"\x80\x02K\x01K\x02.",
        b"",
    ],
)
def test_opcodes_and_names_that_no_state_dict_needs_are_refused(path: Path, code: bytes) -> None:
    torch_format.write(path, TENSORS)
    pickles = list(torch_format.pickles(path.read_bytes()))
    pickles[3] = code
    path.write_bytes(b"".join(pickles))
    assert refusal(path)


def test_only_a_mapping_of_tensors_is_read(path: Path) -> None:
    for value in ([1, 2], {"a": 1}, 3, None):
        torch_format.write(path, TENSORS)
        pickles = list(torch_format.pickles(path.read_bytes()))
        pickles[3] = pickle.dumps(value, 2)
        path.write_bytes(b"".join(pickles))
        assert refusal(path) == "holds other things than tensors by name"


def _with_state(path: Path, code: bytes) -> Path:
    torch_format.write(path, TENSORS)
    pickles = list(torch_format.pickles(path.read_bytes()))
    pickles[3] = code
    path.write_bytes(b"".join(pickles))
    return path


def test_keys_whose_hash_takes_for_ever_are_never_hashed(path: Path) -> None:
    doubled = b")" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60))  # (x, x), 60 times over
    assert refusal(_with_state(path, b"\x80\x02}" + doubled + b"Ns.")) == "a key that is no name"


def test_marks_deep_in_a_large_pickle_take_time_that_grows_with_its_size(path: Path) -> None:
    code = b"\x80\x02" + b"K\x01" * 200_000 + b"(t" * 200_000 + b"."  # the square takes an hour
    assert refusal(_with_state(path, code)) == "a pickle of more than one value"


def test_a_mark_is_no_value(path: Path) -> None:
    assert refusal(_with_state(path, b"\x80\x02(\x85.")) == "a broken pickle (IndexError)"
    assert refusal(_with_state(path, b"\x80\x02(}.")) == "a pickle of more than one value"


def test_tensors_take_no_more_than_twice_what_the_file_holds(path: Path) -> None:
    values = np.zeros(1000, np.float32)
    shared = {f"w{n}": torch_format.tensor("0", values, (1000,)) for n in range(200)}
    torch_format.write_parts(path, shared, {"0": values})
    assert refusal(path).startswith("its tensors take 800000 bytes, over 2 times its own")
    tied = {name: shared[name] for name in ("w0", "w1")}
    torch_format.write_parts(path, tied, {"0": values})
    assert list(torch_files.read(path)) == ["w0", "w1"]


def test_a_tensor_is_of_a_storage_and_its_sides_are_those_of_numbers_in_it(path: Path) -> None:
    forged = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x01\0\0\x000K\x01K\x01tK\0))tR"
    code = b"\x80\x02}X\x01\0\0\0w" + forged + b"s."
    assert refusal(_with_state(path, code)) == "a tensor without a storage"
    values = np.zeros(6, np.float32)
    empty = torch_format.tensor("0", values, (0, 2**31, 2**31, 2**31), (1, 1, 1, 1))
    torch_format.write_parts(path, {"w": empty}, {"0": values})
    assert refusal(path).endswith("reaches beyond its storage")


def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(path: Path) -> None:
    torch_format.write(path, TENSORS)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert refusal(path)
    path.write_bytes(content + b"\0")
    assert refusal(path) == "has content behind its last storage"


def test_a_storage_of_another_size_than_its_tensor_says_is_refused(path: Path) -> None:
    torch_format.write(path, {"w": np.zeros(3, np.float32)})
    content = path.read_bytes()
    place = len(content) - 12 - 8
    for count in (2, 4, -1, 2**62):
        path.write_bytes(content[:place] + struct.pack("<q", count) + content[place + 8 :])
        assert refusal(path).startswith(f"storage '0' holds {count} numbers, not 3")


def test_an_archive_gives_the_same_tensors(path: Path) -> None:
    torch_format.write_archive(path, TENSORS)
    found = torch_files.read(path)
    assert list(found) == list(TENSORS)
    for name, expected in TENSORS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_in_an_archive_that_would_run_something_is_refused_and_does_not_run(
    path: Path, tmp_path: Path, protocol: int
) -> None:
    torch_format.write_archive(path, TENSORS)
    evil = pickle.dumps({"weight": Evil(tmp_path / "ran")}, protocol)
    torch_format.write_files(path, torch_format.archived(path) | {"data.pkl": evil})
    assert refusal(path).startswith(("opcode ", "global ", "a broken pickle"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"byteorder": b"big"}, "its numbers are not those of a little-endian machine"),
        ({"data/0": b"1234"}, "storage '0' has 4 bytes"),
        ({"data/0": bytes(100)}, "storage '0' has 100 bytes"),
        ({"data.pkl": pickle.dumps([1], 2)}, "holds other things than tensors by name"),
        ({"data.pkl": pickle.dumps({}, 2) + b"N."}, "has content behind its pickle"),
    ],
)
def test_an_archive_with_other_content_is_refused(
    path: Path, changed: dict[str, bytes], problem: str
) -> None:
    torch_format.write_archive(path, TENSORS)
    torch_format.write_files(path, torch_format.archived(path) | changed)
    assert refusal(path) == problem


def test_archives_without_a_storage_or_a_pickle_and_compressed_ones_are_refused(path: Path) -> None:
    torch_format.write_archive(path, TENSORS)
    files = torch_format.archived(path)
    torch_format.write_files(path, {n: one for n, one in files.items() if n != "data/1"})
    assert refusal(path) == "a broken archive (KeyError)"
    torch_format.write_files(path, {n: one for n, one in files.items() if n != "data.pkl"})
    assert refusal(path) == "is no PyTorch file"
    torch_format.write_files(path, files, compression=zipfile.ZIP_DEFLATED)
    assert refusal(path) == "an archive with compressed files"


def test_an_archive_that_ends_too_early_is_refused_wherever_it_ends(path: Path) -> None:
    torch_format.write_archive(path, TENSORS)
    content = path.read_bytes()
    for size in range(0, len(content), 31):
        path.write_bytes(content[:size])
        assert refusal(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rest", pickle.dumps({"a": 1})])
def test_another_kind_of_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(path)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(OptionsError, match="there is no such file"):
        torch_files.read(path)
