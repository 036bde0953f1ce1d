"""Interface of the label part of the feature graph, and the text that it may read."""

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
"""Features of a `tf.train.Example`, by name; a name that is looked up is added."""


class TextGraph:
    """Texts of a batch, as far as tasks read more of them than token ids.

    Attributes:
        words: Places of the tokens.

    Args:
        content: Canonical UTF-8, string `[batch]`.
        spec: Kind of tokens and length.
        words: See above.
    """

    def __init__(self, content: tf.Tensor, spec: TextSpec, words: Words) -> None:
        self.words = words
        self._content, self._spec = content, spec

    @functools.cached_property
    def source(self) -> Source:
        """The tokens as the texts have them; the first look-up adds them to the graph."""
        return source_of(self._content, self._spec)


class TargetGraph(Protocol):
    """Label part of the feature graph for tasks of one kind.

    Attributes:
        counts: Names of the counts `label_<task>.<count>` that the graph gives for each record.
    """

    counts: tuple[str, ...]

    def moments(self, name: str) -> tuple[str, ...]:
        """Names the moments that the graph of a task asks analyzers for."""

    def raw_features(self, name: str, task: Any) -> FeatureSpec:
        """Lists what the graph takes for a task: its part of `raw_feature_spec`."""

    def serialize(self, value: Any | None, name: str, feature: Features) -> None:
        """Writes a parsed label, or None, as features of `raw_features`."""

    def text_graph(self, text: TextGraph) -> Tensors:
        """Adds the features of the text that tasks of this kind share."""

    def input_graph(
        self, inputs: Inputs, name: str, task: Any, text: TextGraph | None, analyzers: Analyzers
    ) -> Tensors:
        """Adds what the network reads for a task, and a label that is made with it."""

    def label_graph(
        self, inputs: Inputs, name: str, task: Any, text: TextGraph | None, analyzers: Analyzers
    ) -> Tensors:
        """Adds the label of a task, where `input_graph` has not, and its counts."""


class WithoutMoments:
    """The part of `TargetGraph` that a kind without moments leaves out."""

    def moments(self, name: str) -> tuple[str, ...]:
        return ()


def given_label(name: str) -> FeatureSpec:
    """The raw features of a label that is a list of strings, and whether it is given."""
    return {
        f"label_{name}": tf.io.VarLenFeature(tf.string),
        f"label_{name}_given": tf.io.FixedLenFeature([], tf.int64),
    }


class WithoutText(WithoutMoments):
    """The parts of `TargetGraph` that a kind without texts leaves out."""

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
    strings.extend(one.encode() for one in values or ())
    feature[f"label_{name}_given"].int64_list.value.append(values is not None)
