"""Logging to stderr: masked secrets, printable characters, only errors of libraries."""

import logging
import re
import sys
from typing import TextIO

from triad_ml.pipelines.runtime import failures

OWN = ("triad_ml",)
"""Top-level packages whose entries are logged from INFO on."""

SECRET_NAME = re.compile(r"secret|token(?!s\b|iz)|passw(?:or)?d|api[_-]?key", re.IGNORECASE)
"""Pattern of the names of options and settings whose values are secret."""

_NAME = rf"""[\w.-]*(?:{SECRET_NAME.pattern})[\w.-]*"""
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,;}})\]]+)"""
_SECRET_VALUE = re.compile(
    rf"""({_NAME}["']?\s*=\s*|["']{_NAME}["']\s*:\s*|(?<![\w./-]){_NAME}:\s+){_VALUE}""",
    re.IGNORECASE,
)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move the cursor, change the direction of text, or cannot be encoded."""


def printable(text: str) -> str:
    r"""Escapes control characters other than tab and line end, as `\x1b` or `\u202e`.

    Names in input files may hold control sequences of terminals.
    """
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def masked(text: str) -> str:
    """Replaces each value after a secret-looking name by `***`."""
    return _SECRET_VALUE.sub(r"\1***", text)


class MaskingFormatter(logging.Formatter):
    """Formatter that masks and escapes the whole entry: message, arguments and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(masked(super().format(record)))


class _NotExplainedLater(logging.Filter):
    """Filter that drops entries whose error the command line explains in one line at the end.

    Beam logs a traceback for each such failure.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or failures.explain(error) is None


class _NotTheLibraries(logging.Filter):
    """Filter that drops libraries' entries below a level, whatever level their loggers have.

    Warnings of libraries, and of Python's `warnings`, are meant for developers.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._level or record.name.partition(".")[0] in OWN


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Handler that writes to the current `sys.stderr`, which a progress line may have replaced."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Current standard error."""
        return sys.stderr


def configure(verbose: bool = False, quiet: bool = False) -> None:
    """Sends all logging of this process to stderr.

    Args:
        verbose: True to log Triad from DEBUG and libraries from INFO; else from INFO and ERROR.
        quiet: True to log Triad from WARNING on.
    """
    handler = _StderrHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_NotExplainedLater())
    others = logging.INFO if verbose else logging.ERROR
    handler.addFilter(_NotTheLibraries(others))
    logging.basicConfig(level=others, handlers=[handler], force=True)
    logging.captureWarnings(True)
    own = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    for name in OWN:
        logging.getLogger(name).setLevel(own)
