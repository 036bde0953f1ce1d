"""Some right and some wrong predictions of a task, to look at."""

import dataclasses
import random
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class Shown(Protocol):
    """What every card says of its record's prediction."""

    @property
    def id(self) -> str: ...

    @property
    def right(self) -> bool | None: ...

    @property
    def score(self) -> float: ...


CardT = TypeVar("CardT", bound=Shown)


@dataclasses.dataclass(frozen=True)
class Gallery(Generic[CardT]):
    """Cards of one task.

    Attributes:
        wrong: The most confident errors first.
        right: Drawn at random.
        num_wrong: All wrong ones in the published scores.
        num_right: All right ones.
    """

    task: str
    wrong: tuple[CardT, ...]
    right: tuple[CardT, ...]
    num_wrong: int
    num_right: int


def pick(task: str, cards: Iterable[CardT], most: int, seed: int) -> Gallery[CardT]:
    """At most so many wrong and so many right ones.

    Args:
        task: Its name.
        cards: All of the task.
        most: Of each kind.
        seed: Of the random choice.
    """
    found = sorted(cards, key=lambda card: card.id)
    right = [card for card in found if card.right]
    wrong = sorted((card for card in found if not card.right), key=lambda card: -card.score)
    drawn = random.Random(f"{seed} {task}").sample(right, min(most, len(right)))
    return Gallery(task, tuple(wrong[:most]), tuple(drawn), len(wrong), len(right))
