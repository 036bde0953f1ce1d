"""Section `split` of a spec, and the split that a record belongs to."""

import hashlib
from typing import Any, Literal, Self

import pydantic

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records import scalars
from triad_ml.transforms.records.values import SPLITS, UNKNOWN_SPLIT
from triad_ml.transforms.spec.section import Section


class Split(Section):
    """Shares of the splits. A record's own `split` wins over them.

    Attributes:
        by: `group` (a record without a group is one of its own) or `id`.
    """

    by: Literal["group", "id"] = "group"
    train: float = pydantic.Field(default=0.8, gt=0, le=1)
    eval: float = pydantic.Field(default=0.1, ge=0, lt=1)
    test: float = pydantic.Field(default=0.1, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.eval + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, eval and test must add up to 1, got {total:g}")
        return self


NAMES = {
    "train": ("train", "training"),
    "eval": ("eval", "evaluation", "val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing"),
}
"""The words for each split, in any case."""


UNKNOWN = f"split is none of {', '.join(SPLITS)}"
"""What is wrong with a record whose own `split` names none."""


_SPLIT_OF_NAME = {name: split for split, names in NAMES.items() for name in names}


_GROUP_SALT = b"triad group\0"
_SALT = b"triad split\0"  # other digests of the same id must not decide the split as well


def named(value: Any) -> str | None:
    """The split that a record's own `split` names; None where it names none.

    Returns:
        One of `SPLITS`, or `UNKNOWN_SPLIT` for anything that is not in `NAMES`.
    """
    if value is None or value == "" or scalars.is_missing(value):
        return None
    if not isinstance(value, str):
        return UNKNOWN_SPLIT
    return _SPLIT_OF_NAME.get(value.strip().lower(), UNKNOWN_SPLIT)


def split_of(record_id: str, group: str | None, split: str | None, settings: Split) -> str:
    """Names the split of a record.

    It depends on nothing but the arguments: not on the order of the records, their number, the
    machine or the run. A record that is added or removed moves no other.

    Args:
        record_id: The record's id.
        group: Records of one group share a split. None or "" makes the record one of its own.
        split: The record's own split, which wins; None or "" where it has none.
        settings: The spec's shares, and whether groups count.

    Returns:
        One of `SPLITS`. A split whose share is 0 is never drawn.

    Raises:
        OptionsError: Where the record's own split is none of `SPLITS`; preprocessing rejects such
            a record before.
    """
    if split:
        if split not in SPLITS:
            raise OptionsError(
                f"record {record_id!r}: split {split!r} is none of {', '.join(SPLITS)}; "
                "correct the records"
            )
        return split
    key = group if group and settings.by == "group" else record_id
    place = _fraction(key)
    shares = [(name, getattr(settings, name)) for name in SPLITS if getattr(settings, name) > 0]
    reached = 0.0
    for name, share in shares:
        reached += share
        if place < reached:
            return name
    return shares[-1][0]  # the shares add up to a hair less than 1


def group_number(record_id: str, group: str | None, settings: Split) -> int:
    """Numbers the group of a record: 63 bits of a digest of what keeps records in one split."""
    key = group if group and settings.by == "group" else record_id
    digest = hashlib.sha256(_GROUP_SALT + key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def is_in(name: str, record_id: str, group: str | None, split: str | None, settings: Split) -> bool:
    """Whether a record is in the split `name`; one whose own split is unknown is in none."""
    return split != UNKNOWN_SPLIT and split_of(record_id, group, split, settings) == name


def _fraction(key: str) -> float:
    """A place in [0, 1] that is uniform over keys."""
    digest = hashlib.sha256(_SALT + key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
