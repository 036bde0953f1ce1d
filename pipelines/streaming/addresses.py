"""Addresses of stream endpoints: parsing of `kafka://` and `pubsub://`."""

import re
import urllib.parse

MEMORY = "_triad"
"""The folder in a sink's in which a stream's memory lies."""

KAFKA = "kafka://"


# Of what the service allows: no name may begin with "goog".
_PUBSUB_PLACE = re.compile(
    r"pubsub://([a-z][-a-z0-9:.]{4,61}[a-z0-9])/((?!goog)[A-Za-z][-\w.~+%]{2,254})", re.ASCII
)


def pubsub_place(uri: str) -> tuple[str, str] | None:
    """Project, and subscription or topic, of `pubsub://PROJECT/NAME`; None where it is not so."""
    found = _PUBSUB_PLACE.fullmatch(uri)
    return None if found is None else (found[1], found[2])


def kafka_place(uri: str) -> tuple[str, str] | None:
    """`HOST:PORT` and topic of `kafka://HOST:PORT/TOPIC`; None where it is not so."""
    if not uri.startswith(KAFKA):
        return None
    servers, slash, topic = uri.removeprefix(KAFKA).partition("/")
    try:
        port = urllib.parse.urlsplit(f"//{servers}").port
    except ValueError:
        return None
    if not (slash and topic and port and servers.rpartition(":")[0]) or "@" in servers:
        return None
    return (servers, topic) if all(c.isalnum() or c in "._-" for c in topic) else None
