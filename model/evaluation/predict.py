"""What a model says about the records of a dataset."""

import weakref
from collections.abc import Collection
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.data.batches import SURFACES, Batch
from triad_ml.model.tasks.classification import head as classification_head
from triad_ml.model.tasks.generation import head as generation_head
from triad_ml.model.tasks.generation.metrics import Written
from triad_ml.model.tasks.tagging import crf
from triad_ml.model.tasks.tagging import head as tagging_head
from triad_ml.model.tasks.tagging.metrics import Tags
from triad_ml.transforms.records import live

Tensors = dict[str, tf.Tensor]


class Predictions(NamedTuple):
    """What a model says about the records of a dataset, in the dataset's order.

    Attributes:
        probabilities: float32 `[records, classes]` by classification task.
        tags: By tagging task.
        written: By generation task.
        labels: See `data.Batch`; `[records]`, or `[records, classes + 1]` of a multi-label task, or
            `[records, length]` of a tagging task. Of a generation task the whole texts, string
            `[records]`, empty where there is none.
        ids: The records' ids.
    """

    probabilities: dict[str, npt.NDArray[np.float32]]
    tags: dict[str, Tags]
    written: dict[str, Written]
    labels: dict[str, npt.NDArray[Any]]
    ids: tuple[str, ...]

    def of(self, task: str) -> npt.NDArray[np.float32] | Tags | Written:
        """The probabilities, the tags or the texts of a task."""
        said: npt.NDArray[np.float32] | Tags | Written | None
        said = self.tags.get(task) or self.written.get(task)
        return self.probabilities[task] if said is None else said


def predict(
    model: keras.Model, dataset: tf.data.Dataset, hidden: Collection[str] = ()
) -> Predictions:
    """Scores every record of a dataset.

    Args:
        model: See `fused.build`.
        dataset: See `data.eval_dataset`.
        hidden: Modalities to be treated as missing in each record.
    """
    kinds = _kinds(dataset.element_spec)
    call = _compiled(model, tuple(sorted(kinds.items())))
    elements = dataset.element_spec
    outputs = call.get_concrete_function(elements.features, elements.texts).structured_outputs
    said = {name: [tuple(map(_no_rows, outputs[name]))] for name in kinds}
    truth = {
        name: [_no_rows(elements.texts.get(name, one))] for name, one in elements.labels.items()
    }
    found_ids: list[str] = []
    for features, labels, ids, texts in dataset:
        blank = {f"{name}_present": tf.zeros_like(features[f"{name}_present"]) for name in hidden}
        found = call({**features, **blank}, texts)
        real = ids.numpy() != b""
        live.add(int(real.sum()))
        found_ids.extend(one.decode() for one in ids.numpy()[real])
        for name, values in labels.items():
            truth[name].append(texts.get(name, values).numpy()[real])
            said[name].append(tuple(part.numpy()[real] for part in found[name]))
    whole = {name: tuple(map(np.concatenate, zip(*one, strict=True))) for name, one in said.items()}
    return Predictions(
        {name: whole[name][0] for name, kind in kinds.items() if kind in _SHARES},
        {name: Tags(*whole[name]) for name, kind in kinds.items() if kind == "tags"},
        {name: Written(*whole[name]) for name, kind in kinds.items() if kind == "text"},
        {name: np.concatenate(found) for name, found in truth.items()},
        tuple(found_ids),
    )


_SHARES = ("class", "set")


def _kinds(elements: Batch) -> dict[str, str]:
    """By task, what its labels are: `class`, `set`, `tags` or `text`."""
    kinds = {}
    for name, one in elements.labels.items():
        kind = "class" if one.shape.rank == 1 else "tags" if one.dtype.is_integer else "set"
        kinds[name] = "text" if name in elements.texts else kind
    return kinds


_calls: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()


def _compiled(model: keras.Model, kinds: tuple[tuple[str, str], ...]) -> Any:
    """What the model says, by task a tuple, as a TensorFlow function; traced once for all calls."""
    if model not in _calls:
        weak = weakref.proxy(model)  # the function must not keep the key of its entry alive

        def call(features: Tensors, texts: Tensors) -> dict[str, tuple[tf.Tensor, ...]]:
            outputs = dict(weak(features, training=False))
            return {name: _said(name, kind, outputs[name], features, texts) for name, kind in kinds}

        def _said(
            name: str, kind: str, output: tf.Tensor, features: Tensors, texts: Tensors
        ) -> tuple[tf.Tensor, ...]:
            if kind == "text":
                decoder = generation_head.decoder_of(weak, name)
                return generation_head.write(decoder, output, features, texts.get(SURFACES))
            if kind == "tags":
                words = tagging_head.words_to_tag(features, name)
                decoded = crf.decode(crf.unpack(output, words))
                return decoded.tags, decoded.span_scores
            return (classification_head.probabilities(output, multi_label=kind == "set"),)

        _calls[model] = tf.function(call, autograph=False)
    return _calls[model]


def _no_rows(spec: tf.TensorSpec) -> npt.NDArray[Any]:
    return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
