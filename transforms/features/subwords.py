"""Learning of a subword vocabulary by byte-pair encoding over characters."""

import heapq
from collections import Counter
from collections.abc import Mapping

MOST_CHARACTERS = 16
"""Largest number of characters in a subword."""

_RAREST = 2  # smallest count of a pair that is joined


def learn(counts: Mapping[str, int], size: int) -> tuple[str, ...]:
    """Learns subwords from word counts; equal counts lead to equal subwords.

    The vocabulary begins with the characters, by falling frequency, so that few texts have a
    character outside of it. Then the most frequent pair of adjacent subwords is joined, repeatedly;
    ties are joined in the order of their characters.

    Args:
        counts: Number of occurrences by word; a space before a word is part of the word.
        size: Largest number of subwords.

    Returns:
        Subwords in the order in which they were learned.
    """
    words = [(word, counts[word]) for word in sorted(counts)]
    characters: Counter[str] = Counter()
    for word, count in words:
        for character in word:
            characters[character] += count
    pieces = sorted(characters, key=lambda character: (-characters[character], character))[:size]
    kept = set(pieces)
    pairs = _Pairs([([c for c in word if c in kept], count) for word, count in words])
    known = set(pieces)
    while len(pieces) < size and (pair := pairs.most_frequent()) is not None:
        pairs.join(pair)
        piece = "".join(pair)
        if piece not in known:  # another pair may have made the same piece before
            known.add(piece)
            pieces.append(piece)
    return tuple(pieces)


class _Pairs:
    """Words as lists of pieces, with the counts of all pairs of adjacent pieces."""

    def __init__(self, words: list[tuple[list[str], int]]) -> None:
        self._words = words
        self._counts: Counter[tuple[str, str]] = Counter()
        self._words_with: dict[tuple[str, str], set[int]] = {}
        for index, (pieces, count) in enumerate(words):
            self._add(index, pieces, count)
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
        for index in self._words_with.pop(pair):
            pieces, count = self._words[index]
            for neighbours in zip(pieces, pieces[1:], strict=False):
                self._counts[neighbours] -= count
            joined = _joined(pieces, pair)
            self._words[index] = (joined, count)
            touched.update(self._add(index, joined, count))
        del self._counts[pair]
        for neighbours in touched:
            heapq.heappush(self._heap, (-self._counts[neighbours], neighbours))

    def _add(self, index: int, pieces: list[str], count: int) -> set[tuple[str, str]]:
        neighbours = list(zip(pieces, pieces[1:], strict=False))
        for pair in neighbours:
            self._counts[pair] += count
            self._words_with.setdefault(pair, set()).add(index)
        return set(neighbours)


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    joined, index = [], 0
    while index < len(pieces):
        if tuple(pieces[index : index + 2]) == pair:
            joined.append("".join(pair))
            index += 2
        else:
            joined.append(pieces[index])
            index += 1
    return joined
