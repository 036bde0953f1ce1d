"""Failures of commands: errors that a user can act on, as one line and an exit code.

Any other error is a bug and keeps its traceback.
"""

import dataclasses
import errno
import os
import re
from collections.abc import Iterator

from triad_ml.pipelines.runtime import remedies
from triad_ml.transforms.errors import OptionsError, StorageError, TriadError

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

_SUFFIX = re.compile(r"(?: \[while running '[^\n]*?'\])+$")
_TENSORFLOW_CODES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EROFS,
    errno.ENOENT,
)
_TENSORFLOW_PATH = re.compile(r"(?:\}\} ?)?(?P<path>[^\s;{}]+); ")


@dataclasses.dataclass(frozen=True)
class Failure:
    """Lines that the command line prints on stderr, and its exit code."""

    lines: tuple[str, ...]
    exit_code: int


def explain(error: BaseException) -> Failure | None:
    """Finds an error that a user can act on, among an error and its causes.

    Beam raises the error of a step with a suffix, or wraps it in a RuntimeError; the chain of
    causes holds the original.

    Returns:
        The failure; None if the error is a bug, whose traceback is needed.
    """
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, TriadError):
            lines = tuple(_SUFFIX.sub("", line) for line in str(cause).splitlines() if line.strip())
            return Failure(lines or (type(cause).__name__,), cause.exit_code)
    for cause in chain:
        line = _system_line(cause) or _tensorflow_line(cause)
        if line:
            return Failure((line,), StorageError.exit_code)
    return None


def usage(message: str, command: str) -> Failure:
    """Returns the failure of a command line that cannot be parsed."""
    reason = _one_line(message).rstrip(".").replace("Value error, ", "")  # pydantic's prefix
    lines = (f"{reason}; see {command} --help",) if reason else ()  # none if help was printed
    return Failure(lines, OptionsError.exit_code)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and its causes.

    The context counts only for errors of Beam, which raises anew while it handles a step's error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        of_beam = error.args and _SUFFIX.search(str(error.args[0]))
        error = error.__cause__ or (error.__context__ if of_beam else None)


def _system_line(error: BaseException) -> str | None:
    """Returns the line of an OSError; None for one without errno, as Pillow raises for images.

    Errors of the network have no errno either, but have a line.
    """
    if not isinstance(error, OSError):
        return None
    if error.errno is None:
        if not (hasattr(error, "exception_details") or isinstance(error, ConnectionError)):
            return None
        return f"{_one_line(str(error)) or type(error).__name__}; check the path and the connection"
    reason = error.strerror or os.strerror(error.errno)
    return _line(error.filename, reason, error.errno)


def _tensorflow_line(error: BaseException) -> str | None:
    """Returns the line of a TensorFlow exception whose text holds a system error; else None."""
    if not type(error).__module__.startswith("tensorflow.python.framework.errors"):
        return None
    for code in _TENSORFLOW_CODES:
        if os.strerror(code) in str(error):
            path = _TENSORFLOW_PATH.search(str(error))
            return _line(path["path"] if path else None, os.strerror(code), code)
    return None


def _line(path: object, reason: str, code: int) -> str:
    name = os.fsdecode(path) if isinstance(path, str | bytes) else "a file"
    return f"{name}: {_one_line(reason).lower()}; {remedies.remedy(code)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
