"""Transform digest: equal for two transforms that compute the same features."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from google.protobuf import text_format

from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.graph.preprocessing_fn import placeholders, preprocessing_fn
from triad_ml.transforms.spec.spec import Spec

_TABLE = re.compile(r"hash_table_[0-9a-f-]{36}")
_LARGE = 2**17  # bytes of a constant
_QUOTED = re.compile(r'"(\w+)"')


def transform_digest(spec: Spec, analysis: Analysis) -> str:
    """Returns the SHA-256 of everything that decides features, hexadecimal.

    That is a part of the spec, the analysis, and the traced graph. The digest does not depend on
    the runner, the machine or the order of the records. It changes with any line of the feature
    graph, with the vocabularies and moments of the training data, and with a version of TensorFlow
    that traces another graph.
    """
    return joined(transform_parts(spec, analysis))


def transform_parts(spec: Spec, analysis: Analysis) -> dict[str, str]:
    """Returns the SHA-256 of each part of a transform: `features` (spec), `analysis`, `graph`."""
    parts = {
        "features": spec.features_json(),
        "analysis": analysis.to_json(),
        "graph": _graph_text(spec, analysis),
    }
    return {name: hashlib.sha256(part.encode()).hexdigest() for name, part in parts.items()}


def joined(parts: Mapping[str, str]) -> str:
    """Returns the transform digest, from the digests of its parts in their order."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, parts.values()))).hexdigest()


def _graph_text(spec: Spec, analysis: Analysis) -> str:
    """Returns the feature graph as text, without the numbers that TensorFlow counts per process."""
    with tf.Graph().as_default() as graph:
        transform = preprocessing_fn(spec, KnownAnalyzers(analysis))
        transform(placeholders(spec))
        graph_def = graph.as_graph_def()
    graph_def.ClearField("versions")
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        _hash_weights(nodes)
    functions = {
        function.signature.name: text_format.MessageToString(function)
        for function in graph_def.library.function
    }
    graph_def.ClearField("library")
    whole = _numbered(text_format.MessageToString(graph_def), functions)
    return _TABLE.sub("hash_table", whole)


def _hash_weights(nodes: Iterable[Any]) -> None:
    """Replaces large constants by their digests; as text they would be four times as large."""
    for node in nodes:
        content = node.attr["value"].tensor.tensor_content if node.op == "Const" else b""
        if len(content) > _LARGE:
            digest = hashlib.sha256(content).hexdigest().encode()
            node.attr["value"].tensor.tensor_content = digest


def _numbered(graph: str, functions: dict[str, str]) -> str:
    """Returns the graph and its functions, numbered in the order of their first mention.

    Nodes keep their names, which define the edges; their numbers begin anew in each graph.
    """
    texts, numbers = [graph], dict[str, int]()
    for text in texts:
        for name in _QUOTED.findall(text):
            if name in functions and name not in numbers:
                numbers[name] = len(numbers)
                texts.append(functions[name])
    if not numbers:
        return graph
    # The placeholders of a loop have the names of its functions behind other words.
    names = re.compile(rf"({'|'.join(map(re.escape, numbers))})(?!\d)")
    return names.sub(lambda match: f"function_{numbers[match[1]]}", "\n".join(texts))
