"""Part files of sealed runs: reading, and checks that they are unchanged since the run."""

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
"""Remedy for a damaged part of a run, in messages; neither command removes anything."""

HASHED_BYTES = 64 * 2**20
"""Largest total size in bytes of a run on a local disk whose parts `found_broken` hashes."""


def read(run: RunFolder, file: PartFile, remedy: str = REMEDY) -> bytes:
    """Reads a part once and checks its content.

    Args:
        run: Folder of the run.
        file: Entry of the part in the manifest.
        remedy: Last part of the error message: what the user can do.

    Raises:
        DamagedError: The part is missing or is not what the run wrote.
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
    """Reads the rows of a part, with all columns or only those of `columns`.

    Raises:
        DamagedError: As for `read`, or the part has no such columns.
    """
    content = read(run, file, remedy)
    try:
        return formats.decode(content, formats.format_of(file.path), columns)
    except (pa.ArrowException, ValueError, KeyError) as error:  # A forged or very old manifest.
        raise DamagedError(f"{run.path(file.path)}: holds no such rows; {remedy}") from error


def broken(run: RunFolder, manifest: Manifest) -> tuple[PartFile, ...]:
    """Returns the parts that are missing or are not what the run wrote; reads all parts."""
    return tuple(
        file for file in manifest.files if not file.holds(atomic.read_if_there(run.path(file.path)))
    )


def found_broken(run: RunFolder, manifest: Manifest) -> tuple[PartFile, ...]:
    """Returns the parts that a check of less than a second shows to be missing or changed.

    Each part must exist with its size. If the run is on a local disk and has at most `HASHED_BYTES`
    in all, each part is hashed too. Storage services check hashes themselves.
    """
    if (
        not opening.scheme(run.output)
        and sum(file.bytes for file in manifest.files) <= HASHED_BYTES
    ):
        return broken(run, manifest)
    return of_other_size(run, manifest)


def refuse_broken(run: RunFolder, manifest: Manifest) -> None:
    """Raises DamagedError if `found_broken` returns a part, and names the first."""
    for file in found_broken(run, manifest):
        raise DamagedError(
            f"{run.path(file.path)}: is missing or is not what the run wrote; {REMEDY}"
        )


def of_other_size(run: RunFolder, manifest: Manifest) -> tuple[PartFile, ...]:
    """Returns the parts that are missing or whose size differs from the manifest; reads none."""
    sizes = {file.path: file.bytes for file in atomic.tree(run.folder)}
    return tuple(f for f in manifest.files if sizes.get(run.path(f.path)) != f.bytes)
