"""Ids of copies of records that preprocessing adds to the training split."""

MARK = "\x1f"
"""Character between a record's id and the change of its copy; no id of a record holds it."""


def copy_id(record_id: str, change: str) -> str:
    """Returns the id of a record's copy."""
    return f"{record_id}{MARK}{change}"


def original_id(record_id: str) -> str:
    """Returns the id of the record of which a record is a copy; its own id if it is none."""
    return record_id.partition(MARK)[0]


def change_of(record_id: str) -> str:
    """Returns the change of a copy; "" for any other record."""
    return record_id.partition(MARK)[2]
