"""ISO 8601 texts of dates, times and durations of any size, down to nanoseconds."""

import datetime
from typing import Literal

import numpy as np

Unit = Literal["s", "ms", "us", "ns"]

PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_NANOSECONDS = 10**9


def date(days: int) -> str:
    """Formats a date, given in days since 1970; a year after 9999 has more than four digits."""
    return str(np.datetime64(days, "D"))


def timestamp(nanoseconds: int, utc: bool) -> str:
    """Formats a time as `datetime.isoformat` does, with nine decimals if microseconds are too few.

    Args:
        nanoseconds: Nanoseconds since 1970, without bounds.
        utc: True if the time is UTC; False if its zone is unknown.
    """
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{np.datetime64(seconds, 's')}{_fraction(rest)}{'+00:00' if utc else ''}"


def time_of_day(nanoseconds: int) -> str:
    """Formats a time of day as `time.isoformat` does, with nine decimals if needed."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{_fraction(rest)}"


def duration(nanoseconds: int) -> str:
    """Formats a duration in seconds, such as `PT90S` and `-PT0.5S`."""
    seconds, rest = divmod(abs(nanoseconds), _NANOSECONDS)
    digits = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if nanoseconds < 0 else ''}PT{seconds}{digits}S"


def duration_of(value: datetime.timedelta) -> str:
    """Formats a `timedelta` as `duration` does."""
    return duration(value // datetime.timedelta(microseconds=1) * 1000)


def _fraction(nanoseconds: int) -> str:
    if nanoseconds % 1000:
        return f".{nanoseconds:09d}"
    return f".{nanoseconds // 1000:06d}" if nanoseconds else ""
