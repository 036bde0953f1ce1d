"""Reachability of a cluster's services: a TCP connection to each address."""

import socket
from collections.abc import Iterator, Mapping

from triad_ml.pipelines.doctor.findings import Finding

_SECONDS = 5.0


def is_here(address: str | None) -> bool:
    """Returns True if `host:port` is on this machine; None counts as this machine."""
    host = (address or "localhost").rpartition("//")[2].partition(":")[0]
    return host in ("localhost", "127.0.0.1", "[local]", "[auto]")


def check(named: Mapping[str, str | None]) -> Iterator[Finding]:
    """Connects to each address, closes the connection at once, and yields the results.

    Args:
        named: Addresses as `host:port`, by flag. Values without a port, such as `[local]`, are
            skipped.
    """
    for flag, address in named.items():
        host, _, port = (address or "").rpartition("//")[2].rpartition(":")
        if not (host and port.isdigit()):
            continue
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS).close()
        except OSError as error:
            yield Finding(
                "cluster",
                "error",
                f"{flag} {address}: nothing answers ({error.strerror or error})",
                "the job could not be submitted",
                "start it, or correct the address",
            )
        else:
            yield Finding("cluster", "ok", f"{flag} {address}: answers")
