"""Memory that Arrow rows take as Python values, and division of batches into small pieces."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from triad_ml.pipelines.sources import fields, lines
from triad_ml.pipelines.sources.columnar import pages


def pieces(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, str]]:
    """Cuts a batch into pieces of few bytes and values, in its order.

    Yields:
        A piece, and the reason for which it is refused, or "". Only a piece of one row is refused,
        if that holds more than a record may.
    """
    waiting = [batch] if len(batch) else []
    while waiting:
        piece = waiting.pop()
        sizes = [_size(column) for column in piece.columns]
        size = sum(bytes_ for bytes_, _ in sizes)
        values = sum(number for _, number in sizes)
        if len(piece) == 1:
            yield piece, _refusal(size, values)
        elif size > 2 * pages.BATCH_BYTES or values > fields.MOST_VALUES:
            half = len(piece) // 2
            waiting += [piece.slice(half), piece.slice(0, half)]
        else:
            yield piece, ""


def _refusal(size: int, values: int) -> str:
    if size > lines.LONGEST:
        return f"the row takes {size} bytes, over {lines.LONGEST}"
    if values > fields.MOST_VALUES:
        return f"the row has {values} values, over {fields.MOST_VALUES}"
    return ""


def _size(array: pa.Array) -> tuple[int, int]:
    """Returns the bytes of an array's values, and the number of those inside lists.

    Values outside lists are not counted, since they are few.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.fill_null(_lengths(array.dictionary), 0)
        return pc.sum(lengths.take(array.indices)).as_py() or 0, 0
    if pa.types.is_struct(kind):
        parts = [_size(part) for part in array.flatten()]
        return sum(size for size, _ in parts), sum(values for _, values in parts)
    if pa.types.is_map(kind):
        inner = pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])
        edges = array.offsets
        start = edges[0].as_py()
        return _sized(inner.slice(start, edges[len(array)].as_py() - start))
    if any(is_kind(kind) for is_kind in _LISTS):
        return _sized(array.flatten())
    return array.nbytes, 0


_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def _sized(inner: pa.Array) -> tuple[int, int]:
    size, values = _size(inner)
    return size, values + len(inner)


def _lengths(texts: pa.Array) -> pa.Array:
    return pc.cast(pc.binary_length(texts), pa.int64())
