"""Files of CTranslate2: read as they were written, and refused where a length lies."""

import io
import struct

import numpy as np
import pytest

from tests.audio_encoders import ctranslate2_bytes
from triad_ml.pipelines.training import ctranslate2_files

VARIABLES = {
    "a/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a/heads": np.array(6, np.int16),
    "b/weight": np.array([0.25, -1.0], np.float32),
    "c/empty": np.zeros((0, 4), np.int32),
}


def read(content: bytes) -> tuple[str, int, dict[str, np.ndarray]]:
    return ctranslate2_files.read(io.BytesIO(content), lambda name: True)


def test_a_file_holds_what_was_written() -> None:
    content = ctranslate2_bytes(VARIABLES, "Spec", 7, aliases={"d": "b/weight"})
    name, revision, found = read(content)
    assert (name, revision) == ("Spec", 7)
    assert list(found) == [*VARIABLES, "d"]
    for key, value in {**VARIABLES, "d": VARIABLES["b/weight"]}.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value)
    only = ctranslate2_files.read(io.BytesIO(content), lambda key: key.startswith("b/"))[2]
    assert list(only) == ["b/weight"]


def test_bfloat16_is_widened_to_the_same_numbers() -> None:
    content = ctranslate2_bytes({"w": np.array([0x3F80, 0xC040 - 2**16], np.int16)})
    changed = content.replace(struct.pack("<BI", 2, 4), struct.pack("<BI", 5, 4))
    assert read(changed)[2]["w"].tolist() == [1.0, -3.0]


@pytest.mark.parametrize("length", range(0, len(ctranslate2_bytes(VARIABLES)), 7))
def test_a_file_that_ends_early_is_refused(length: int) -> None:
    with pytest.raises(ctranslate2_files.BrokenError, match="ends within a variable or a name"):
        read(ctranslate2_bytes(VARIABLES)[:length])


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (struct.pack("<I", 6), struct.pack("<I", 5), "has version 5 of the format, not 6"),
        (struct.pack("<II", 3, 4), struct.pack("<II", 3, 2**31), "states 2147483648 entries"),
        (b"a/heads", b"a/\xff\xff\xff\xff\xff", "has a name that is no UTF-8"),
        (b"b/weight", b"a/weight", "has two variables 'a/weight'"),
        (struct.pack("<B2I", 2, 2, 3), struct.pack("<B2I", 2, 2, 4), "'a/weight' has a size"),
        (struct.pack("<B2I", 2, 2, 3), struct.pack("<B2I", 9, 2, 3), "has 9 sides, over 8"),
        (struct.pack("<BI", 4, 12), struct.pack("<BI", 9, 12), "'a/weight' has a size"),
        (struct.pack("<BI", 4, 12), struct.pack("<BI", 4, 2**32 - 1), "'a/weight' has a size"),
    ],
)
def test_a_field_that_lies_is_refused(old: bytes, new: bytes, fault: str) -> None:
    content = ctranslate2_bytes(VARIABLES)
    assert content.count(old) >= 1
    with pytest.raises(ctranslate2_files.BrokenError, match=fault):
        read(content.replace(old, new, 1))


def test_aliases_name_one_variable_each() -> None:
    for aliases in ({"d": "nothing"}, {"a/heads": "b/weight"}):
        with pytest.raises(ctranslate2_files.BrokenError, match="of no variable, or of two"):
            read(ctranslate2_bytes(VARIABLES, aliases=aliases))


def test_bytes_behind_the_last_variable_are_refused() -> None:
    with pytest.raises(ctranslate2_files.BrokenError, match="has 3 bytes behind its last variable"):
        read(ctranslate2_bytes(VARIABLES) + b"xyz")


def test_a_shape_beyond_the_file_allocates_nothing() -> None:
    large = struct.pack("<B2I", 2, 2**31, 2**31)
    content = ctranslate2_bytes(VARIABLES).replace(struct.pack("<B2I", 2, 2, 3), large, 1)
    with pytest.raises(ctranslate2_files.BrokenError, match="'a/weight' has a size"):
        read(content)
