"""Gallery of a task: a selection of right and of wrong predictions."""

import dataclasses
import random
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class Shown(Protocol):
    """Fields that every card has: id, verdict and score of the prediction."""

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
        task: Name of the task.
        wrong: Cards of wrong predictions, the most confident first.
        right: Cards of right predictions, drawn at random.
        num_wrong: Number of all wrong predictions in the published scores.
        num_right: Number of all right predictions.
    """

    task: str
    wrong: tuple[CardT, ...]
    right: tuple[CardT, ...]
    num_wrong: int
    num_right: int


def pick(task: str, cards: Iterable[CardT], most: int, seed: int) -> Gallery[CardT]:
    """Selects the most confident wrong predictions, and right ones at random.

    Args:
        task: Name of the task.
        cards: All cards of the task.
        most: Largest number of wrong, and of right cards.
        seed: Seed of the random choice.
    """
    by_id = sorted(cards, key=lambda card: card.id)
    right = [card for card in by_id if card.right]
    wrong = sorted((card for card in by_id if not card.right), key=lambda card: -card.score)
    drawn = random.Random(f"{seed} {task}").sample(right, min(most, len(right)))
    return Gallery(task, tuple(wrong[:most]), tuple(drawn), len(wrong), len(right))
