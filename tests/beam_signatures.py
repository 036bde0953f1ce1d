"""Memo of the signatures that Beam asks for: a sixth of the CPU time of a small preprocessing.

Beam looks at the signature of each method of each DoFn several times while it builds and runs a
pipeline. The tests run thousands of small pipelines in few processes.
"""

import inspect
import types
import weakref
from typing import Any

from apache_beam.transforms import core

_plain = core.get_signature
_known: "weakref.WeakKeyDictionary[Any, inspect.Signature]" = weakref.WeakKeyDictionary()


def remember() -> None:
    """Makes Beam look at the signature of each function of a class only once in this process."""
    core.get_signature = _signature


def _signature(function: Any) -> inspect.Signature:
    if type(function) is not types.MethodType:
        return _plain(function)
    found = _known.get(function.__func__)
    if found is None:
        found = _known[function.__func__] = _plain(function)
    return found
