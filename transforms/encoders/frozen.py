"""Pretrained encoders as graphs without variables, for the feature graph."""

from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any, NamedTuple

import keras
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from triad_ml.transforms.files import safetensors

OUTPUT = "vector"
"""Name of the node of the embedding."""

_SMALL = 1024
"""Number of values up to which a constant stays in the graph of an encoder."""


def aside(build: Callable[[], Any]) -> Any:
    """Returns the result of a function that runs in a thread of its own.

    In the calling thread, variables would be created in the feature graph that is being traced.
    """
    with futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


def without_variables(encoder: keras.Model, inputs: tf.TensorSpec, name: str) -> tuple[Any, int]:
    """Converts an encoder to a GraphDef.

    Args:
        encoder: Model with one input and one output, float32 `[batch, width]`.
        inputs: Shape and dtype of the input.
        name: Name of the input's node.

    Returns:
        GraphDef from the node `name` to the node `OUTPUT`, with the weights as constants, and the
        width.
    """
    traced = tf.function(lambda values: encoder(values, training=False), autograph=False)
    function = convert_to_constants.convert_variables_to_constants_v2(
        traced.get_concrete_function(inputs)
    )
    nodes = {function.inputs[0].name: name, function.outputs[0].name: OUTPUT}
    return _renamed(function.graph.as_graph_def(), nodes), int(encoder.output_shape[-1])


class Frozen(NamedTuple):
    """Encoder whose weights are outside of its graph.

    A loop over records calls the graph; the weights are constants before the loop. Weights that
    float16 holds exactly, as most checkpoints have them, are kept as float16.

    Attributes:
        graph: GraphDef from the node `features` to the node `OUTPUT`.
        weights: Weights by the name of their node in the graph, float16 or float32.
        width: Size of the embedding.
    """

    graph: Any
    weights: Mapping[str, npt.NDArray[Any]]
    width: int

    def constants(self) -> dict[str, tf.Tensor]:
        """Adds the weights to the graph that is being traced; float32 by name."""
        return {
            f"{name}:0": tf.cast(tf.constant(value), tf.float32)
            for name, value in self.weights.items()
        }

    def apply(self, features: tf.Tensor, constants: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Encodes one record.

        Args:
            features: Input of the encoder, `[1, ...]`.
            constants: Result of `constants`.

        Returns:
            Embedding, float32 `[width]`.
        """
        # The graph of a loop takes a tensor from outside only as the input of an op.
        inside = {name: tf.identity(value) for name, value in constants.items()}
        (vector,) = tf.graph_util.import_graph_def(
            self.graph, {"features:0": features, **inside}, [f"{OUTPUT}:0"], name="encoder"
        )
        return tf.reshape(vector, [self.width])


def frozen(encoder: keras.Model, inputs: tf.TensorSpec) -> Frozen:
    """Freezes an encoder; see `Frozen`."""
    graph, width = without_variables(encoder, inputs, "features")
    weights = {}
    for node in graph.node:
        if node.op != "Const" or node.attr["dtype"].type != tf.float32.as_datatype_enum:
            continue
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.size > _SMALL:
            weights[node.name] = safetensors.halved(value)
            node.op = "Placeholder"
            node.ClearField("attr")
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return Frozen(graph, weights, width)


def _renamed(graph: Any, nodes: Mapping[str, str]) -> Any:
    """Renames the nodes, so that names do not depend on earlier models of this process."""
    names = {node.name: f"node_{index}" for index, node in enumerate(graph.node)}
    names |= {old.partition(":")[0]: new for old, new in nodes.items()}
    for node in graph.node:
        node.name = names[node.name]
        for index, value in enumerate(node.input):
            mark = "^" if value.startswith("^") else ""
            name, colon, output = value.removeprefix("^").partition(":")
            node.input[index] = f"{mark}{names[name]}{colon}{output}"
    return graph
