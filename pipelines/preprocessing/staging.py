"""Staging folder of a preprocessing, local or in a bucket, until its output is complete.

A local staging folder becomes the output by one rename. A bucket has no rename: there, the manifest
is written last and makes the output complete, and no existing object is overwritten.
"""

import contextlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.storage import atomic, cloud, json_files
from triad_ml.pipelines.storage import local as storage_local
from triad_ml.transforms.errors import LostRaceError, OptionsError, StorageError
from triad_ml.transforms.files.scratch import ScratchFolder

_log = logging.getLogger(__name__)


class Staging:
    """Staging folder of a local output.

    Attributes:
        output: Path of the output folder.
        workers: Path of the folder in which workers write; it may be in a bucket.
        local: Folder on this machine that holds all parts, except shards in a bucket.
    """

    def __init__(self, output: str, workers: str, local: Path) -> None:
        self.output = output
        self.workers = workers
        self.local = local

    @property
    def work(self) -> str:
        """Folder of intermediate files."""
        return f"{self.workers}/{dataset.WORK}"

    def fetch(self, name: str) -> None:
        """Copies a folder that workers wrote into `local`, if it is not there already."""

    def place(self, path: str, name: str) -> None:
        """Moves a file that a worker wrote to its name in the output."""
        atomic.move(path, f"{self.local}/{name}")

    def publish(self, manifest: Mapping[str, Any], keep_work: bool) -> None:
        """Writes the manifest and makes the output complete."""
        if not keep_work:
            shutil.rmtree(self.work)
        json_files.write(self.local / dataset.MANIFEST, manifest)
        (self.local / atomic.LOCK).unlink()
        output = Path(self.output)
        if output.exists():
            output.rmdir()
        self.local.rename(output)


class _CloudStaging(Staging):
    """Staging folder of an output in a bucket."""

    def __init__(self, output: str, workers: str, local: Path) -> None:
        super().__init__(output, workers, local)
        self._placed: list[str] = []
        self._manifest: bytes | None = None

    def fetch(self, name: str) -> None:
        atomic.copy_down(f"{self.workers}/{name}", self.local / name)

    def place(self, path: str, name: str) -> None:
        target = f"{self.output}/{name}"
        self._check(atomic.move(path, target), target)

    def publish(self, manifest: Mapping[str, Any], keep_work: bool) -> None:
        for path in sorted(self.local.rglob("*")):
            if path.is_file():
                target = f"{self.output}/{path.relative_to(self.local)}"
                self._check(atomic.write_new(target, path.read_bytes()), target)
        target = f"{self.output}/{dataset.MANIFEST}"
        self._manifest = json_files.encoded(manifest)
        self._check(atomic.write_new(target, self._manifest), target)

    def _check(self, written: bool, target: str) -> None:
        if not written:
            raise LostRaceError(
                f"{target}: another process wrote it meanwhile; wait for its end, "
                "then run the same command again"
            )
        self._placed.append(target)

    def withdraw(self) -> None:
        """Removes the files placed in the output, unless a manifest made it complete."""
        manifest = atomic.read_if_there(f"{self.output}/{dataset.MANIFEST}")
        if manifest is not None and manifest == self._manifest:
            return  # The manifest was written, though the response was lost.
        for path in self._placed:
            atomic.delete(path)


@contextlib.contextmanager
def begin(output: str) -> Iterator[Staging]:
    """Yields a new staging folder, and removes it at the end if it was not published."""
    if in_cloud(output):
        with ScratchFolder() as folder:
            made = _CloudStaging(output, f"{output}.tmp-{uuid.uuid4().hex}", folder)
            try:
                yield made
            finally:
                with contextlib.suppress(StorageError):
                    made.withdraw()
                with contextlib.suppress(StorageError):
                    atomic.delete_tree(made.workers)
        return
    _remove_left(output)
    local = Path(f"{output}.tmp-{uuid.uuid4().hex}")
    with atomic.in_use(str(local)):  # The name is new, so only our own files are removed below.
        try:
            (local / dataset.WORK).mkdir()
            yield Staging(output, str(local), local)
        finally:
            shutil.rmtree(local, ignore_errors=True)


def _remove_left(output: str) -> None:
    """Removes staging folders of the same output that killed processes left.

    A living process holds the lock of its folder. A folder without a lock file is only reported in
    the log: a process of Triad before 0.2 may use it, or it may be published at this moment.
    """
    parent, name = os.path.split(output)
    for path in atomic.list_folders(parent or "."):
        base = os.path.basename(path)
        if not storage_local.TEMPORARY.search(base) or not base.startswith(f"{name}.tmp-"):
            continue
        if not os.path.exists(os.path.join(path, atomic.LOCK)):
            _log.warning(
                "%s: seems to be left by a triad preprocess that was killed; remove it if none is "
                "running",
                path,
            )
            continue
        with atomic.unused(path) as free:
            if free:
                atomic.delete_tree(path)
                _log.info("%s: was left by a triad preprocess that was killed; removed", path)


def in_cloud(path: str) -> bool:
    """Returns True if a path is in a bucket."""
    return path.startswith(cloud.SCHEME)


def named(output: str) -> str:
    """Returns the normal form of an output's path, without a slash at its end.

    Raises:
        OptionsError: The path cannot name a new folder.
    """
    if in_cloud(output):
        plain = output.rstrip("/")
        name = plain.removeprefix(cloud.SCHEME).partition("/")[2]
    else:
        plain = os.path.normpath(output)
        name = os.path.basename(plain)
    if name in ("", ".", ".."):
        raise OptionsError(f"{output}: is no name of a new folder; choose another --output")
    return plain
