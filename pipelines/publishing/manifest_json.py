"""Manifests as JSON: whoever reads one knows that it is what was written."""

import functools
import hashlib
import json
from collections.abc import Hashable, Mapping
from typing import Any, Literal, TypeVar

import pydantic

_DIGEST = "digest"
_M = TypeVar("_M")


def encoded(fields: Mapping[str, Any]) -> bytes:
    """The fields, and as the last one `digest`: SHA-256 of all others.

    The digest is that of the fields as JSON with sorted keys, in ASCII, without spaces.
    """
    text = json.dumps({**fields, _DIGEST: _digest(fields)}, indent=1, ensure_ascii=False)
    return f"{text}\n".encode()


def parsed(content: bytes, kind: type[_M]) -> _M | None:
    """What `encoded` wrote of a dataclass; None where it is damaged or is something else.

    Fields that a later version added are passed over. Triad before 0.2 wrote no digest: then there
    must be no field that is not known.
    """
    try:
        fields = json.loads(content)
        digest = fields.pop(_DIGEST, None)
        if digest not in (None, _digest(fields)):
            return None
        extra: Literal["forbid", "ignore"] = "forbid" if digest is None else "ignore"
        named: Any = kind  # a class is hashable, which mypy does not see
        found: _M = _adapter(named).validate_json(content, strict=True, extra=extra)
        return found
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


@functools.cache
def _adapter(kind: Hashable) -> "pydantic.TypeAdapter[Any]":
    dataclass: Any = kind
    return pydantic.TypeAdapter(dataclass)


def _digest(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
