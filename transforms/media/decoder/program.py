"""Program of the child process, which decodes images and audio one after another.

`process` starts it in Python's isolated mode, and exchanges messages with it over the socket that
is its standard input. The program holds no secret and writes no file, so that a broken medium can
harm only itself.
"""

import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    """Answers requests until the other end is closed."""
    # Imported before the limits are set, because imports take address space too.
    from triad_ml.transforms.media.decoder import audio, images
    from triad_ml.transforms.media.decoder import protocol as protocol
    from triad_ml.transforms.records.values import MediumError

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own, (_, most) = _address_space(), resource.getrlimit(resource.RLIMIT_AS)
    channel = protocol.Channel(socket.socket(fileno=0))
    channel.reply(protocol.READY)
    while head := channel.read(protocol.REQUEST.size):
        kind, size, room, cpu_seconds, seconds = protocol.REQUEST.unpack(head)
        kind = kind.rstrip(b"\0")
        _limit_address_space(own + size + room, most)
        # The kernel ends this process when a timer expires, even if no parent waits for it.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            content = channel.read(size)
            if kind == protocol.SOUND:
                audio.decode(content, channel)
            else:
                images.decode(content, kind.decode(), channel)
        except MediumError as error:
            channel.reply(protocol.REFUSED, f"{error.flaw}\0{error.detail}".encode())
        except MemoryError:
            os._exit(protocol.NO_MEMORY)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_address_space(size: int, most: int) -> None:
    """Sets the limit for one medium.

    Args:
        size: Address space in bytes.
        most: Hard limit in bytes, which `ulimit -v` may have set.
    """
    within = size if most == resource.RLIM_INFINITY else min(size, most)
    resource.setrlimit(resource.RLIMIT_AS, (within, most))


def _address_space() -> int:
    """Returns the size of this process's address space, in bytes."""
    (kibibytes,) = re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kibibytes) * 1024


if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))  # isolated mode finds installed packages only
    main()
