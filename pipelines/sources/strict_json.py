"""JSON without what its grammar leaves open: no NaN, no second key of one name, no abyss."""

import json
import re
from typing import Any, NoReturn

from triad_ml.pipelines.sources.fields import MOST_VALUES

DEEPEST = 64
"""Levels of lists and objects; how many Python itself can take depends on where it is called."""


_MARK = re.compile(r'[,\[{]|"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
"""What begins a value, or a whole string; it never goes back, however the text ends."""


class StrictJsonError(ValueError):
    """Text that is not strict JSON; the message holds nothing of it."""


class TooManyValuesError(StrictJsonError):
    """Text of more than `MOST_VALUES` values."""


def parse(text: str) -> Any:
    """Parses one JSON value.

    Raises:
        StrictJsonError: Where the text is no JSON, holds NaN, an infinity or a number beyond
            float64, names a key twice in one object, is nested deeper than `DEEPEST`, or, before
            any of it is made a Python value, has more than `MOST_VALUES` values.
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
