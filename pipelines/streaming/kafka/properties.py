"""Client properties from a file, for TLS and SASL, so that secrets are in no option or message."""

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
_NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)+")  # names of callbacks have no dots


def read(path: str | None) -> dict[str, str]:
    """Reads lines of `name=value`; ignores empty lines and comments, which begin with `#`.

    Args:
        path: Path of the file; None for no properties.

    Returns:
        Values of the properties by name.

    Raises:
        OptionsError: If the file is missing, a line is no property, or a property is one that only
            Triad sets because it decides whether records are lost. The message has no value.
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
    values: dict[str, str] = {}
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
        if name in values:
            raise OptionsError(f"{place}: {name} is set twice; remove one")
        values[name] = value
    return values


def without_values(text: str, properties: Mapping[str, str]) -> str:
    """Returns a message of the client as one line, with the values of properties removed."""
    for value in sorted(filter(None, properties.values()), key=len, reverse=True):
        text = text.replace(value, "...")
    return " ".join(text.split())
