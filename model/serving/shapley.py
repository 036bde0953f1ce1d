"""Exact Shapley values of the modalities for each prediction, at one run of the towers.

Each row and task is a game. Its players are the modalities; the worth of a coalition is the output
of the model for the predicted class if it sees these modalities alone. A modality that a row lacks
adds nothing to any coalition. A hidden modality is replaced behind its tower by the learned
embedding of a missing one, so the towers run once, and the rest once for each coalition.

Tagging and generation have no shares: both read the words of the text beside the joint embedding,
so no coalition without the text exists.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import keras
import tensorflow as tf

from triad_ml.model.network import Networks
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.spec.spec import Spec

Coalition: TypeAlias = frozenset[int]
"""Indices of modalities, in the order of the spec's names."""


def explained(spec: Spec) -> tuple[str, ...]:
    """Lists the tasks that have shares, in the order of the spec."""
    heads = heads_of(spec).items()
    return tuple(name for name, head in heads if head.explained_part is not None)


def coalitions(players: int) -> tuple[Coalition, ...]:
    """Lists all subsets of the players, the empty one first and the whole last."""
    return tuple(
        frozenset(chosen)
        for size in range(players + 1)
        for chosen in itertools.combinations(range(players), size)
    )


def shapley(values: Mapping[Coalition, tf.Tensor], players: int) -> tf.Tensor:
    """Computes the mean of what each player adds to a coalition, over all orders of joining.

    Args:
        values: Worth of each of `coalitions`, float64 `[batch]`.
        players: Number of players.

    Returns:
        float64 `[batch, players]`; a row adds up to the worth of all players less that of none.
    """
    shares = []
    for player in range(players):
        added = [
            _weight(len(others), players) * (values[others | {player}] - values[others])
            for others in coalitions(players)
            if player not in others
        ]
        shares.append(tf.add_n(added))
    return tf.stack(shares, axis=1)


class Explainer:
    """A network cut in two behind its towers.

    The towers run once on a batch, the rest once on each coalition.

    Args:
        networks: The network and the seam where it is cut.
        spec: The spec that it was built from.
    """

    def __init__(self, networks: Networks, spec: Spec) -> None:
        self._names = spec.modalities.names
        heads = heads_of(spec)
        self._heads = {task: heads[task] for task in explained(spec)}
        cut, model = networks.cut, networks.scoring
        self._passed, self._steps = tuple(cut.passed), cut.steps
        self._towers = keras.Model(model.input, dict(cut.passed), name="towers")
        seam = [*cut.passed.values(), cut.visible]
        outputs = dict(model.output)
        self._whole = keras.Model(seam, outputs, name="behind_the_towers")
        shared = {task: outputs[task] for task in self._heads}
        self._part = keras.Model(seam, shared, name="explained_heads")

    def logits(self, inputs: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], "Towers"]:
        """Computes the outputs of the network, and of its towers on the way.

        Args:
            inputs: Inputs of the network; see `batches.Batch.features`.

        Returns:
            Outputs by task, and the means to compute them for a coalition.
        """
        passed = self._towers(dict(inputs), training=False)
        present = tf.stack([inputs[f"{name}_present"] for name in self._names], axis=1)

        def rest(coalition: Coalition) -> dict[str, tf.Tensor]:
            inside = [place in coalition for place in range(len(self._names))]
            hidden = [name for name, seen in zip(self._names, inside, strict=True) if not seen]
            none = {key: passed[key][:, :0] for name in hidden for key in self._steps.get(name, ())}
            return self._call(self._part, {**passed, **none}, present & tf.constant(inside))

        return self._call(self._whole, passed, present), Towers(present, rest)

    def _call(
        self, model: keras.Model, passed: Mapping[str, tf.Tensor], visible: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        seam = [*(passed[key] for key in self._passed), visible]
        # `model(...)` would refuse a hidden modality without its steps.
        return dict(model.call(seam, training=False))

    def shares(
        self, towers: "Towers", whole: Mapping[str, tf.Tensor]
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Splits the worth of each row's prediction into shares of the modalities.

        Args:
            towers: Second result of `logits`.
            whole: By task, the `explained_part` of the serving outputs, such as probabilities,
                float32 `[batch, classes]`.

        Returns:
            By task, the worth of the empty coalition, float32 `[batch]`, and the shares, float32
            `[batch, modalities]`; the share of a modality that a row lacks is 0.
        """
        players = len(self._names)
        worth: dict[str, dict[Coalition, tf.Tensor]] = {task: {} for task in self._heads}
        for coalition in coalitions(players):
            if len(coalition) == players:
                found = {task: whole[task] for task in self._heads}
            else:
                logits = towers.rest(coalition)
                found = {task: head.shown(logits[task]) for task, head in self._heads.items()}
            for task, one in found.items():
                value = self._heads[task].worth(one, whole[task])
                worth[task][coalition] = tf.cast(value, tf.float64)
        return {
            task: (
                tf.cast(values[frozenset()], tf.float32),
                tf.cast(
                    tf.where(towers.present, shapley(values, players), tf.constant(0, tf.float64)),
                    tf.float32,
                ),
            )
            for task, values in worth.items()
        }


class Towers:
    """Outputs of the towers for a batch.

    Attributes:
        present: Mask of the modalities that the rows have, bool `[batch, modalities]`.
        rest: Function from a coalition to the outputs of the tasks with shares if it alone is seen.
    """

    def __init__(
        self, present: tf.Tensor, rest: Callable[[Coalition], dict[str, tf.Tensor]]
    ) -> None:
        self.present = present
        self.rest = rest


def _weight(others: int, players: int) -> float:
    """Computes the share of orders in which exactly `others` given players join before another."""
    return math.factorial(others) * math.factorial(players - others - 1) / math.factorial(players)
