"""The machine: memory against the processes that score, and the tools that a cluster needs."""

import math
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from triad_ml.pipelines.doctor.findings import Finding

PROCESS_BYTES = 4 * 2**30
"""What one process that scores or preprocesses may need, as docs/reference/limits.md says."""

JAVA_LEAST = 11

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_GIB = 2**30


class Memory(NamedTuple):
    """Bytes that this process and its children may have, and who says so; what is free now."""

    limit: int
    limited_by: str
    free: int


def memory(workers: int) -> Finding:
    """Whether so many processes fit into this machine, or into the limit it runs under."""
    need = workers * PROCESS_BYTES
    found = limits()
    said = f"{workers} process{'es' if workers > 1 else ''} of {_gib(PROCESS_BYTES)}"
    why = f"{said} may be needed at once with the largest records; the kernel ends what has too few"
    do = "give it more memory, or use fewer processes (--direct_num_workers)"
    if found.limit < need:
        what = f"{_gib(found.limit)} of memory by {found.limited_by}, and {_gib(need)} are needed"
        return Finding("memory", "error", what, why, do)
    if found.free < need:
        what = f"{_gib(found.free)} of {_gib(found.limit)} are free, and {_gib(need)} are needed"
        return Finding("memory", "warning", what, why, "end what else runs here, or " + do)
    return Finding("memory", "ok", f"{_gib(found.free)} are free for {said}")


def limits(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> Memory:
    """The least of what the machine, its control groups and the process's limits allow."""
    lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    sizes = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (x.partition(":") for x in lines)
    }
    allowed = [(sizes["MemTotal"], "the machine")]
    free = sizes["MemAvailable"]
    for folder, names in _groups(proc, cgroups):
        limit, used = (_number(folder / name) for name in names)
        if limit is not None:
            allowed.append((limit, f"the control group {folder}"))
            free = min(free, max(0, limit - (used or 0)))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        allowed.append((soft, "the limit on address space (ulimit -v)"))
        free = min(free, soft)
    least, by = min(allowed)
    return Memory(least, by, free)


def java() -> Iterator[Finding]:
    """Java and Maven, which a Flink cluster of one's own needs."""
    home = os.environ.get("JAVA_HOME")
    command = shutil.which(f"{home}/bin/java" if home else "java")
    version = _java_version(command) if command else None
    why = "the job server and Flink run on it"
    do = f"install a JDK {JAVA_LEAST} to 17 and put its java on the PATH"
    if command is None:
        where = f"in JAVA_HOME ({home})" if home else "on the PATH"
        yield Finding("java", "error", f"there is no java {where}", why, do)
    elif version is None or version < JAVA_LEAST:
        said = "says no version" if version is None else f"is Java {version}"
        yield Finding("java", "error", f"{command} {said}", why, do)
    else:
        yield Finding("java", "ok", f"{command} is Java {version}")
    maven = shutil.which("mvn")
    if maven is None:
        yield Finding(
            "maven",
            "warning",
            "there is no mvn on the PATH",
            "it fetches the libraries of the runner, once",
            "install Maven, or bring the libraries from a machine that has it",
        )
    else:
        yield Finding("maven", "ok", maven)


def _java_version(command: str) -> int | None:
    """The first number of `openjdk version "17.0.15"`."""
    finished = subprocess.run(  # noqa: S603 - what the user has as java
        [command, "-version"], capture_output=True, text=True, errors="replace", check=False
    )
    said = re.search(r'version "(?:1\.)?(\d+)', finished.stderr + finished.stdout)
    return int(said[1]) if said and not finished.returncode else None


def _groups(proc: Path, cgroups: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """Folders of the control groups of this process, with the names of limit and use in them."""
    for line in (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _upwards(cgroups, path, ("memory.max", "memory.current"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            yield from _upwards(cgroups / "memory", path, names)


def _upwards(
    root: Path, path: str, names: tuple[str, str]
) -> Iterator[tuple[Path, tuple[str, str]]]:
    """A group and those that it is in; in a container the path may be that of the host."""
    inner = Path(path.lstrip("/"))
    for folder in dict.fromkeys((root / inner, *(root / one for one in inner.parents))):
        if (folder / names[0]).is_file():
            yield folder, names


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() and int(text) < 2**60 else None


def _gib(size: int) -> str:
    return f"{math.floor(size / _GIB * 10) / 10:g} GiB"
