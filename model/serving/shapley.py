"""What each modality is worth to a prediction: exact Shapley shares, for one run of the towers.

A game for each row and classification task. Its players are the modalities, and a coalition is
worth what the model gives for the predicted class where it sees those modalities alone; what a row
lacks adds nothing to any coalition. A hidden modality is replaced behind its tower, by the learned
embedding of what is missing, so the towers run once and the rest once a coalition.

Tagging and generation have no shares: both read the words of the text beside the fused embedding,
so that no coalition without the text exists.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from triad_ml.model.fusion.attention import AttentionFusion
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.spec.spec import Spec

Coalition: TypeAlias = frozenset[int]
"""Places of modalities, in the order of the spec's names."""

VISIBLE = "modality_dropout"
"""The layer whose output says which modalities are seen; whatever reads it is not a tower."""


def explained(spec: Spec) -> tuple[str, ...]:
    """The tasks that have shares, in their order."""
    heads = heads_of(spec).items()
    return tuple(name for name, head in heads if head.explained_part is not None)


def coalitions(players: int) -> tuple[Coalition, ...]:
    """All subsets of so many players, the empty one first and the whole last."""
    return tuple(
        frozenset(chosen)
        for size in range(players + 1)
        for chosen in itertools.combinations(range(players), size)
    )


def shapley(values: Mapping[Coalition, tf.Tensor], players: int) -> tf.Tensor:
    """The players' shares: what each adds to a coalition, on average over all orders of joining.

    Args:
        values: What each of `coalitions` is worth, float64 `[batch]`.
        players: Their number.

    Returns:
        float64 `[batch, players]`; a row adds up to the worth of all less that of none.
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
    """A model cut in two where it is told which modalities are there.

    Args:
        model: See `fused.build`.
        spec: What it was built from.
    """

    def __init__(self, model: keras.Model, spec: Spec) -> None:
        self._names = spec.modalities.names
        heads = heads_of(spec)
        self._heads = {task: heads[task] for task in explained(spec)}
        visible = model.get_layer(VISIBLE).output
        self._whole = _Rest(visible, dict(model.output))
        self._part = _Rest(visible, {task: model.output[task] for task in self._heads})
        self._steps = _steps(model)
        # What the tasks with shares read is among what all read.
        given = {str(place): one for place, one in enumerate(self._whole.given)}
        self._towers = keras.Model(model.input, given, name="towers")

    def logits(self, inputs: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], "Towers"]:
        """What the model gives, and what its towers gave on the way.

        Args:
            inputs: See `data.Batch.features`.
        """
        given = self._towers(dict(inputs), training=False)
        passed = {id(one): given[str(place)] for place, one in enumerate(self._whole.given)}
        present = tf.stack([inputs[f"{name}_present"] for name in self._names], axis=1)

        def rest(coalition: Coalition) -> dict[str, tf.Tensor]:
            hidden = [one for one, place in self._steps.items() if place not in coalition]
            none = {one: passed[one][:, :0] for one in hidden if one in passed}
            seen = present & tf.constant([p in coalition for p in range(len(self._names))])
            return self._part(passed | none, seen)

        return self._whole(passed, present), Towers(present, rest)

    def shares(
        self, towers: "Towers", whole: Mapping[str, tf.Tensor]
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Splits what each row's prediction is worth into shares of the modalities.

        Args:
            towers: See `logits`.
            whole: By task, the `explained_part` of what the model gives, such as probabilities,
                float32 `[batch, classes]`.

        Returns:
            By task, what the model gives where it sees nothing, float32 `[batch]`, and the shares,
            float32 `[batch, modalities]`; those of what a row lacks are 0.
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
    """What the towers gave for a batch.

    Attributes:
        present: Which modalities the rows have, bool `[batch, modalities]`.
        rest: Gives logits by task with shares, where a coalition is seen.
    """

    def __init__(
        self, present: tf.Tensor, rest: Callable[[Coalition], dict[str, tf.Tensor]]
    ) -> None:
        self.present = present
        self.rest = rest


class _Rest:
    """The part of a model behind `visible`, as a model of its own that shares the layers.

    Attributes:
        given: The tensors that it reads beside `visible`.
    """

    def __init__(
        self, visible: keras.KerasTensor, outputs: Mapping[str, keras.KerasTensor]
    ) -> None:
        self.given = _edge(visible, list(outputs.values()))
        self._model = keras.Model([*self.given, visible], dict(outputs), name="behind_the_towers")

    def __call__(self, passed: Mapping[int, tf.Tensor], seen: tf.Tensor) -> dict[str, tf.Tensor]:
        given = [passed[id(one)] for one in self.given]
        # Not `self._model(...)`: that wants as many steps of a hidden modality as there were.
        return dict(self._model.call([*given, seen], training=False))


def _steps(model: keras.Model) -> dict[int, int]:
    """The tensors that hold a modality's steps, or say which of them are there, with its place."""
    fusions = [layer for layer in model.layers if isinstance(layer, AttentionFusion)]
    return {
        id(one): place
        for fusion in fusions
        for one, place in zip(fusion.input[len(fusion.own) + 1 :], 2 * fusion.of, strict=True)
    }


def _edge(
    visible: keras.KerasTensor, outputs: Sequence[keras.KerasTensor]
) -> list[keras.KerasTensor]:
    """The tensors that what depends on `visible` reads, and that do not depend on it themselves."""
    behind: dict[int, bool] = {id(visible): True}
    edge: dict[int, keras.KerasTensor] = {}

    def read_by(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
        operation, node, _ = tensor._keras_history
        return list(operation._inbound_nodes[node].input_tensors)

    def is_behind(tensor: keras.KerasTensor) -> bool:
        if id(tensor) not in behind:
            behind[id(tensor)] = any([is_behind(one) for one in read_by(tensor)])
        return behind[id(tensor)]

    def visit(tensor: keras.KerasTensor) -> None:
        if id(tensor) in done:
            return
        done.add(id(tensor))
        for one in read_by(tensor):
            if is_behind(one):
                visit(one)
            else:
                edge[id(one)] = one

    done = {id(visible)}
    for output in outputs:
        if not is_behind(output):
            edge[id(output)] = output
        else:
            visit(output)
    return list(edge.values())


def _weight(others: int, players: int) -> float:
    """The share of all orders in which exactly `others` certain players join before another."""
    return math.factorial(others) * math.factorial(players - others - 1) / math.factorial(players)
