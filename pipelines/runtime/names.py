"""What folders and files of published things are called, and which names are refused."""

import datetime
import re
from typing import Literal

from triad_ml.transforms.errors import OptionsError

POINTER = "CURRENT"
"""Name of the file that says which run, or which model, of those beside it counts."""

RUN_ID = re.compile(r"[0-9a-f]{24}")

MessageFormat = Literal["json", "example", "avro"]
"""Formats of a stream's messages."""


def check_date(date: str, flag: str = "--date") -> None:
    """Refuses whatever is no ISO date in its long form: it becomes the name of a folder.

    Raises:
        OptionsError: Naming the flag and the value.
    """
    try:
        valid = datetime.date.fromisoformat(date).isoformat() == date  # it reads 20261124 too
    except ValueError:
        valid = False
    if not valid:
        raise OptionsError(f"{flag}: must be a date as YYYY-MM-DD, got {date!r}")
