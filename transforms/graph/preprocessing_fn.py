"""The tf.Transform graph: canonical bytes and labels in, features out."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers, MeasuredAnalyzers
from triad_ml.transforms.features.registry import FEATURES
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.training import DATASET_FEATURE
from triad_ml.transforms.targets import spans
from triad_ml.transforms.targets.base import FeatureSpec, Tensors, TextGraph
from triad_ml.transforms.targets.registry import TARGETS


def raw_feature_spec(spec: Spec) -> FeatureSpec:
    """Returns the inputs of the graph: `id`, canonical media, markers, and the tasks' labels.

    A marker is the index of the first and the index after the last marked canonical character.
    """
    one_string = tf.io.FixedLenFeature([], tf.string)
    features: FeatureSpec = {"id": one_string}
    features |= dict.fromkeys(spec.modalities.names, one_string)
    if spec.mixture is not None:
        features[DATASET_FEATURE] = one_string
    for name, task in spec.tasks.items():
        features |= TARGETS[task.kind].raw_features(name, task)
    return features


def placeholders(spec: Spec) -> Tensors:
    """Returns batches of `raw_feature_spec(spec)` as placeholders of the current `tf.Graph`."""
    return {
        name: tf.compat.v1.sparse_placeholder(feature.dtype, [None, None], name)
        if isinstance(feature, tf.io.VarLenFeature)
        else tf.compat.v1.placeholder(feature.dtype, [None, *feature.shape], name)
        for name, feature in raw_feature_spec(spec).items()
    }


def preprocessing_fn(
    spec: Spec, analyzers: Analyzers | None = None
) -> Callable[[Tensors], Tensors]:
    """Returns the function that tf.Transform traces.

    Its inputs are batches of `raw_feature_spec(spec)`. Its outputs:
        id: string `[batch]`; with a mixture also `DATASET_FEATURE`, the name of the data set.
        image: string `[batch]`, the bytes of uint8 `[size, size, 3]`, row by row; zeros if missing.
            If preprocessing runs an encoder: its embeddings, float32 `[batch, width]`.
        audio: float32 `[batch, frames, width]`, z-scored per feature; zeros if missing. If
            preprocessing runs an encoder: its embeddings, float32 `[batch, width]`; if training
            runs it, its input, float32, or bytes of uint8 `[size, size, 3]` as of images.
        text: int64 `[batch, length]`, token ids; `PAD` if missing.
        text_grams: int64 `[batch, grams]`, numbers of n-grams; see `grams.grams_graph`.
        text_spelling: int64 `[batch, length, parts]`, if the spec has `spelling`; see
            `word_shapes.spelling_graph`.
        text_vector: float32 `[batch, width]`, if preprocessing runs a text encoder; zeros if the
            text is missing.
        text_pieces: int64 `[batch, pieces]`, if training runs a text encoder: ids of its pieces, -1
            behind the end. If a task reads words, also text_first_piece, int64 `[batch, length]`:
            the place of each token's first piece; -1 without one.
        text_start, text_end: int64 `[batch, length]`, if a task is tagging: the index of each
            token's first character, and the index after its last; 0 without a token.
        <modality>_present: int64 `[batch]`, 0 or 1.
        marker_<task>: int64 `[batch, length]`, 1 at marked tokens, else 0.
        label_<task>: the label, by kind of task. Classification: int64 `[batch]`, the class,
            `MISSING_LABEL`, or the number of classes for a class that is not in the training split;
            of a multi-label task a sparse set of classes, or `MISSING_LABEL` alone. Tagging: int64
            `[batch, length]`; see `targets.spans.tags_graph`, also for the counts
            `label_<task>.<count>`. Generation: int64 `[batch, length of the task]`; see
            `targets.texts.units_graph`. Regression: float32 `[batch, 2]`; see
            `targets.numbers.PARTS`.
        text_surface: string `[batch, length]`, if a task is generation: the tokens in their
            original spelling; empty without a token.
        units_<task>, label_<task>.text: for a generation task; see `targets.texts.target_graph`.
        scale_<task>: float32 `[batch, 2]`, for a regression task: mean and deviation of the labels
            in the training split.

    Args:
        spec: Spec with names and sizes.
        analyzers: Analyzers that make a pass over the training split, or know its results; those of
            tf.Transform if None.
    """
    known = analyzers or MeasuredAnalyzers()
    targets = {name: TARGETS[task.kind] for name, task in spec.tasks.items()}

    def transform(inputs: Mapping[str, tf.Tensor]) -> Tensors:
        outputs: Tensors = {"id": inputs["id"]}
        if spec.mixture is not None:
            outputs[DATASET_FEATURE] = inputs[DATASET_FEATURE]
        sections = spec.modalities
        text = None
        encoded: list[tf.Tensor] = []
        for name in sections.names:
            read = FEATURES[name].graph(inputs[name], spec, known)
            outputs |= read.features
            if read.encode is not None:
                # Encoders alone are chained: whatever else follows one, as the tokens of a
                # vocabulary would, has it run in the analysis of the training split too.
                with tf.control_dependencies(encoded):
                    vectors = read.encode()
                encoded += vectors.values()
                outputs |= vectors
            if read.words is not None:
                assert sections.text is not None  # only texts have words
                text = TextGraph(inputs[name], sections.text, read.words)
        if text is not None:
            for target in dict.fromkeys(targets.values()):
                outputs |= target.text_graph(text)
        for name in sections.names:
            outputs[f"{name}_present"] = tf.cast(tf.not_equal(inputs[name], b""), tf.int64)
        for name in spec.markers:
            assert text is not None  # the task with a marker reads words
            outputs[f"marker_{name}"] = spans.marker_graph(inputs[f"marker_{name}"], text.words)
        # The transform digest depends on the order of the nodes.
        for name, target in targets.items():
            outputs |= target.input_graph(inputs, name, spec.tasks[name], text, known)
        for name, target in targets.items():
            outputs |= target.label_graph(inputs, name, spec.tasks[name], text, known)
        return outputs

    return transform
