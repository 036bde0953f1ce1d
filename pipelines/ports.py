"""Ports on the loopback: which are free, and which answer."""

import contextlib
import socket


def free(count: int = 1) -> list[int]:
    """So many ports that nothing listens at, each another one."""
    with contextlib.ExitStack() as held:
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for server in servers:
            held.enter_context(server)
        return [int(server.getsockname()[1]) for server in servers]


def listens(port: int) -> bool:
    """Whether something takes connections at a port."""
    with socket.socket() as one:
        one.settimeout(5)
        return one.connect_ex(("127.0.0.1", port)) == 0
