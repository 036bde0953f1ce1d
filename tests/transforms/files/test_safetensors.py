"""Files of tensors: read as they were written, and refused where a length lies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import text_encoders
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import safetensors

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
NUMBERS = np.arange(6, dtype="<f4").tobytes()


def stored(path: Path, header: Any, numbers: bytes = NUMBERS) -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + numbers)
    return path


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([1.5, -2.0], np.float16),
        "none": np.zeros((0, 4), np.float64),
        "one": np.array(7, np.int64),
    }
    safetensors.write(tmp_path / "x", arrays, {"k": "v"})
    found, metadata = safetensors.read(tmp_path / "x")
    assert metadata == {"k": "v"}
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    safetensors.write(tmp_path / "y", dict(reversed(arrays.items())), {"k": "v"})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_file_of_another_writer_is_read_by_its_header(tmp_path: Path) -> None:
    path = stored(tmp_path / "x", {"w": ENTRY, "__metadata__": {"format": "pt"}})
    found, metadata = safetensors.read(path)
    np.testing.assert_array_equal(found["w"], np.arange(6).reshape(2, 3))
    assert metadata == {"format": "pt"}
    assert safetensors.read_header(path).tensors["w"] == ("F32", (2, 3), 0, 24)
    assert safetensors.read(path, lambda name: name != "w")[0] == {}


def test_content_in_memory_is_read_like_a_file(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array(2.5, np.float64),
        "empty": np.zeros((0, 3), np.float16),
        "ids": np.arange(4),
    }
    content = text_encoders.safetensors(arrays)
    (tmp_path / "x").write_bytes(content)
    for found in (safetensors.parse(content, "x"), safetensors.read(tmp_path / "x")[0]):
        assert found.keys() == arrays.keys()
        for name, expected in arrays.items():
            assert found[name].dtype == expected.dtype
            assert found[name].shape == expected.shape
            np.testing.assert_array_equal(found[name], expected)


def test_bfloat16_is_widened_to_the_same_numbers(tmp_path: Path) -> None:
    numbers = np.array([1.0, -2.5, 3e38, 1e-40], np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    content = text_encoders.safetensors({"w": upper})
    (tmp_path / "x").write_bytes(content)
    for found in (safetensors.parse(content, "x"), safetensors.read(tmp_path / "x")[0]):
        assert found["w"].dtype == np.float32
        np.testing.assert_array_equal(found["w"].view(np.uint32) >> 16, upper)
        np.testing.assert_array_equal(found["w"].view(np.uint32) & 0xFFFF, 0)


def test_numbers_are_halved_only_if_float16_holds_each(tmp_path: Path) -> None:
    assert safetensors.halved(np.array([0.5, 3.0], np.float32)).dtype == np.float16
    for value in (0.1, 1e6):
        kept = safetensors.halved(np.array([0.5, value], np.float32))
        assert kept.dtype == np.float32
        assert kept[1] == np.float32(value)


@pytest.mark.parametrize(
    ("header", "numbers", "fault"),
    [
        (b"", b"", "its header does not have the length that it states"),
        (b"{]", NUMBERS, "its header is no JSON"),
        (b"[" * 100_000, NUMBERS, "its header is no JSON"),
        (b"\xff{}", NUMBERS, "its header is no JSON"),
        ([1], NUMBERS, "its header is no mapping"),
        (b'{"w": {}, "w": {}}', NUMBERS, "its header is no JSON"),
        ({"__metadata__": {"a": 1}, "w": ENTRY}, NUMBERS, "holds other things than texts"),
        ({"w": 1}, NUMBERS, "has other keys than dtype, shape and data_offsets"),
        ({"w": {**ENTRY, "more": 1}}, NUMBERS, "has other keys than"),
        ({"w": {**ENTRY, "dtype": "F8"}}, NUMBERS, "has the dtype 'F8', which is not read"),
        ({"w": {**ENTRY, "dtype": ["F32"]}}, NUMBERS, "which is not read"),
        ({"w": {**ENTRY, "shape": [2, True]}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "shape": [-2, -3]}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "shape": [2.0, 3.0]}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "shape": 6}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "shape": [1] * 9}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "data_offsets": [0]}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "shape": [2, 4]}}, NUMBERS, "a place of another size than its shape"),
        ({"w": {**ENTRY, "data_offsets": [-24, 0]}}, NUMBERS, "of other things than sizes"),
        ({"w": {**ENTRY, "data_offsets": [24, 0]}}, NUMBERS, "a place of another size"),
        ({"w": {**ENTRY, "data_offsets": [4, 28]}}, NUMBERS + NUMBERS, "does not begin where"),
        ({"w": ENTRY, "v": ENTRY}, NUMBERS, "does not begin where the one before it ends"),
        ({"w": ENTRY}, NUMBERS[:-1], "its tensors take 24 bytes, and the file has 23"),
        ({"w": ENTRY}, NUMBERS + b"x", "its tensors take 24 bytes, and the file has 25"),
        (
            {"w": {**ENTRY, "shape": [0, 2**39, 2**39, 2**39], "data_offsets": [0, 0]}},
            b"",
            "has a shape that cannot be",
        ),
    ],
)
def test_a_header_that_lies_is_refused_in_one_line(
    tmp_path: Path, header: Any, numbers: bytes, fault: str
) -> None:
    path = stored(tmp_path / "x", header, numbers)
    for read in (
        lambda: safetensors.read(path, source="given.safetensors"),
        lambda: safetensors.parse(path.read_bytes(), "given.safetensors"),
    ):
        with pytest.raises(OptionsError) as refused:
            read()
        assert str(refused.value).startswith("given.safetensors: ")
        assert fault in str(refused.value)
        assert "\n" not in str(refused.value)


def test_content_that_ends_too_early_or_too_late_is_refused() -> None:
    content = text_encoders.safetensors({"w": np.arange(6.0), "v": np.zeros(3, np.float16)})
    for cut in (*(content[:size] for size in range(len(content))), content + b"\0"):
        with pytest.raises(OptionsError):
            safetensors.parse(cut, "x")


@pytest.mark.parametrize("length", [2**63, 2**24 + 1, 500])
def test_a_length_beyond_the_file_allocates_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(OptionsError, match="its header does not have the length that it states"):
        safetensors.read_header(path)
