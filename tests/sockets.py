"""The kernel's table of sockets: where a process takes connections."""

import psutil


def listening(pid: int) -> set[tuple[str, int]]:
    """Address and port of each socket at which a process, or a child of it, listens.

    An address of IPv4 that is written as one of IPv6 is given as the former.
    """
    process = psutil.Process(pid)
    return {
        (one.laddr.ip.removeprefix("::ffff:"), one.laddr.port)
        for each in (process, *process.children(recursive=True))
        for one in each.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }
