"""Strict JSON parser: rejects NaN, infinities, duplicate keys, deep nesting and too many values."""

import json
import re
from typing import Any, NoReturn

from triad_ml.pipelines.sources.fields import MOST_VALUES

DEEPEST = 64
"""Largest depth of nested lists and objects; that of Python's parser depends on the call stack."""


_MARK = re.compile(r'[,\[{]|"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
"""Matches a comma or an opening bracket, or a whole string.

A comma or bracket stands for one value. The pattern never backtracks, however the text ends.
"""


class StrictJsonError(ValueError):
    """Error for text that is not strict JSON; its message holds none of the text."""


class TooManyValuesError(StrictJsonError):
    """Error for text with more than `MOST_VALUES` values."""


def parse(text: str) -> Any:
    """Parses one JSON value.

    Raises:
        StrictJsonError: The text is no JSON, holds NaN, an infinity or a number beyond float64, has
            a key twice in one object, or is nested deeper than `DEEPEST`.
        TooManyValuesError: The text has more than `MOST_VALUES` values; it is raised before any
            Python value is made.
    """
    if len(text) > MOST_VALUES:
        _check_values(text)
    try:
        value = _DECODER.decode(text)
    except StrictJsonError:
        raise
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise StrictJsonError(
                f"more than one JSON value stands here, the second from character {error.pos} on"
            ) from error
        message = error.msg.removesuffix(" at")
        raise StrictJsonError(f"not JSON: {message} at character {error.pos}") from error
    except ValueError as error:
        raise StrictJsonError("a whole number has too many digits") from error
    except RecursionError as error:
        raise _too_deep() from error
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(value, DEEPEST)
    return value


def _check_values(text: str) -> None:
    if sum(text.count(mark) for mark in ",[{") < MOST_VALUES:
        return
    marks = strings = 0
    for match in _MARK.finditer(text):
        if text[match.start()] == '"':
            strings += 1
        else:
            marks += 1
        if marks >= MOST_VALUES or strings > 3 * MOST_VALUES:
            raise TooManyValuesError(f"it has more than {MOST_VALUES} values")


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise _too_deep()
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, left - 1)


def _too_deep() -> StrictJsonError:
    return StrictJsonError(f"nested deeper than {DEEPEST} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise StrictJsonError("a key stands twice in one object")
    return values


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise StrictJsonError("a number is beyond float64")
    return value


def _no_constant(name: str) -> NoReturn:
    raise StrictJsonError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
)
