"""The registry of features: by modality, the part of the feature graph that reads its media."""

import abc
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.audio import MOMENTS, audio_graph
from triad_ml.transforms.features.grams import GRAMS, grams_graph
from triad_ml.transforms.features.image import image_graph
from triad_ml.transforms.features.text import placed_text_graph, spelled_graph, text_graph
from triad_ml.transforms.features.word_shapes import SPELLING
from triad_ml.transforms.features.words import Words
from triad_ml.transforms.spec.spec import Spec

Tensors = dict[str, tf.Tensor]


class Read(NamedTuple):
    """One modality's media in the feature graph.

    Attributes:
        features: By name.
        words: The places of its tokens, where the media are texts and a task needs them.
    """

    features: Tensors
    words: Words | None = None


class FeatureGraph(abc.ABC):
    """The features of one modality.

    Attributes:
        moments: The names that the graph gives to `Analyzers.moments`.
    """

    moments: tuple[str, ...] = ()

    @abc.abstractmethod
    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        """Reads canonical media.

        Args:
            content: String `[batch]`; empty where missing.
            spec: Names and sizes.
            analyzers: Give the vocabularies and moments.
        """


class Image(FeatureGraph):
    """Pictures, or the vectors of an encoder that preprocessing runs."""

    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        assert spec.modalities.image is not None
        pictures = image_graph(content, spec.modalities.image)
        if not spec.model.encodes_first:
            return Read({"image": pictures})
        from triad_ml.transforms.encoders import image  # Keras is not needed without

        return Read({"image": image.vectors_graph(pictures, tf.not_equal(content, b""), spec)})


class Audio(FeatureGraph):
    """Sounds as z-scored log-mel frames."""

    moments = (MOMENTS,)

    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        assert spec.modalities.audio is not None
        return Read({"audio": audio_graph(content, spec.modalities.audio, analyzers)})


class Text(FeatureGraph):
    """Texts as token ids, the tokens' places where a task is about them, and their spelling."""

    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        section = spec.modalities.text
        assert section is not None
        features: Tensors = {}
        words = None
        if spec.reads_words:
            features["text"], words = placed_text_graph(content, section, analyzers)
        else:
            features["text"] = text_graph(content, section, analyzers)
        features[GRAMS] = grams_graph(content, section)
        if section.spelling:
            features[SPELLING] = spelled_graph(content, section, section.spelling)
        return Read(features, words)


FEATURES: Mapping[str, FeatureGraph] = {"image": Image(), "audio": Audio(), "text": Text()}
"""By modality, in the order of `MODALITIES`."""
