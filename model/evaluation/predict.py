"""Predictions of a model on the records of a dataset."""

import weakref
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.tasks.base import TaskHead, Tensors
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.records import live


class Predictions(NamedTuple):
    """Predictions of a model on the records of a dataset, in the dataset's order.

    Attributes:
        said: By task, the predictions: float32 `[records, classes]` for classification, float32
            `[records]` for regression, `Tags` or `Written`; see `TaskHead.gathered`.
        labels: By task, the labels, see `batches.Batch`; for a generation task the whole texts,
            string `[records]`, empty if a record has no label.
        ids: Ids of the records.
    """

    said: dict[str, Any]
    labels: dict[str, npt.NDArray[Any]]
    ids: tuple[str, ...]


def predict(
    model: keras.Model,
    dataset: tf.data.Dataset,
    layout: Layout,
    hidden: Collection[str] = (),
    tasks: Collection[str] | None = None,
) -> Predictions:
    """Scores every record of a dataset.

    Args:
        model: Scoring network, from `network.build`.
        dataset: Batches of records, from `datasets.eval_dataset`.
        layout: Layout of the training files that the dataset reads.
        hidden: Modalities to treat as missing in each record.
        tasks: Tasks to predict; None for all.
    """
    heads = {
        name: head
        for name, head in heads_of(layout.spec, layout.classes).items()
        if tasks is None or name in tasks
    }
    call = _compiled(model, heads)
    elements = dataset.element_spec
    outputs = call.get_concrete_function(elements.features, elements.texts).structured_outputs
    predicted = {name: [tuple(map(_no_rows, outputs[name]))] for name in heads}
    truth = {name: [_no_rows(elements.texts.get(name, elements.labels[name]))] for name in heads}
    record_ids: list[str] = []
    for features, labels, ids, texts in dataset:
        blank = {f"{name}_present": tf.zeros_like(features[f"{name}_present"]) for name in hidden}
        outputs = call({**features, **blank}, texts)
        real = ids.numpy() != b""
        live.add(int(real.sum()))
        record_ids.extend(record_id.decode() for record_id in ids.numpy()[real])
        for name in heads:
            truth[name].append(texts.get(name, labels[name]).numpy()[real])
            predicted[name].append(tuple(part.numpy()[real] for part in outputs[name]))
    whole = {
        name: tuple(map(np.concatenate, zip(*batches, strict=True)))
        for name, batches in predicted.items()
    }
    return Predictions(
        {name: head.gathered(whole[name]) for name, head in heads.items()},
        {name: np.concatenate(labels) for name, labels in truth.items()},
        tuple(record_ids),
    )


_calls: weakref.WeakKeyDictionary[keras.Model, dict[tuple[str, ...], Any]] = (
    weakref.WeakKeyDictionary()
)


def _compiled(model: keras.Model, heads: Mapping[str, TaskHead]) -> Any:
    """Returns the TensorFlow function that computes `TaskHead.predicted` of each task, by its name.

    It is traced once per model and choice of tasks.
    """
    own = _calls.setdefault(model, {})
    if tuple(heads) not in own:
        weak = weakref.proxy(model)  # else the cached function would keep its own key alive

        def call(features: Tensors, texts: Tensors) -> dict[str, tuple[tf.Tensor, ...]]:
            outputs = dict(weak(features, training=False))
            return {
                name: head.predicted(outputs[name], features, texts, weak)
                for name, head in heads.items()
            }

        own[tuple(heads)] = tf.function(call, autograph=False)
    return own[tuple(heads)]


def _no_rows(spec: tf.TensorSpec) -> npt.NDArray[Any]:
    """Returns an array without rows of the shape and dtype of a batch."""
    return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
