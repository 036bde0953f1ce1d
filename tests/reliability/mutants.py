"""Damaged copies of media: a seeded mutator of bytes, and a strategy for hypothesis."""

import random
import struct
from collections.abc import Callable, Iterator, Sequence

from hypothesis import strategies as st

Edit = Callable[[bytearray, random.Random], None]

_VALUES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_INTEGERS = (">B", "<H", ">H", "<I", ">I", "<Q", ">Q")


def mutants(seeds: Sequence[bytes], count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies of the seeds with 1 to 20 edits each, most of them near the start."""
    rng = random.Random(seed)
    edits = (_flip, _set, _delete, _insert, _double, _length, _length, _splice(seeds))
    for index in range(count):
        content = bytearray(seeds[index % len(seeds)])
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            rng.choice(edits)(content, rng)
        if rng.random() < 0.1:
            del content[rng.randrange(len(content) + 1) :]
        yield bytes(content)


def strategy(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """The same kinds of damage, as few as show a failure: hypothesis makes them smaller."""
    place = st.floats(0, 1, exclude_max=True)
    edits = st.tuples(
        st.sampled_from(("set", "insert", "delete", "splice", "length")),
        place,
        st.binary(min_size=1, max_size=8),
        st.sampled_from(_VALUES),
        st.sampled_from(_INTEGERS),
        st.sampled_from(seeds),
    )
    return st.builds(_edited, st.sampled_from(seeds), st.lists(edits, min_size=1, max_size=6))


def _edited(content: bytes, edits: Sequence[tuple[str, float, bytes, int, str, bytes]]) -> bytes:
    for kind, place, new, value, form, other in edits:
        at = int(place * len(content))
        if kind == "set":
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "insert":
            content = content[:at] + new + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + len(new) :]
        elif kind == "splice":
            content = content[:at] + other[int(place * len(other)) :]
        else:
            packed = _packed(form, value)
            content = content[:at] + packed + content[at + len(packed) :]
    return content


def _packed(form: str, value: int) -> bytes:
    return struct.pack(form, value % 2 ** (8 * struct.calcsize(form)))


def _at(content: bytearray, rng: random.Random) -> int:
    return int(len(content) * rng.random() ** 3)


def _flip(content: bytearray, rng: random.Random) -> None:
    if content:
        content[_at(content, rng)] ^= 1 << rng.randrange(8)


def _set(content: bytearray, rng: random.Random) -> None:
    if content:
        content[_at(content, rng)] = rng.choice((*_VALUES[:5], rng.randrange(256)))


def _delete(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    del content[at : at + rng.randrange(64)]


def _insert(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    content[at:at] = rng.randbytes(rng.randrange(16))


def _double(content: bytearray, rng: random.Random) -> None:
    at = _at(content, rng)
    content[at:at] = content[at : at + rng.randrange(64)]


def _length(content: bytearray, rng: random.Random) -> None:
    """Writes over four bytes or so, as a length, a size or an offset may be."""
    at = _at(content, rng)
    near = len(content) + rng.randrange(-16, 17)
    packed = _packed(rng.choice(_INTEGERS), rng.choice((*_VALUES, near, near - at)))
    content[at : at + len(packed)] = packed


def _splice(seeds: Sequence[bytes]) -> Edit:
    def splice(content: bytearray, rng: random.Random) -> None:
        other = rng.choice(seeds)
        start = rng.randrange(len(other) + 1)
        at = _at(content, rng)
        content[at : at + rng.randrange(64)] = other[start : start + rng.randrange(128)]

    return splice
