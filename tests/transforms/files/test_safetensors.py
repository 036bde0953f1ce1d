"""Reader of safetensors files: each length is checked, and anything else is refused."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from tests import text_encoders
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import safetensors

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array(2.5, np.float64),
    "empty": np.zeros((0, 3), np.float16),
    "ids": np.arange(4),
}


def file_of(header: Any, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def tensor(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def refusal(content: bytes) -> str:
    with pytest.raises(OptionsError) as refused:
        safetensors.parse(content, "model.safetensors")
    assert "\n" not in str(refused.value)
    name, _, message = str(refused.value).partition(": ")
    assert name == "model.safetensors"
    return message.partition("; ")[0]


def test_each_tensor_comes_back_with_its_numbers_shape_and_type() -> None:
    found = safetensors.parse(text_encoders.safetensors(ARRAYS), "file")
    assert found.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        np.testing.assert_array_equal(found[name], expected)


def test_bfloat16_becomes_float32_without_loss() -> None:
    numbers = np.array([1.0, -2.5, 3e38, 1e-40], np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    found = safetensors.parse(text_encoders.safetensors({"w": upper}), "file")["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32) >> 16, upper)
    np.testing.assert_array_equal(found.view(np.uint32) & 0xFFFF, 0)


def test_a_file_that_ends_too_early_or_too_late_is_refused() -> None:
    content = text_encoders.safetensors(ARRAYS)
    for size in range(len(content)):
        assert refusal(content[:size])
    assert refusal(content + b"\0") == "its tensors overlap, have gaps or do not fill the file"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (struct.pack("<Q", 2**63) + b"{}", "ends within its header, or has none"),
        (file_of(b"[]"), "its header is no mapping"),
        (file_of(b"{"), "its header is no JSON (JSONDecodeError)"),
        (file_of(b"[" * 100_000), "its header is no JSON (RecursionError)"),
        (file_of(b"\xff{}"), "its header is no JSON (UnicodeDecodeError)"),
        (file_of(b'{"a": 1, "a": 1}'), "a name stands twice in its header"),
        (file_of({"a": 1}), "tensor 'a' has other keys than dtype, shape and data_offsets"),
        (file_of({"a": tensor([1], 0, 4) | {"x": 1}}, bytes(4)), "tensor 'a' has other keys than"),
        (file_of({"a": tensor([1], 0, 4, "F4")}, bytes(4)), "tensor 'a' has dtype 'F4', which is"),
        (file_of({"a": tensor([1], 0, 4, [])}, bytes(4)), "tensor 'a' has dtype [], which is not"),
        (file_of({"a": tensor(4, 0, 4)}, bytes(4)), "tensor 'a' has no shape"),
        (file_of({"a": tensor([-1, -1], 0, 4)}, bytes(4)), "tensor 'a' has no shape"),
        (file_of({"a": tensor([True], 0, 4)}, bytes(4)), "tensor 'a' has no shape"),
        (file_of({"a": tensor([1.0], 0, 4)}, bytes(4)), "tensor 'a' has no shape"),
        (file_of({"a": tensor([1] * 9, 0, 4)}, bytes(4)), "tensor 'a' has no shape"),
        (file_of({"a": tensor([1], -4, 0)}, bytes(4)), "tensor 'a' has no offsets"),
        (file_of({"a": tensor([2], 0, 4)}, bytes(4)), "tensor 'a' has not as many bytes as its"),
        (file_of({"a": tensor([1], 4, 0)}, bytes(4)), "tensor 'a' has not as many bytes as its"),
        (file_of({"a": tensor([2], 0, 8)}, bytes(4)), "its tensors overlap, have gaps or do not"),
        (file_of({"a": tensor([1], 4, 8)}, bytes(8)), "its tensors overlap, have gaps or do not"),
        (
            file_of({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, bytes(4)),
            "its tensors overlap, have gaps or do not",
        ),
        (
            file_of({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
            "its tensors overlap, have gaps or do not",
        ),
        (
            file_of({"a": tensor([0, 2**39, 2**39, 2**39], 0, 0)}),
            "tensor 'a' has a shape that cannot be",
        ),
    ],
)
def test_headers_that_do_not_describe_the_file_are_refused(content: bytes, problem: str) -> None:
    assert refusal(content).startswith(problem)
