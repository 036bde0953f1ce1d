"""Names in published folders: the pointer file, run ids and dates."""

import datetime
import re
from typing import Literal

from triad_ml.transforms.errors import OptionsError

POINTER = "CURRENT"
"""Name of the file that holds the name of the run, or the model, that counts."""

RUN_ID = re.compile(r"[0-9a-f]{24}")
"""Pattern of a run id."""

MessageFormat = Literal["json", "example", "avro"]
"""Formats of a stream's messages."""


def check_date(date: str, flag: str = "--date") -> None:
    """Refuses a date that is not written as YYYY-MM-DD, since it becomes the name of a folder.

    Raises:
        OptionsError: The date is not valid; the error names the flag and the value.
    """
    try:
        # `fromisoformat` accepts 20261124 too.
        valid = datetime.date.fromisoformat(date).isoformat() == date
    except ValueError:
        valid = False
    if not valid:
        raise OptionsError(f"{flag}: must be a date as YYYY-MM-DD, got {date!r}")
