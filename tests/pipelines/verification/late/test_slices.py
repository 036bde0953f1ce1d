"""Slices of records by the values of a column, and by bins."""

import pytest

from triad_ml.pipelines.verification.config import Slice
from triad_ml.pipelines.verification.late import slices
from triad_ml.transforms.errors import OptionsError


def rows(text: str, values: list) -> dict[str, list[int]]:
    found = slices.rows(Slice.parse(text), values)
    return {name: [int(row) for row in mask.nonzero()[0]] for name, mask in found.items()}


def test_each_value_of_a_column_has_a_slice():
    values = ["a", None, "b", "a", True, 3, ["image", "text"], []]
    assert rows("shop", values) == {
        "a": [0, 3],
        "(none)": [1, 7],
        "b": [2],
        "True": [4],
        "3": [5],
        "image+text": [6],
    }


def test_rare_values_of_many_share_a_slice():
    values = [*range(slices.MOST), *range(slices.MOST), 98, 99]
    found = rows("key", values)
    assert len(found) == slices.MOST + 1
    assert found["(other values: 2)"] == [2 * slices.MOST, 2 * slices.MOST + 1]


def test_bins_hold_their_lower_edge():
    values = [9.9, 10, "99.5", 100, None, "much", True, float("nan")]
    assert rows("price:10,100", values) == {
        "< 10": [0],
        "10 to 100": [1, 2],
        ">= 100": [3],
        "(no number)": [4, 5, 6, 7],
    }


def test_a_column_with_a_colon_in_its_name_needs_no_edges():
    assert Slice.parse("ns:shop") == Slice("ns:shop")
    assert Slice.parse("ns:price:1,2") == Slice("ns:price", (1.0, 2.0))


@pytest.mark.parametrize("text", ["", ":1", "price:2,1", "price:1,1", "price:1,inf", "price:nan"])
def test_edges_that_do_not_rise_are_refused(text):
    with pytest.raises(OptionsError, match="--slice: "):
        Slice.parse(text)
