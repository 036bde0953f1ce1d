"""Interface of the label part of the feature graph, and the texts that it may read."""

import functools
from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.source_words import Source, source_of
from triad_ml.transforms.features.words import Words
from triad_ml.transforms.spec.modalities import TextSpec

Tensors = dict[str, tf.Tensor]
Inputs: TypeAlias = Mapping[str, tf.Tensor]
FeatureSpec = dict[str, tf.io.FixedLenFeature | tf.io.VarLenFeature]
Features: TypeAlias = MutableMapping[str, Any]
"""Features of a `tf.train.Example`, by name; looking up a new name adds it."""


class TextGraph:
    """Texts of a batch, for tasks that read more than token ids.

    Attributes:
        words: Offsets of the tokens.

    Args:
        content: Canonical UTF-8, string `[batch]`.
        spec: Kind of tokens and length.
        words: Offsets of the tokens.
    """

    def __init__(self, content: tf.Tensor, spec: TextSpec, words: Words) -> None:
        self.words = words
        self._content, self._spec = content, spec

    @functools.cached_property
    def source(self) -> Source:
        """Tokens in their original spelling; the first access adds them to the graph."""
        return source_of(self._content, self._spec)


class TargetGraph(Protocol):
    """Label part of the feature graph for tasks of one kind.

    Attributes:
        counts: Names of the counts `label_<task>.<count>` that the graph outputs for each record.
    """

    counts: tuple[str, ...]

    def moments(self, name: str) -> tuple[str, ...]:
        """Returns the names of the moments that the graph of a task needs.

        Args:
            name: Name of the task.
        """

    def raw_features(self, name: str, task: Any) -> FeatureSpec:
        """Returns the inputs of the graph for a task: its part of `raw_feature_spec`."""

    def serialize(self, value: Any | None, name: str, feature: Features) -> None:
        """Writes a parsed label, or None, as features of `raw_features`."""

    def text_graph(self, text: TextGraph) -> Tensors:
        """Returns the features of the text that all tasks of this kind share."""

    def input_graph(
        self, inputs: Inputs, name: str, task: Any, text: TextGraph | None, analyzers: Analyzers
    ) -> Tensors:
        """Returns the network's inputs for a task, and the label if it is computed with them."""

    def label_graph(
        self, inputs: Inputs, name: str, task: Any, text: TextGraph | None, analyzers: Analyzers
    ) -> Tensors:
        """Returns the label of a task, unless `input_graph` returned it, and its counts."""


class WithoutMoments:
    """Default of `TargetGraph.moments` for kinds without moments."""

    def moments(self, name: str) -> tuple[str, ...]:
        return ()


def given_label(name: str) -> FeatureSpec:
    """Returns the raw features of a label that is a list of strings.

    They are the strings, and a flag, 0 or 1, for records that have the label.
    """
    return {
        f"label_{name}": tf.io.VarLenFeature(tf.string),
        f"label_{name}_given": tf.io.FixedLenFeature([], tf.int64),
    }


class WithoutText(WithoutMoments):
    """Defaults of `TargetGraph` for kinds that do not read texts."""

    counts: tuple[str, ...] = ()

    def raw_features(self, name: str, task: Any) -> FeatureSpec:
        return given_label(name)

    def text_graph(self, text: TextGraph) -> Tensors:
        return {}

    def input_graph(
        self, inputs: Inputs, name: str, task: Any, text: TextGraph | None, analyzers: Analyzers
    ) -> Tensors:
        return {}


def write_strings(values: tuple[str, ...] | None, name: str, feature: Features) -> None:
    """Writes a label that is a list of strings as the features of `given_label`."""
    strings = feature[f"label_{name}"].bytes_list.value
    strings.extend(value.encode() for value in values or ())
    feature[f"label_{name}_given"].int64_list.value.append(values is not None)
