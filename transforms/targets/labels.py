"""TensorFlow graph of all labels but texts, by kind of task."""

from collections.abc import Mapping

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.words import Words
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.targets.classes import label_graph, label_set_graph
from triad_ml.transforms.targets.spans import Tensors, tags_graph


def labels_graph(
    inputs: Mapping[str, tf.Tensor], spec: Spec, words: Words | None, analyzers: Analyzers
) -> Tensors:
    """The features of all labels but texts; see `preprocessing.preprocessing_fn`.

    Args:
        inputs: See `preprocessing.raw_feature_spec`.
        spec: Names the tasks.
        words: Of the texts; None where no task is tagging.
        analyzers: Give the vocabularies of classes.
    """
    outputs: Tensors = {}
    for name, task in spec.tasks.items():
        if task.kind == "generation":
            continue  # see `target_graphs`
        feature = f"label_{name}"
        classes, given = inputs[feature], inputs[f"{feature}_given"]
        if words is not None and task.kind == "tagging":
            places = inputs[f"{feature}.start"], inputs[f"{feature}.end"]
            outputs[feature], counts = tags_graph(classes, *places, given, words, name, analyzers)
            outputs |= {f"{feature}.{count}": values for count, values in counts.items()}
        else:
            graph = label_set_graph if task.multi_label else label_graph
            outputs[feature] = graph(classes, given, name, analyzers)
    return outputs
