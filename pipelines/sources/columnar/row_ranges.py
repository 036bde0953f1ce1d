"""Division of a Parquet file into row ranges for units of work."""

import itertools
from collections.abc import Iterator

from triad_ml.pipelines.sources.columnar.footer import Footer
from triad_ml.transforms.records.values import MODALITIES


def cut(footer: Footer, unit_bytes: int, unit_records: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of whole row groups; a row group that is too large is cut into even parts.

    Args:
        footer: Footer of the file.
        unit_bytes: Approximate limit of a range in bytes.
        unit_records: Approximate limit of a range in rows.

    Yields:
        First row of a range, and the row after its last one.
    """
    start = end = total_bytes = 0
    for index, group in enumerate(footer.groups):
        parts = _parts(footer, index, unit_bytes, unit_records)
        fits = total_bytes + group.bytes <= unit_bytes and end - start + group.rows <= unit_records
        if end > start and not fits:
            yield start, end
            start, total_bytes = end, 0
        first, end = end, end + group.rows
        total_bytes += max(0, group.bytes)
        if parts > 1:
            edges = [first + part * group.rows // parts for part in range(parts + 1)]
            yield from itertools.pairwise(edges)
            start, total_bytes = end, 0
    if end > start:
        yield start, end


def _parts(footer: Footer, index: int, unit_bytes: int, unit_records: int) -> int:
    """Returns the number of units that a row group needs.

    Bytes of media do not count, since the media of a whole unit are never in memory together, as
    its other values are.
    """
    group = footer.groups[index]
    parts = -(-group.rows // unit_records)
    if group.bytes > unit_bytes:
        parts = max(parts, -(-footer.bytes_beside(index, MODALITIES) // unit_bytes))
    return min(parts, group.rows)
