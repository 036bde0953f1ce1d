"""Sample of records whose media are measured: the same records in each run and on each machine."""

import hashlib

SHARE = 1 / 16
"""Smallest share of the records in a sample."""

FEWEST = 500
"""Number of records up to which a sample holds all, if their number is known."""

_SALT = b"triad statistics\n"


def share(records: int | None) -> float:
    """Returns the share of the records that a sample holds, in (0, 1].

    Measures of media are expensive: they cost a tenth to a third of the CPU time of scoring a
    record. So a sample holds about `FEWEST` records, or `SHARE` of them if that is more.

    Args:
        records: Estimated number of all records; None if it is not known.
    """
    return SHARE if records is None else min(1.0, max(SHARE, FEWEST / max(records, 1)))


def number(record_id: str) -> int:
    """Returns 64 bits of a digest of an id, which decide whether a sample holds the record.

    They do not depend on the digest that decides the record's split.
    """
    digest = hashlib.sha256(_SALT + record_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def holds(number: int, share: float) -> bool:
    """Returns True if the sample of this share holds the record with this `number`."""
    return number < share * 2**64
