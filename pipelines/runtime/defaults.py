"""Defaults that the settings of several use cases share."""

REJECTED_LIMIT = 0.05
"""Largest share of rejected records with which a run passes."""

UNIT_RECORDS = 4096
"""Number of records in a unit of work."""
