"""The parts of sealed runs: who reads one learns first that it is still what the run wrote."""

from collections.abc import Sequence

import pyarrow as pa

from triad_ml.pipelines.publishing.manifest import Manifest, PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.storage import atomic, opening
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.errors import DamagedError

REMEDY = (
    "the same triad score makes it anew, and triad rollback goes back to another run of the date"
)
"""What to do about a damaged part of a run; neither removes anything."""

HASHED_BYTES = 64 * 2**20
"""A run of up to so many bytes on a local disk is hashed wherever somebody looks at it."""


def read(run: RunFolder, file: PartFile, remedy: str = REMEDY) -> bytes:
    """The content of a part, which is read once.

    Raises:
        DamagedError: It is missing or is not what the run wrote; `remedy` says what to do.
    """
    content = atomic.read_if_there(run.path(file.path))
    if content is None:
        raise DamagedError(f"{run.path(file.path)}: is missing; {remedy}")
    if not file.holds(content):
        raise DamagedError(f"{run.path(file.path)}: is not what the run wrote (SHA-256); {remedy}")
    return content


def table(
    run: RunFolder, file: PartFile, columns: Sequence[str] | None = None, remedy: str = REMEDY
) -> pa.Table:
    """The rows of a part, on request only some columns of them.

    Raises:
        DamagedError: As `read`.
    """
    content = read(run, file, remedy)
    try:
        return formats.decode(content, formats.format_of(file.path), columns)
    except (pa.ArrowException, ValueError, KeyError) as error:  # a forged or very old manifest
        raise DamagedError(f"{run.path(file.path)}: holds no such rows; {remedy}") from error


def broken(run: RunFolder, manifest: Manifest) -> tuple[PartFile, ...]:
    """The parts that are missing or are not what the run wrote; reads all of them."""
    return tuple(
        file for file in manifest.files if not file.holds(atomic.read_if_there(run.path(file.path)))
    )


def found_broken(run: RunFolder, manifest: Manifest) -> tuple[PartFile, ...]:
    """The parts that a look shows to be missing or changed; it takes less than a second.

    A part must be there with its size. Where the run lies on a local disk and is not over
    `HASHED_BYTES`, each part is hashed too; storage services do that themselves.
    """
    if (
        not opening.scheme(run.output)
        and sum(file.bytes for file in manifest.files) <= HASHED_BYTES
    ):
        return broken(run, manifest)
    return of_other_size(run, manifest)


def refuse_broken(run: RunFolder, manifest: Manifest) -> None:
    """Raises DamagedError where `found_broken` finds a part, naming the first."""
    for file in found_broken(run, manifest):
        raise DamagedError(
            f"{run.path(file.path)}: is missing or is not what the run wrote; {REMEDY}"
        )


def of_other_size(run: RunFolder, manifest: Manifest) -> tuple[PartFile, ...]:
    """The parts that are missing or have another size than the manifest says; reads none."""
    sizes = {file.path: file.bytes for file in atomic.tree(run.folder)}
    return tuple(f for f in manifest.files if sizes.get(run.path(f.path)) != f.bytes)
