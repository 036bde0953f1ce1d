"""Check of a model's signatures: names and dtypes of inputs and outputs, before any record."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from triad_ml.model.serving import bundle
from triad_ml.model.serving.export import EXPLAIN, FEATURES, output_name
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.spec.spec import Spec

_EXPLAINED: Mapping[str, tf.DType] = {"baseline": tf.float32, "shares": tf.float32}
"""Outputs that the signature `explain` adds for a task with explanations."""


def check(model: bundle.Artefact, name: str, signature: Any) -> None:
    """Refuses a signature whose inputs or outputs differ from those that the spec implies.

    Args:
        model: Model bundle with the signature.
        name: Name of the signature.
        signature: The signature as TensorFlow loaded it.

    Raises:
        GateError: If an input or output is missing or different; names it.
    """
    (_, inputs), outputs = signature.structured_input_signature, signature.structured_outputs
    sides = ("takes", inputs, _inputs(model.spec)), ("gives", outputs, _outputs(model, name))
    for verb, actual, expected in sides:
        for key, dtype in expected:
            if (
                key not in actual
                or actual[key].dtype != dtype
                or _is_other_width(model, key, actual[key])
            ):
                raise GateError(
                    f"{model.saved_model}: its signature {name!r} {verb} no {key!r} of type "
                    f"{dtype.name}, as its spec has it; take the model from its source again, or "
                    "train it anew"
                )


def _inputs(spec: Spec) -> Iterator[tuple[str, tf.DType]]:
    for modality in spec.modalities.names:
        yield modality, tf.string
    for task in spec.markers:
        yield f"marker_{task}", tf.int64


def _outputs(model: bundle.Artefact, name: str) -> Iterator[tuple[str, tf.DType]]:
    if name == FEATURES:
        return
    heads = heads_of(model.spec)
    for task in model.classes:
        head = heads[task]
        explained = _EXPLAINED if name == EXPLAIN and head.explained_part is not None else {}
        for part, dtype in {**head.parts, **explained}.items():
            yield output_name(task, part), dtype


def _is_other_width(model: bundle.Artefact, key: str, spec: tf.TensorSpec) -> bool:
    """Returns True if an output is a distribution, but not over the model's number of classes."""
    task, _, part = key.partition("/")
    if part != "distribution":
        return False
    return bool(spec.shape.rank != 2 or spec.shape[1] != len(model.classes[task]))
