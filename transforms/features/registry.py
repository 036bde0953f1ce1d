"""Registry of features: the part of the feature graph that decodes each modality's media."""

import abc
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.audio import MOMENTS, audio_graph, samples
from triad_ml.transforms.features.grams import GRAMS, grams_graph
from triad_ml.transforms.features.image import image_graph, packed
from triad_ml.transforms.features.text import placed_text_graph, spelled_graph, text_graph
from triad_ml.transforms.features.word_shapes import SPELLING
from triad_ml.transforms.features.words import Words
from triad_ml.transforms.spec.spec import Spec

Tensors = dict[str, tf.Tensor]


class Read(NamedTuple):
    """Output of one modality's part of the feature graph.

    Attributes:
        features: Features by name.
        words: Offsets of the tokens, if the media are texts and a task needs them.
        encode: Function that adds the features of the encoder that preprocessing runs; None without
            one. Encoders that run at the same time share threads, so their last bits may differ:
            the caller lets one end before the next begins.
    """

    features: Tensors
    words: Words | None = None
    encode: Callable[[], Tensors] | None = None


class FeatureGraph(abc.ABC):
    """Part of the feature graph for one modality.

    Attributes:
        moments: Names that the graph passes to `Analyzers.moments`.
    """

    moments: tuple[str, ...] = ()

    def measured(self, spec: Spec) -> tuple[str, ...]:
        """Returns those of `moments` that the graph of a spec needs."""
        return self.moments

    @abc.abstractmethod
    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        """Computes the features of canonical media.

        Args:
            content: Canonical media, string `[batch]`; empty if missing.
            spec: Spec with names and sizes.
            analyzers: Analyzers for vocabularies and moments.
        """


class Image(FeatureGraph):
    """Features of images: pixels, or the embeddings of an encoder that preprocessing runs."""

    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        assert spec.modalities.image is not None
        pixels = image_graph(content, spec.modalities.image)
        if not spec.model.encodes_first:
            return Read({"image": pixels})
        from triad_ml.transforms.encoders import image  # imports Keras only if needed

        present = tf.not_equal(content, b"")
        return Read({}, encode=lambda: {"image": image.vectors_graph(pixels, present, spec)})


class Audio(FeatureGraph):
    """Features of audio: z-scored log-mel frames, or the embedding or input of an encoder."""

    moments = (MOMENTS,)

    def measured(self, spec: Spec) -> tuple[str, ...]:
        return self.moments if spec.model.audio_encoder is None else ()

    def graph(self, content: tf.Tensor, spec: Spec, analyzers: Analyzers) -> Read:
        assert spec.modalities.audio is not None
        if spec.model.audio_encoder is None:
            return Read({"audio": audio_graph(content, spec.modalities.audio, analyzers)})
        from triad_ml.transforms.encoders import audio  # imports Keras only if needed

        signal, num_samples = samples(content, spec.modalities.audio)
        if spec.model.encodes_audio_first:
            return Read(
                {}, encode=lambda: {"audio": audio.vectors_graph(signal, num_samples, spec)}
            )
        values = audio.encoder_of(spec).features(signal, num_samples, spec)
        return Read({"audio": packed(values) if values.dtype == tf.uint8 else values})


class Text(FeatureGraph):
    """Features of texts: token ids, offsets if a task reads words, spelling, pieces."""

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
        if spec.model.text_encoder is None:
            return Read(features, words)
        from triad_ml.transforms.features.pieces import encoded  # imports Keras only if needed

        if spec.model.encodes_texts_first:
            return Read(features, words, lambda: encoded.vectors_graph(content, spec.model))
        return Read(features | encoded.pieces_features(content, spec.model, words), words)


FEATURES: Mapping[str, FeatureGraph] = {"image": Image(), "audio": Audio(), "text": Text()}
"""Parts of the feature graph by modality, in the order of `MODALITIES`."""
