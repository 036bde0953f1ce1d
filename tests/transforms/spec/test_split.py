"""Splits: they depend on the group alone, and have the shares of the spec."""

import collections
import random

import pytest

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.split import Split, split_of

DEFAULTS = Split()


GOLDEN = {
    "a": "train",
    "b": "test",
    "c": "test",
    "Zug": "train",
    "été": "train",
    "群": "train",
    "0": "train",
    "4": "train",
    "r": "eval",
}


def test_fixed_groups_stay_where_they_have_always_been():
    assert {group: split_of("id", group, None, DEFAULTS) for group in GOLDEN} == GOLDEN


def test_a_split_begins_exactly_where_the_digest_of_its_group_lies():
    place = 0.4958134686553322  # of "4": the first 8 bytes of SHA-256 of "triad split\0" and "4"
    just_over = Split(train=place + 1e-9, eval=0.5 - place, test=0.5)
    just_under = Split(train=place - 1e-9, eval=0.5 - place, test=0.5)
    assert split_of("id", "4", None, just_over) == "train"
    assert split_of("id", "4", None, just_under) == "eval"


def test_the_records_own_split_wins():
    only_train = Split(train=1, eval=0, test=0)
    assert split_of("r", "g", "eval", only_train) == "eval"


def test_an_unknown_split_of_its_own_is_refused():
    with pytest.raises(OptionsError, match="record 'r': split 'dev' is none of train, eval, test"):
        split_of("r", "g", "dev", DEFAULTS)


def test_records_of_one_group_share_a_split_whatever_their_ids():
    assert len({split_of(f"r{i}", "g", None, DEFAULTS) for i in range(50)}) == 1


def test_a_record_without_group_is_a_group_of_its_own():
    ids = [f"r{i}" for i in range(200)]
    alone = [split_of(one, None, None, DEFAULTS) for one in ids]
    assert alone == [split_of(one, "", "", DEFAULTS) for one in ids]
    assert alone == [split_of("other", one, None, DEFAULTS) for one in ids]
    assert set(alone) == {"train", "eval", "test"}


def test_by_id_ignores_the_group():
    by_id = Split(by="id")
    ids = [f"r{i}" for i in range(200)]
    assert [split_of(one, "g", None, by_id) for one in ids] == [
        split_of(one, None, None, DEFAULTS) for one in ids
    ]


def test_ten_thousand_groups_hold_the_shares():
    counts = collections.Counter(
        split_of("r", f"group {i}", None, Split(train=0.7, eval=0.2, test=0.1))
        for i in range(10_000)
    )
    assert counts["train"] == pytest.approx(7_000, abs=150)
    assert counts["eval"] == pytest.approx(2_000, abs=150)
    assert counts["test"] == pytest.approx(1_000, abs=150)


def test_a_split_without_a_share_is_never_drawn():
    settings = Split(train=0.9999995, eval=0, test=0)  # the spec allows 1e-6
    assert {split_of("r", str(i), None, settings) for i in range(1_000)} == {"train"}


def test_the_order_and_number_of_the_records_change_nothing():
    ids = [f"r{i}" for i in range(300)]
    first = {one: split_of(one, None, None, DEFAULTS) for one in ids}
    random.Random(0).shuffle(ids)
    assert {one: split_of(one, None, None, DEFAULTS) for one in ids[:100]} == {
        one: first[one] for one in ids[:100]
    }


def test_a_larger_train_share_takes_records_away_from_no_train_split():
    small, large = Split(train=0.5, eval=0.3, test=0.2), Split(train=0.8, eval=0.1, test=0.1)
    for i in range(500):
        if split_of("r", str(i), None, small) == "train":
            assert split_of("r", str(i), None, large) == "train"
