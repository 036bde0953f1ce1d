"""Client properties from a file, for TLS and SASL: no secret is an option, or told in an error."""

import re
from collections.abc import Mapping

from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import OptionsError

FLAG = "--kafka-config"

_OURS = frozenset(
    {
        "auto.commit.enable",
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "isolation.level",
        "metadata.broker.list",
        "request.required.acks",
        "transactional.id",
    }
)
_NO_USE = frozenset({"default.topic.config", "plugin.library.paths"})
_NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)+")  # callbacks and the like have no dots


def read(path: str | None) -> dict[str, str]:
    """Reads lines of `name=value`; empty ones and those that begin with `#` say nothing.

    Args:
        path: Of the file; None gives no properties.

    Raises:
        OptionsError: Where the file is missing, a line is no property, or a property is one that
            decides whether records are lost, and so is never left to a file. No value is told.
    """
    if path is None:
        return {}
    content = atomic.read_if_there(path)
    if content is None:
        raise OptionsError(f"{FLAG}: {path}: no such file; name one that is there")
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise OptionsError(f"{FLAG}: {path}: is not UTF-8 text; write name=value lines") from None
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        place = f"{FLAG}: {path}: line {number}"
        if not equals or not _NAME.fullmatch(name):
            raise OptionsError(f"{place}: is no name=value of a client property; mend it")
        if name in _OURS:
            raise OptionsError(f"{place}: {name} is set by Triad itself; leave it out")
        if name in _NO_USE:
            raise OptionsError(f"{place}: {name} is not handed on; leave it out")
        if name in found:
            raise OptionsError(f"{place}: {name} stands there twice; remove one")
        found[name] = value
    return found


def without_values(text: str, properties: Mapping[str, str]) -> str:
    """A text of the client's in one line, in which no value of a property is left."""
    for value in sorted(filter(None, properties.values()), key=len, reverse=True):
        text = text.replace(value, "...")
    return " ".join(text.split())
