"""Checks of folders: readable and writable from here, and reachable from remote workers."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from triad_ml.pipelines.doctor.findings import Finding, of_error
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import OptionsError, StorageError

_CLOUD = "gs://"


def output(folder: str) -> Finding:
    """Checks that a folder can be written to: writes a small file and removes it again.

    Folders that are missing are created for the check and removed too.
    """
    missing = [] if _in_cloud(folder) else list(_missing(Path(folder)))
    probe = f"{folder.rstrip('/')}/.triad-doctor-{uuid.uuid4().hex}"
    try:
        atomic.write_new(probe, b"written by triad doctor, may be removed\n")
        atomic.delete(probe)
    except StorageError as error:
        renamed = StorageError(str(error).replace(probe, folder))
        return of_error("output", renamed, "the run would do all its work and could not keep it")
    finally:
        for path in missing:  # `missing` lists the innermost folder first
            with contextlib.suppress(OSError):
                path.rmdir()
    return Finding("output", "ok", f"{folder}: can be written to")


def inputs(patterns: Sequence[str]) -> Finding:
    """Lists the records files, and reports their number and size in bytes."""
    from triad_ml.pipelines.sources import units

    buckets = {"/".join(pattern.split("/")[:3]) for pattern in patterns if _in_cloud(pattern)}
    try:
        for bucket in sorted(buckets):
            # Fails fast if the bucket cannot be reached; Beam itself retries for minutes.
            atomic.exists(f"{bucket}/.triad-doctor")
        listed = units.list_inputs(patterns)
    except (OptionsError, StorageError) as error:
        return of_error("input", error, "there would be nothing to read")
    size = sum(file.size for file in listed)
    return Finding("input", "ok", f"{len(listed)} files, {size:,} bytes")


def refuse_local(named: Mapping[str, Sequence[str | None]]) -> Iterator[Finding]:
    """Yields an error for each local path, because workers run on other machines.

    Args:
        named: Paths by flag; None is skipped.
    """
    for flag, places in named.items():
        for place in places:
            if place is not None and not _in_cloud(place):
                yield Finding(
                    "reach",
                    "error",
                    f"{flag} {place}: is on this machine",
                    "workers run on other machines and do not see it",
                    f"copy it to a bucket and give {flag} as gs://...",
                )


def shared(named: Mapping[str, Sequence[str | None]], server: str) -> Iterator[Finding]:
    """Yields a warning if there are local paths and the cluster is not this machine.

    Args:
        named: Paths by flag; None is skipped.
        server: Address of the cluster's job server.
    """
    local = [place for each in named.values() for place in each if place and not _in_cloud(place)]
    if local:
        yield Finding(
            "reach",
            "warning",
            f"{', '.join(local)}: must be the same on every machine of the cluster at {server}",
            "each worker reads the records and the model, and writes its part, by these paths",
            "put them on a file system that all share, or on gs://",
        )


def artifacts(folder: str | None) -> Iterator[Finding]:
    """Checks the folder in which job server, TaskManagers and workers exchange files."""
    if folder is None or _in_cloud(folder):
        return
    if os.path.isdir(folder) and os.access(folder, os.W_OK):
        yield Finding("artifacts", "ok", f"{folder}: can be written to")
    else:
        yield Finding(
            "artifacts",
            "error",
            f"--artifacts_dir {folder}: is no folder that can be written to",
            "job server, TaskManagers and workers hand files to each other through it",
            "make it, on a file system that all of them share",
        )


def _in_cloud(place: str) -> bool:
    return place.startswith(_CLOUD)


def _missing(folder: Path) -> Iterator[Path]:
    while not folder.exists() and folder != folder.parent:
        yield folder
        folder = folder.parent
