"""A vocabulary of pieces of words, learned by byte-pair encoding over characters."""

import heapq
from collections import Counter
from collections.abc import Mapping

MOST_CHARACTERS = 16
"""No piece is longer."""

_RAREST = 2  # a pair that occurs once teaches nothing


def learn(counts: Mapping[str, int], size: int) -> tuple[str, ...]:
    """Learns pieces from how often each word occurs; equal counts give equal pieces.

    The characters come first, by falling frequency, so that few texts hold anything else; then
    the most frequent pair of neighbours is joined, again and again. Pairs that are as frequent as
    each other are joined in the order of their characters.

    Args:
        counts: By word; a space that stands before a word is part of it.
        size: Pieces at most.
    """
    words = [(word, counts[word]) for word in sorted(counts)]
    characters: Counter[str] = Counter()
    for word, count in words:
        for character in word:
            characters[character] += count
    found = sorted(characters, key=lambda one: (-characters[one], one))[:size]
    kept = set(found)
    pairs = _Pairs([([c for c in word if c in kept], count) for word, count in words])
    known = set(found)
    while len(found) < size and (pair := pairs.most_frequent()) is not None:
        pairs.join(pair)
        piece = "".join(pair)
        if piece not in known:  # other pairs may have made it before
            known.add(piece)
            found.append(piece)
    return tuple(found)


class _Pairs:
    """Words as lists of pieces, with the counts of neighbours."""

    def __init__(self, words: list[tuple[list[str], int]]) -> None:
        self._words = words
        self._counts: Counter[tuple[str, str]] = Counter()
        self._places: dict[tuple[str, str], set[int]] = {}
        for place, (pieces, count) in enumerate(words):
            self._add(place, pieces, count)
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def most_frequent(self) -> tuple[str, str] | None:
        while self._heap:
            count, pair = heapq.heappop(self._heap)
            now = self._counts[pair]
            if now < _RAREST or sum(map(len, pair)) > MOST_CHARACTERS:
                continue
            if now == -count:
                return pair
            heapq.heappush(self._heap, (-now, pair))
        return None

    def join(self, pair: tuple[str, str]) -> None:
        touched: set[tuple[str, str]] = set()
        for place in self._places.pop(pair):
            pieces, count = self._words[place]
            for neighbours in zip(pieces, pieces[1:], strict=False):
                self._counts[neighbours] -= count
            joined = _joined(pieces, pair)
            self._words[place] = (joined, count)
            touched.update(self._add(place, joined, count))
        del self._counts[pair]
        for neighbours in touched:
            heapq.heappush(self._heap, (-self._counts[neighbours], neighbours))

    def _add(self, place: int, pieces: list[str], count: int) -> set[tuple[str, str]]:
        neighbours = list(zip(pieces, pieces[1:], strict=False))
        for pair in neighbours:
            self._counts[pair] += count
            self._places.setdefault(pair, set()).add(place)
        return set(neighbours)


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    joined, place = [], 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            joined.append("".join(pair))
            place += 2
        else:
            joined.append(pieces[place])
            place += 1
    return joined
