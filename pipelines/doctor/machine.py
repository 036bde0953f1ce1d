"""Checks of the machine: memory for the scoring processes, and the tools that Flink needs."""

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
"""Memory in bytes that a scoring or preprocessing process may need (docs/reference/limits.md)."""

JAVA_LEAST = 11
"""Lowest major version of Java."""

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_GIB = 2**30


class Memory(NamedTuple):
    """Memory of this process and its children.

    Attributes:
        limit: Largest number of bytes that they may use.
        limited_by: Origin of the limit, such as "the machine".
        free: Number of bytes that are free now.
    """

    limit: int
    limited_by: str
    free: int


def memory(workers: int) -> Finding:
    """Checks that the memory suffices for a number of processes.

    Returns:
        An error if the memory limit is too low, a warning if too little is free now.
    """
    need = workers * PROCESS_BYTES
    limit, limited_by, free = limits()
    needed = f"{workers} process{'es' if workers > 1 else ''} of {_gib(PROCESS_BYTES)}"
    why = (
        f"{needed} may be needed at once with the largest records; the kernel ends what has too few"
    )
    do = "give it more memory, or use fewer processes (--direct_num_workers)"
    if limit < need:
        what = f"{_gib(limit)} of memory by {limited_by}, and {_gib(need)} are needed"
        return Finding("memory", "error", what, why, do)
    if free < need:
        what = f"{_gib(free)} of {_gib(limit)} are free, and {_gib(need)} are needed"
        return Finding("memory", "warning", what, why, "end what else runs here, or " + do)
    return Finding("memory", "ok", f"{_gib(free)} are free for {needed}")


def limits(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> Memory:
    """Returns the lowest memory limit among the machine, its control groups and `ulimit -v`."""
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
    """Checks Java and Maven, which a Flink cluster on this machine needs."""
    home = os.environ.get("JAVA_HOME")
    command = shutil.which(f"{home}/bin/java" if home else "java")
    version = _java_version(command) if command else None
    why = "the job server and Flink run on it"
    do = f"install a JDK {JAVA_LEAST} to 17 and put its java on the PATH"
    if command is None:
        where = f"in JAVA_HOME ({home})" if home else "on the PATH"
        yield Finding("java", "error", f"there is no java {where}", why, do)
    elif version is None or version < JAVA_LEAST:
        problem = "says no version" if version is None else f"is Java {version}"
        yield Finding("java", "error", f"{command} {problem}", why, do)
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
    """Returns the major version: 17 for `openjdk version "17.0.15"`; None if there is none."""
    finished = subprocess.run(  # noqa: S603 - runs the user's own java
        [command, "-version"], capture_output=True, text=True, errors="replace", check=False
    )
    match = re.search(r'version "(?:1\.)?(\d+)', finished.stderr + finished.stdout)
    return int(match[1]) if match and not finished.returncode else None


def _groups(proc: Path, cgroups: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """Yields the folders of this process's control groups, and their files of limit and usage."""
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
    """Yields a control group and its ancestors, as far as they have a limit.

    In a container `path` may be that of the host, so that not all of its folders exist.
    """
    inner = Path(path.lstrip("/"))
    for folder in dict.fromkeys((root / inner, *(root / parent for parent in inner.parents))):
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
