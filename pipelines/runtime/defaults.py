"""Default limits that the settings of several use cases share."""

REJECTED_LIMIT = 0.05
"""Largest share of rejected records that passes."""

UNIT_RECORDS = 4096
"""Records in a unit of work."""
