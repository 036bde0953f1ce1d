"""Section `split` of a spec, and the split that a record belongs to."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records import scalars
from triad_ml.transforms.records.values import SPLITS, UNKNOWN_SPLIT
from triad_ml.transforms.spec.section import Section, unless


class Split(Section):
    """Shares of the splits, for records that do not name their split.

    Attributes:
        by: Field that decides the split: `group`, so that records of one group share a split (a
            record without a group is a group of one), or `id`.
        train: Share of the training split.
        eval: Share of the eval split.
        test: Share of the test split.
        keep_together: `near_duplicates` if records with near-duplicate media share a split too;
            see `KeptTogether`. None: they need not.
    """

    by: Literal["group", "id"] = "group"
    train: float = pydantic.Field(default=0.8, gt=0, le=1)
    eval: float = pydantic.Field(default=0.1, ge=0, lt=1)
    test: float = pydantic.Field(default=0.1, ge=0, lt=1)
    keep_together: Literal["near_duplicates"] | None = pydantic.Field(
        default=None, exclude_if=unless(None)
    )

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.eval + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, eval and test must add up to 1, got {total:g}")
        return self


@dataclasses.dataclass(frozen=True)
class KeptTogether:
    """Keys of records that share a split, beyond those that are equal; see `key`.

    Attributes:
        leaders: Smallest key of those that are kept together, by each of them, itself included.
        splits: Split of the records of a key that name none, for keys whose split is not drawn by
            the key itself.
    """

    leaders: Mapping[str, str] = dataclasses.field(default_factory=dict)
    splits: Mapping[str, str] = dataclasses.field(default_factory=dict)


ALONE = KeptTogether()
"""No records are kept together but those with equal keys."""


NAMES = {
    "train": ("train", "training"),
    "eval": ("eval", "evaluation", "val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing"),
}
"""Words for each split, in lower case; upper case counts as lower."""


UNKNOWN = f"split is none of {', '.join(SPLITS)}"
"""Reason that a record with another `split` is in no split."""


_SPLIT_OF_NAME = {name: split for split, names in NAMES.items() for name in names}


_GROUP_SALT = b"triad group\0"
_SALT = b"triad split\0"  # keeps the split independent of other digests of the same id


def named(value: Any) -> str | None:
    """Returns the split that a record's field `split` names.

    Returns:
        One of `SPLITS`; None if the field is empty or missing; `UNKNOWN_SPLIT` for anything that
        is not in `NAMES`.
    """
    if value is None or value == "" or scalars.is_missing(value):
        return None
    if not isinstance(value, str):
        return UNKNOWN_SPLIT
    return _SPLIT_OF_NAME.get(value.strip().lower(), UNKNOWN_SPLIT)


def key(record_id: str, group: str | None, settings: Split) -> str:
    """Returns the key of a record: records with equal keys that name no split share one.

    Args:
        record_id: The record's id.
        group: The record's group; None or "" makes the record a group of one.
        settings: The spec's field that decides the split.
    """
    return group if group and settings.by == "group" else record_id


def split_of(
    record_id: str,
    group: str | None,
    split: str | None,
    settings: Split,
    together: KeptTogether = ALONE,
) -> str:
    """Names the split of a record.

    The split depends on the arguments alone: not on the order or number of the records, the machine
    or the run. Without `together`, adding or removing a record moves no other record to another
    split.

    Args:
        record_id: The record's id.
        group: The record's group; records of one group share a split. None or "" makes the record a
            group of one.
        split: Split that the record names, which overrides the shares; None or "" if it names none.
        settings: The spec's shares, and the field that decides the split.
        together: Keys that are kept together.

    Returns:
        One of `SPLITS`. A split whose share is 0 is never drawn.

    Raises:
        OptionsError: If the record names a split that is none of `SPLITS`; preprocessing rejects
            such a record earlier.
    """
    if split:
        if split not in SPLITS:
            raise OptionsError(
                f"record {record_id!r}: split {split!r} is none of {', '.join(SPLITS)}; "
                "correct the records"
            )
        return split
    own = key(record_id, group, settings)
    return together.splits.get(own) or drawn(own, settings)


def drawn(key: str, settings: Split) -> str:
    """Draws the split of a key by its digest."""
    fraction = _fraction(key)
    shares = [(name, getattr(settings, name)) for name in SPLITS if getattr(settings, name) > 0]
    reached = 0.0
    for name, share in shares:
        reached += share
        if fraction < reached:
            return name
    return shares[-1][0]  # rounding can make the shares add up to slightly less than 1


def group_number(
    record_id: str, group: str | None, settings: Split, together: KeptTogether = ALONE
) -> int:
    """Numbers the group of a record: 63 bits of a digest of what keeps records in one split."""
    own = key(record_id, group, settings)
    leader = together.leaders.get(own, own)
    digest = hashlib.sha256(_GROUP_SALT + leader.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def is_in(
    name: str,
    record_id: str,
    group: str | None,
    split: str | None,
    settings: Split,
    together: KeptTogether = ALONE,
) -> bool:
    """Returns True if a record is in the split `name`; with an unknown split it is in none."""
    if split == UNKNOWN_SPLIT:
        return False
    return split_of(record_id, group, split, settings, together) == name


def _fraction(key: str) -> float:
    """Returns a number in [0, 1], uniformly distributed over keys."""
    digest = hashlib.sha256(_SALT + key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
