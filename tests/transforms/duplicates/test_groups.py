"""Groups of near-duplicates: one split for each, whatever the order of the records."""

import numpy as np
import pytest

from triad_ml.transforms.duplicates import groups
from triad_ml.transforms.spec import split as spec_split
from triad_ml.transforms.spec.split import ALONE, KeptTogether, Split

SETTINGS = Split(train=0.4, eval=0.3, test=0.3, keep_together="near_duplicates")
IDS = tuple(f"r{index}" for index in range(30))


def kept(
    *pairs: tuple[int, int],
    named: dict[int, str] | None = None,
    of: dict[int, str] | None = None,
    order: np.ndarray | None = None,
) -> KeptTogether:
    """Keeps the records `IDS` together, in another order if one is given."""
    order = np.arange(len(IDS)) if order is None else order
    place = np.argsort(order)
    ids = [IDS[index] for index in order]
    keys = [spec_split.key(IDS[index], (of or {}).get(index), SETTINGS) for index in order]
    splits = [(named or {}).get(index) for index in order]
    first, second = place[np.array(pairs, np.int64).reshape(-1, 2)].T
    return groups.kept_together(ids, keys, splits, [(first, second)], SETTINGS)


def split_of(index: int, together: KeptTogether, group: str | None = None) -> str:
    return spec_split.split_of(IDS[index], group, None, SETTINGS, together)


def test_records_without_near_duplicates_stay_where_their_keys_put_them():
    assert kept() == ALONE


def test_a_group_has_the_split_that_its_smallest_key_draws():
    together = kept((5, 3), (5, 21), (8, 9))
    drawn = [spec_split.drawn(one, SETTINGS) for one in IDS]
    assert len({drawn[3], drawn[5], drawn[21]}) > 1
    assert {split_of(index, together) for index in (3, 5, 21)} == {drawn[21]}
    assert [split_of(index, together) for index in (8, 9)] == [drawn[8]] * 2
    others = sorted(set(range(30)) - {3, 5, 21, 8, 9})
    assert [split_of(index, together) for index in others] == [drawn[index] for index in others]
    numbers = {
        spec_split.group_number(IDS[index], None, SETTINGS, together) for index in (3, 5, 21)
    }
    assert numbers == {spec_split.group_number("r21", None, SETTINGS)}


@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_records_follow_the_one_that_names_its_split(split):
    together = kept((0, 1), (1, 2), named={1: split})
    assert [split_of(index, together) for index in (0, 2)] == [split] * 2


def test_of_several_named_splits_that_of_the_smallest_id_is_chosen():
    together = kept((0, 1), (1, 2), named={1: "test", 2: "eval"})
    assert split_of(0, together) == "test"
    assert set(together.splits) <= {"r0"}  # The others name theirs.


def test_whole_groups_of_the_records_are_joined():
    together = kept((0, 1), of={0: "a", 1: "b", 2: "b", 3: "c"})
    assert together.leaders == {"a": "a", "b": "a"}
    assert split_of(2, together, "b") == split_of(0, together, "a")
    assert split_of(3, together, "c") == spec_split.drawn("c", SETTINGS)


def test_a_near_duplicate_in_the_same_group_follows_a_named_split_too():
    together = kept((0, 1), of={0: "a", 1: "a"}, named={0: "test"})
    assert together.leaders == {}
    assert split_of(1, together, "a") == "test"


def test_the_order_of_the_records_does_not_matter():
    pairs = ((4, 7), (7, 11), (12, 13), (20, 25), (25, 29))
    named = {11: "eval", 13: "test"}
    once = kept(*pairs, named=named)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(IDS))
        assert kept(*pairs, named=named, order=order) == once


def test_a_spec_without_the_key_has_its_earlier_form():
    assert Split().model_dump() == {"by": "group", "train": 0.8, "eval": 0.1, "test": 0.1}
    assert SETTINGS.model_dump()["keep_together"] == "near_duplicates"
