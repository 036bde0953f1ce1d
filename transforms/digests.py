"""Digests that say whether two transforms are the same one."""

import hashlib
import re

import tensorflow as tf
from google.protobuf import text_format

from transforms.analyzers import Analysis, KnownAnalyzers
from transforms.preprocessing import preprocessing_fn, raw_feature_spec
from transforms.spec import Spec

_TABLE = re.compile(r"hash_table_[0-9a-f-]{36}")
_QUOTED = re.compile(r'"(\w+)"')


def transform_digest(spec: Spec, analysis: Analysis) -> str:
    """SHA-256 of what decides a feature: the spec's part, the analysis, and the traced graph.

    It does not depend on the runner, the machine or the order of the records. It changes with one
    line of the feature graph, with the training data's vocabularies and moments, and with a version
    of TensorFlow that traces another graph.
    """
    digest = hashlib.sha256()
    for part in (spec.features_json(), analysis.to_json(), _graph_text(spec, analysis)):
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()


def _graph_text(spec: Spec, analysis: Analysis) -> str:
    """The feature graph as text, without the numbers that TensorFlow counts through a process."""
    with tf.Graph().as_default() as graph:
        transform = preprocessing_fn(spec, KnownAnalyzers(analysis))
        transform(
            {
                name: tf.compat.v1.sparse_placeholder(feature.dtype, [None, None], name)
                if isinstance(feature, tf.io.VarLenFeature)
                else tf.compat.v1.placeholder(feature.dtype, [None, *feature.shape], name)
                for name, feature in raw_feature_spec(spec).items()
            }
        )
        graph_def = graph.as_graph_def()
    graph_def.ClearField("versions")
    functions = {
        function.signature.name: text_format.MessageToString(function)
        for function in graph_def.library.function
    }
    graph_def.ClearField("library")
    whole = _numbered(text_format.MessageToString(graph_def), functions)
    return _TABLE.sub("hash_table", whole)


def _numbered(graph: str, functions: dict[str, str]) -> str:
    """The graph and its functions in the order in which they are first named, and named by it.

    Nodes keep their names: their numbers start anew in each graph, and say what goes where.
    """
    texts, numbers = [graph], dict[str, int]()
    for text in texts:
        for name in _QUOTED.findall(text):
            if name in functions and name not in numbers:
                numbers[name] = len(numbers)
                texts.append(functions[name])
    if not numbers:
        return graph
    names = re.compile(rf"\b({'|'.join(map(re.escape, numbers))})(?!\d)")
    return names.sub(lambda match: f"function_{numbers[match[1]]}", "\n".join(texts))
