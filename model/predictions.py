"""What a model says about the records of a dataset."""

import weakref
from collections.abc import Collection
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import heads


class Predictions(NamedTuple):
    """What a model says about the records of a dataset, in the dataset's order.

    Attributes:
        probabilities: float32 `[records, classes]` by task.
        labels: See `data.Batch`; `[records]`, or `[records, classes]` of a multi-label task.
        ids: The records' ids.
    """

    probabilities: dict[str, npt.NDArray[np.float32]]
    labels: dict[str, npt.NDArray[np.int64 | np.float32]]
    ids: tuple[str, ...]


def predict(
    model: keras.Model, dataset: tf.data.Dataset, hidden: Collection[str] = ()
) -> Predictions:
    """Scores every record of a dataset.

    Args:
        model: See `fused.build`.
        dataset: See `data.eval_dataset`.
        hidden: Modalities to be treated as missing in each record.
    """
    call = _compiled(model)
    elements = dataset.element_spec
    outputs = call.get_concrete_function(elements.features).structured_outputs
    shares = {name: [_no_rows(outputs[name])] for name in elements.labels}
    found_labels = {name: [_no_rows(one)] for name, one in elements.labels.items()}
    found_ids: list[str] = []
    for features, labels, ids in dataset:
        blank = {f"{name}_present": tf.zeros_like(features[f"{name}_present"]) for name in hidden}
        logits = call({**features, **blank})
        real = ids.numpy() != b""
        found_ids.extend(one.decode() for one in ids.numpy()[real])
        for name, values in labels.items():
            found_labels[name].append(values.numpy()[real])
            share = heads.probabilities(logits[name], multi_label=values.shape.rank == 2)
            shares[name].append(share.numpy()[real])
    return Predictions(
        {name: np.concatenate(parts) for name, parts in shares.items()},
        {name: np.concatenate(parts) for name, parts in found_labels.items()},
        tuple(found_ids),
    )


_calls: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()


def _compiled(model: keras.Model) -> Any:
    """The model as a TensorFlow function; traced once for all calls of `predict`."""
    if model not in _calls:
        weak = weakref.proxy(model)  # the function must not keep the key of its entry alive
        _calls[model] = tf.function(
            lambda features: weak(features, training=False), autograph=False
        )
    return _calls[model]


def _no_rows(spec: tf.TensorSpec) -> npt.NDArray[np.int64 | np.float32]:
    return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
