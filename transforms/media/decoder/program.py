"""The program that decodes pictures and sounds, one after another, in a process of its own.

`decoder_process` starts it, in isolated mode, and talks to it over the socket that is its standard
input. It keeps no secret and writes no file, so that a broken medium can only cost itself.
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
    # Before the limits: what they reserve on import is no medium's fault.
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
        # The kernel ends this process when they run out, whether or not anyone waits for it.
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
    """Sets the limit for one medium; `ulimit -v` may have set a lower one, which is `most`."""
    within = size if most == resource.RLIM_INFINITY else min(size, most)
    resource.setrlimit(resource.RLIMIT_AS, (within, most))


def _address_space() -> int:
    """Bytes of address space that this process has."""
    (kibibytes,) = re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kibibytes) * 1024


if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))  # isolated mode knows installed packages alone
    main()
