"""What went wrong, in one line and an exit code; a bug is not explained away."""

import dataclasses
import errno
import os
import re
from collections.abc import Iterator

from triad_ml.pipelines.runtime import remedies
from triad_ml.transforms.errors import OptionsError, StorageError, TriadError

INTERRUPTED = 130

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
    """What the command line says and how it exits."""

    lines: tuple[str, ...]
    exit_code: int


def explain(error: BaseException) -> Failure | None:
    """Finds what a user can act on in an error or in what caused it.

    Beam raises what a step raised with a suffix, or wraps it in a RuntimeError; the chain of causes
    holds the original.

    Returns:
        None where the error is a bug: a traceback says more than a line.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, TriadError):
            lines = tuple(_SUFFIX.sub("", line) for line in str(one).splitlines() if line.strip())
            return Failure(lines or (type(one).__name__,), one.exit_code)
    for one in chain:
        line = _system_line(one) or _tensorflow_line(one)
        if line:
            return Failure((line,), StorageError.exit_code)
    return None


def usage(message: str, command: str) -> Failure:
    """The failure of a command line that cannot be parsed."""
    said = _one_line(message).rstrip(".").replace("Value error, ", "")  # pydantic's own words
    lines = (f"{said}; see {command} --help",) if said else ()  # none where the help was printed
    return Failure(lines, OptionsError.exit_code)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes; Beam raises anew while it handles the step's error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        beams = error.args and _SUFFIX.search(str(error.args[0]))
        error = error.__cause__ or (error.__context__ if beams else None)


def _system_line(error: BaseException) -> str | None:
    """Pillow raises OSErrors without a number for broken pictures: those are no system errors."""
    if not isinstance(error, OSError):
        return None
    if error.errno is None:
        if not (hasattr(error, "exception_details") or isinstance(error, ConnectionError)):
            return None
        return f"{_one_line(str(error)) or type(error).__name__}; check the path and the connection"
    reason = error.strerror or os.strerror(error.errno)
    return _line(error.filename, reason, error.errno)


def _tensorflow_line(error: BaseException) -> str | None:
    """TensorFlow has its own exceptions, with the system's reason somewhere in the text."""
    if not type(error).__module__.startswith("tensorflow.python.framework.errors"):
        return None
    for code in _TENSORFLOW_CODES:
        if os.strerror(code) in str(error):
            path = _TENSORFLOW_PATH.search(str(error))
            return _line(path["path"] if path else None, os.strerror(code), code)
    return None


def _line(path: object, reason: str, code: int) -> str:
    where = os.fsdecode(path) if isinstance(path, str | bytes) else "a file"
    return f"{where}: {_one_line(reason).lower()}; {remedies.remedy(code)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
