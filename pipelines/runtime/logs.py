"""What a terminal is told: no secrets, no control characters, of libraries the errors alone."""

import logging
import re
import sys
from typing import TextIO

from triad_ml.pipelines.runtime import failures

OWN = ("triad_ml",)

SECRET_NAME = re.compile(r"secret|token(?!s\b|iz)|passw(?:or)?d|api[_-]?key", re.IGNORECASE)
"""Finds the names of options and settings whose values are nobody's business."""

_NAME = rf"""[\w.-]*(?:{SECRET_NAME.pattern})[\w.-]*"""
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,;}})\]]+)"""
_SECRET_VALUE = re.compile(
    rf"""({_NAME}["']?\s*=\s*|["']{_NAME}["']\s*:\s*|(?<![\w./-]){_NAME}:\s+){_VALUE}""",
    re.IGNORECASE,
)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, changes the order of what stands there, or cannot be written."""


def printable(text: str) -> str:
    r"""The text with control characters but tab and line end as `\x1b` or `\u202e`.

    Names in files of others may hold what a terminal takes for commands.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def masked(text: str) -> str:
    """The text with `***` for each value that a secret-looking name introduces."""
    return _SECRET_VALUE.sub(r"\1***", text)


class MaskingFormatter(logging.Formatter):
    """Masks the whole entry, and makes it printable: message, arguments and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(masked(super().format(record)))


class _NotExplainedLater(logging.Filter):
    """Beam logs the traceback of each failure; those that a line explains need none."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or failures.explain(error) is None


class _NotTheLibraries(logging.Filter):
    """Lets libraries speak from a level on, whatever level they give their own loggers.

    Their warnings, those of Python's `warnings` too, are for who writes the code that calls them.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._level or record.name.partition(".")[0] in OWN


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is by then: a line that moves there takes it over."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr


def configure(verbose: bool = False) -> None:
    """Sends all logging of this process to stderr.

    Args:
        verbose: Ours from DEBUG and the libraries' from INFO.
    """
    handler = _StderrHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_NotExplainedLater())
    others = logging.INFO if verbose else logging.ERROR
    handler.addFilter(_NotTheLibraries(others))
    logging.basicConfig(level=others, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in OWN:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
