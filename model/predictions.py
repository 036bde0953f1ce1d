"""What a model says about the records of a dataset."""

import weakref
from collections.abc import Collection
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import crf, heads, tagging
from model.tag_metrics import Tags


class Predictions(NamedTuple):
    """What a model says about the records of a dataset, in the dataset's order.

    Attributes:
        probabilities: float32 `[records, classes]` by classification task.
        tags: By tagging task.
        labels: See `data.Batch`; `[records]`, or `[records, classes]` of a multi-label task, or
            `[records, length]` of a tagging task.
        ids: The records' ids.
    """

    probabilities: dict[str, npt.NDArray[np.float32]]
    tags: dict[str, Tags]
    labels: dict[str, npt.NDArray[np.int64 | np.float32]]
    ids: tuple[str, ...]

    def of(self, task: str) -> npt.NDArray[np.float32] | Tags:
        """The probabilities or the tags of a task."""
        return self.tags[task] if task in self.tags else self.probabilities[task]


def predict(
    model: keras.Model, dataset: tf.data.Dataset, hidden: Collection[str] = ()
) -> Predictions:
    """Scores every record of a dataset.

    Args:
        model: See `fused.build`.
        dataset: See `data.eval_dataset`.
        hidden: Modalities to be treated as missing in each record.
    """
    elements = dataset.element_spec
    sets = {name for name, one in elements.labels.items() if one.shape.rank == 2}
    tagged = {name for name in sets if elements.labels[name].dtype.is_integer}
    call = _compiled(model, frozenset(tagged))
    outputs = call.get_concrete_function(elements.features).structured_outputs
    parts = {name: [_no_rows(outputs[name])] for name in elements.labels if name not in tagged}
    tags = {
        name: [Tags(*map(_no_rows, outputs[name]))] for name in elements.labels if name in tagged
    }
    found_labels = {name: [_no_rows(one)] for name, one in elements.labels.items()}
    found_ids: list[str] = []
    for features, labels, ids in dataset:
        blank = {f"{name}_present": tf.zeros_like(features[f"{name}_present"]) for name in hidden}
        said = call({**features, **blank})
        real = ids.numpy() != b""
        found_ids.extend(one.decode() for one in ids.numpy()[real])
        for name, values in labels.items():
            found_labels[name].append(values.numpy()[real])
            if name in tagged:
                tags[name].append(Tags(*(one.numpy()[real] for one in said[name])))
            else:
                share = heads.probabilities(said[name], multi_label=name in sets)
                parts[name].append(share.numpy()[real])
    return Predictions(
        {name: np.concatenate(found) for name, found in parts.items()},
        {
            name: Tags(*map(np.concatenate, zip(*found, strict=True)))
            for name, found in tags.items()
        },
        {name: np.concatenate(found) for name, found in found_labels.items()},
        tuple(found_ids),
    )


_calls: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()


def _compiled(model: keras.Model, tagged: frozenset[str]) -> Any:
    """The model, and its tags, as a TensorFlow function; traced once for all calls of `predict`."""
    if model not in _calls:
        weak = weakref.proxy(model)  # the function must not keep the key of its entry alive

        def call(features: dict[str, tf.Tensor]) -> dict[str, Any]:
            outputs = dict(weak(features, training=False))
            for name in tagged:
                words = tagging.words_to_tag(features, name)
                decoded = crf.decode(crf.unpack(outputs[name], words))
                outputs[name] = (decoded.tags, decoded.span_scores)
            return outputs

        _calls[model] = tf.function(call, autograph=False)
    return _calls[model]


def _no_rows(spec: tf.TensorSpec) -> npt.NDArray[Any]:
    return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
