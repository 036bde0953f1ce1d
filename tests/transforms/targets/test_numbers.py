"""Labels of regression tasks in the feature graph."""

import numpy as np
import tensorflow as tf
from tensorflow.core.example import example_pb2

from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.spec.tasks import RegressionTask
from triad_ml.transforms.targets.numbers import Numbers

TASK = RegressionTask(kind="regression", label="price")
KNOWN = KnownAnalyzers(
    Analysis({}, {"label_price": ((10.0,), (0.0,)), "label_size": ((10.0,), (4.0,))})
)


def inputs(values: list[float | None], name: str) -> dict[str, tf.Tensor]:
    """Parses what `serialize` writes."""
    serialized = []
    for value in values:
        example = example_pb2.Example()
        Numbers().serialize(value, name, example.features.feature)
        serialized.append(example.SerializeToString())
    parsed = tf.io.parse_example(serialized, Numbers().raw_features(name, TASK))
    return {**parsed, "text": tf.constant([b"x"] * len(values))}


def test_a_label_is_itself_and_a_missing_one_is_told_apart():
    given = inputs([2.5, None, -1.0], "size")
    found = Numbers().label_graph(given, "size", TASK, None, KNOWN)["label_size"]
    np.testing.assert_array_equal(found, [[1, 2.5], [-1, -1], [1, -1]])


def test_each_row_has_the_scale_of_the_training_split():
    given = inputs([2.5, None], "size")
    found = Numbers().input_graph(given, "size", TASK, None, KNOWN)["scale_size"]
    np.testing.assert_array_equal(found, [[10, 4], [10, 4]])


def test_labels_that_are_all_alike_are_not_scaled():
    found = Numbers().input_graph(inputs([10.0], "price"), "price", TASK, None, KNOWN)
    np.testing.assert_array_equal(found["scale_price"], [[10, 1]])
