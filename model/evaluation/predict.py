"""What a model says about the records of a dataset."""

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
    """What a model says about the records of a dataset, in the dataset's order.

    Attributes:
        said: By task, see `TaskHead.gathered`: float32 `[records, classes]`, `Tags` or `Written`.
        labels: See `batches.Batch`; of a generation task the whole texts, string `[records]`,
            empty where there is none.
        ids: The records' ids.
    """

    said: dict[str, Any]
    labels: dict[str, npt.NDArray[Any]]
    ids: tuple[str, ...]


def predict(
    model: keras.Model, dataset: tf.data.Dataset, layout: Layout, hidden: Collection[str] = ()
) -> Predictions:
    """Scores every record of a dataset.

    Args:
        model: See `network.build`.
        dataset: See `datasets.eval_dataset`.
        layout: Names the tasks.
        hidden: Modalities to be treated as missing in each record.
    """
    heads = heads_of(layout.spec, layout.classes)
    call = _compiled(model, heads)
    elements = dataset.element_spec
    outputs = call.get_concrete_function(elements.features, elements.texts).structured_outputs
    said = {name: [tuple(map(_no_rows, outputs[name]))] for name in heads}
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
        {name: head.gathered(whole[name]) for name, head in heads.items()},
        {name: np.concatenate(found) for name, found in truth.items()},
        tuple(found_ids),
    )


_calls: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()


def _compiled(model: keras.Model, heads: Mapping[str, TaskHead]) -> Any:
    """What the model says, by task a tuple, as a TensorFlow function; traced once for all calls."""
    if model not in _calls:
        weak = weakref.proxy(model)  # the function must not keep the key of its entry alive

        def call(features: Tensors, texts: Tensors) -> dict[str, tuple[tf.Tensor, ...]]:
            outputs = dict(weak(features, training=False))
            return {
                name: head.predicted(outputs[name], features, texts, weak)
                for name, head in heads.items()
            }

        _calls[model] = tf.function(call, autograph=False)
    return _calls[model]


def _no_rows(spec: tf.TensorSpec) -> npt.NDArray[Any]:
    return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
