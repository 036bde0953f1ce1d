"""Listening sockets of a process, from the kernel's table."""

import psutil


def listening(pid: int) -> set[tuple[str, int]]:
    """Returns address and port of each socket on which a process, or a child of it, listens.

    An IPv4 address in IPv6 form is returned in IPv4 form.
    """
    process = psutil.Process(pid)
    return {
        (one.laddr.ip.removeprefix("::ffff:"), one.laddr.port)
        for each in (process, *process.children(recursive=True))
        for one in each.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }
