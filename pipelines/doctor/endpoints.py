"""Services of a cluster: whether something answers where they should be."""

import socket
from collections.abc import Iterator, Mapping

from triad_ml.pipelines.doctor.findings import Finding

_SECONDS = 5.0


def is_here(address: str | None) -> bool:
    """Whether `host:port` is of this machine; nothing named is of this machine too."""
    host = (address or "localhost").rpartition("//")[2].partition(":")[0]
    return host in ("localhost", "127.0.0.1", "[local]", "[auto]")


def check(named: Mapping[str, str | None]) -> Iterator[Finding]:
    """Connects to each address, given by flag as `host:port`, and says nothing to it.

    What names no port, such as `[local]`, is no address.
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
