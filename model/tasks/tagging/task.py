"""Head of tagging tasks: spans of the text, each of one class."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from triad_ml.model.tasks.base import (
    Arrays,
    Built,
    Columns,
    FeatureDescription,
    Fused,
    Reader,
    RowLosses,
    Sums,
    TaskHead,
    Tensors,
    Weights,
    output_name,
    summed,
)
from triad_ml.model.tasks.tagging import crf
from triad_ml.model.tasks.tagging.head import head, words_to_tag
from triad_ml.model.tasks.tagging.metrics import Tags
from triad_ml.model.towers.layers import MaskedPooling
from triad_ml.transforms.records.values import CanonicalRecord, ScoredSpan, Tagged


class Tagging(TaskHead):
    """Head of a tagging task; see `TaskHead`."""

    parts: ClassVar[Mapping[str, tf.DType]] = {
        "label": tf.string,
        "start": tf.int64,
        "end": tf.int64,
        "span_score": tf.float32,
        "score": tf.float32,
    }

    @property
    def _length(self) -> int:
        assert self.spec.modalities.text is not None  # the spec checks this
        return self.spec.modalities.text.length

    @property
    def _marker(self) -> str | None:
        return f"marker_{self.name}" if self.task.marker else None

    def label_features(self) -> FeatureDescription:
        return {f"label_{self.name}": tf.io.FixedLenFeature([self._length], tf.int64)}

    def input_features(self) -> FeatureDescription:
        if self._marker is None:
            return {}
        return {self._marker: tf.io.FixedLenFeature([self._length], tf.int64)}

    def labels(self, columns: Columns) -> tf.Tensor:
        return columns[f"label_{self.name}"]

    def inputs(self, columns: Columns) -> Tensors:
        if self._marker is None:
            return {}
        return {self._marker: tf.ensure_shape(columns[self._marker], [None, self._length])}

    def count(self, labels: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        """Counts the records with a label, and the spans of each class."""
        number = len(self.classes)
        begun = labels[(labels % 2 == 1) & (labels > 0)] // 2
        counts = np.bincount(begun[begun < number], minlength=number)
        return int((labels >= 0).any(axis=1).sum()), counts

    def sampled(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Finds the classes of each record's spans, bool `[records, classes]`."""
        found = np.zeros((len(labels), len(self.classes)), bool)
        rows, words = np.nonzero((labels % 2 == 1) & (labels > 0))
        classes = labels[rows, words] // 2
        known = classes < len(self.classes)
        found[rows[known], classes[known]] = True
        return found

    def network_inputs(self) -> dict[str, keras.KerasTensor]:
        if self._marker is None:
            return {}
        return {self._marker: keras.Input((self._length,), dtype="int64", name=self._marker)}

    def build(self, fused: Fused) -> Built:
        assert fused.words is not None  # a spec with a tagging task has texts
        marker = fused.inputs[self._marker] if self._marker else None
        size, spec = len(self.classes), self.spec.model
        return Built(head(*fused.words, fused.joint, marker, size, spec, f"head_{self.name}"), {})

    def represented(
        self, output: keras.KerasTensor, words: keras.KerasTensor | None
    ) -> keras.KerasTensor:
        """Returns mean and maximum, over the words, of the probabilities of the tags.

        These are the probabilities by the emissions of each word alone.
        """
        assert words is not None  # a spec with a tagging task has texts
        tags = ops.softmax(output[:, : self._length], axis=-1)
        return MaskedPooling(name=f"head_{self.name}_pooled")(tags, words)

    def moved(self, output: keras.KerasTensor, shared: keras.KerasTensor) -> keras.KerasTensor:
        added = self.projected(shared, output.shape[-1])[:, None, :]
        emissions, transitions = output[:, : self._length], output[:, self._length :]
        return ops.concatenate([emissions + added, transitions], axis=1)

    def losses(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        *,
        weights: Weights | None = None,
        smoothing: float = 0.0,
        visible: tf.Tensor | None = None,
    ) -> RowLosses:
        words = words_to_tag(features, self.name)
        return RowLosses(*crf.losses(labels, crf.unpack(output, words)))

    def sums(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        weights: Weights | None = None,
    ) -> Sums:
        """Counts a record as correct if all its tags are."""
        potentials = crf.unpack(output, words_to_tag(features, self.name))
        rows, known = crf.losses(labels, potentials)
        labelled = tf.reduce_any(labels >= 0, axis=1)
        right = tf.reduce_all(tf.equal(crf.best_tags(potentials), tf.maximum(labels, 0)), axis=1)
        return summed(rows, known, right & labelled, labelled)

    def predicted(
        self, output: tf.Tensor, features: Tensors, texts: Tensors, model: keras.Model
    ) -> tuple[tf.Tensor, ...]:
        decoded = crf.decode(crf.unpack(output, words_to_tag(features, self.name)))
        return decoded.tags, decoded.span_scores

    def gathered(self, arrays: tuple[npt.NDArray[Any], ...]) -> Tags:
        return Tags(*arrays)

    def serve(
        self,
        output: tf.Tensor,
        inputs: Tensors,
        features: Columns,
        model: keras.Model,
        names: tf.Tensor,
    ) -> Tensors:
        """Computes label, start, end and score of spans, one entry per word.

        At a word that begins no span, the label is empty, and start and end are -1. Starts and ends
        are offsets in characters of the canonical text.
        """
        decoded = crf.decode(crf.unpack(output, words_to_tag(inputs, self.name)))
        last = tf.gather(features["text_end"], decoded.ends, batch_dims=1)
        classes = tf.gather(names, tf.maximum(decoded.tags - 1, 0) // 2)
        return {
            "start": tf.where(decoded.spans, features["text_start"], -1),
            "end": tf.where(decoded.spans, last, -1),
            "label": tf.where(decoded.spans, classes, ""),
            "span_score": decoded.span_scores,
            "score": decoded.scores,
        }

    def finite(self, outputs: Arrays) -> npt.NDArray[np.bool_]:
        whole = np.isfinite(self.column(outputs, "score"))
        return np.asarray(whole & np.isfinite(self.column(outputs, "span_score")).all(axis=1))

    def reader(self, outputs: Arrays) -> Reader:
        return lambda row, record, _: tagged(self.name, outputs, row, record)


def tagged(task: str, outputs: Arrays, row: int, record: CanonicalRecord) -> Tagged:
    """Reads the spans of a row of the serving outputs, with offsets in the caller's characters."""
    labels, starts, ends, scores = (
        outputs[output_name(task, part)][row] for part in ("label", "start", "end", "span_score")
    )
    spans = []
    for word in np.flatnonzero(starts >= 0):
        start, end = int(starts[word]), int(ends[word])
        if record.offsets is not None:
            start, end = record.offsets.outward(start, end)
        spans.append(ScoredSpan(start, end, labels[word].decode(), float(scores[word])))
    return Tagged(tuple(spans), float(outputs[output_name(task, "score")][row]))
