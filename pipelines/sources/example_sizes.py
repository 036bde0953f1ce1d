"""How much a tf.Example holds, by its framing: asked before anything is made of it.

A value of one byte takes eight and more once it is parsed.
"""

from collections.abc import Iterator

from triad_ml.pipelines.sources.fields import MOST_FIELDS, MOST_VALUES, RefusedRecordError
from triad_ml.transforms.records.values import Reason

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FLOATS, _INTEGERS = 2, 3  # fields of a Feature; what remains are bytes

MOST_PARTS = 4 * MOST_VALUES
"""Fields of messages that are gone through, those among them that no tf.Example has."""

_NOT_FINAL = bytes(range(128, 256))  # bytes of a number but its last


def check(content: bytes) -> None:
    """Refuses a tf.Example of too many features or values.

    Raises:
        RefusedRecordError: Where it has more than `MOST_FIELDS` or `MOST_VALUES`, or is none.
    """
    if len(content) <= MOST_VALUES:
        return
    walk = _Walk(content)
    features = values = 0
    for example in walk.parts(0, len(content), 1):
        for entry in walk.parts(*example[2:], 1):
            features += 1
            if features > MOST_FIELDS:
                raise _too_large(f"the record has over {MOST_FIELDS} fields")
            for feature in walk.parts(*entry[2:], 2):
                for kind, _, start, stop in walk.parts(*feature[2:]):
                    for count in walk.counts(kind, start, stop):
                        values += count
                        if values > MOST_VALUES:
                            raise _too_large(f"the record has over {MOST_VALUES} values")


class _Walk:
    """Goes through messages within messages, up to `MOST_PARTS` fields."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = MOST_PARTS

    def counts(self, kind: int, start: int, stop: int) -> Iterator[int]:
        """How many values each part of a list holds."""
        for _, wire, begin, end in self.parts(start, stop, 1):
            packed = wire == _LENGTH
            if packed and kind == _FLOATS:
                yield (end - begin) // 4
            elif packed and kind == _INTEGERS:
                yield len(self._content[begin:end].translate(None, _NOT_FINAL))
            else:
                yield 1

    def parts(self, start: int, stop: int, wanted: int = 0) -> Iterator[tuple[int, int, int, int]]:
        """The fields of a message: number, how it is written, and where its value is."""
        for part in _parts(self._content, start, stop):
            self._left -= 1
            if self._left < 0:
                raise _too_large(f"the record has over {MOST_PARTS} parts")
            if not wanted or part[0] == wanted:
                yield part


def _parts(content: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    place = start
    while place < stop:
        tag, place = _number(content, place, stop)
        wire = tag & 7
        if wire == _VARINT:
            _, end = _number(content, place, stop)
        elif wire == _LENGTH:
            length, place = _number(content, place, stop)
            end = place + length
        elif wire in (_FIXED64, _FIXED32):
            end = place + (8 if wire == _FIXED64 else 4)
        else:
            raise _no_example()
        if end > stop:
            raise _no_example()
        yield tag >> 3, wire, place, end
        place = end


def _number(content: bytes, place: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while place < stop and shift < 70:
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise _no_example()


def _no_example() -> RefusedRecordError:
    return RefusedRecordError(Reason.UNPARSABLE, "not a tf.Example")


def _too_large(why: str) -> RefusedRecordError:
    return RefusedRecordError(Reason.TOO_LARGE, why)
