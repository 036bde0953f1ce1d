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
    """What the graph takes: `id`, canonical media, markers, and what labels each task was given.

    Places are canonical characters: of marked ones the first and the one behind the last.
    """
    one_string = tf.io.FixedLenFeature([], tf.string)
    features: FeatureSpec = {"id": one_string}
    features |= dict.fromkeys(spec.modalities.names, one_string)
    if spec.mixture is not None:
        features[DATASET_FEATURE] = one_string
    for name, task in spec.tasks.items():
        features |= TARGETS[task.kind].raw_features(name, task)
    return features


def preprocessing_fn(
    spec: Spec, analyzers: Analyzers | None = None
) -> Callable[[Tensors], Tensors]:
    """Makes the function that tf.Transform traces.

    Its inputs are batches of `raw_feature_spec(spec)`. Its outputs:
        id: string `[batch]`, and with a mixture `DATASET_FEATURE`, the name of the data set.
        image: string `[batch]`, the bytes of uint8 `[size, size, 3]`, row by row; zeros if missing.
            Where the spec has preprocessing run an encoder, float32 `[batch, width]`, its vectors.
        audio: float32 `[batch, frames, mel_bins]`, z-scored per bin; zeros if missing.
        text: int64 `[batch, length]`, token ids; `PAD` if missing.
        text_grams: int64 `[batch, grams]`, numbers of n-grams; see `grams.grams_graph`.
        text_spelling: int64 `[batch, length, parts]`, where the spec wants it; see
            `spelling.spelling_graph`.
        text_start, text_end: int64 `[batch, length]`, where some task is tagging: each token's
            first and behind-the-last character; 0 where there is no token.
        <modality>_present: int64 `[batch]`, 0 or 1.
        marker_<task>: int64 `[batch, length]`, 1 at the tokens that are marked.
        label_<task>: int64 `[batch]`, the class, `MISSING_LABEL`, or the number of classes where
            the training split never had it. Of a multi-label task a sparse set of classes, or
            `MISSING_LABEL` alone. Of a tagging task int64 `[batch, length]`; see
            `label_graphs.tags_graph`, also for the counts `label_<task>.<count>`. Of a generation
            task int64 `[batch, length of the task]`; see `target_graphs.units_graph`.
        text_surface: string `[batch, length]`, where some task is generation: the tokens as the
            text has them; empty where there is none.
        units_<task>, label_<task>.text: of a generation task; see `target_graphs.target_graph`.

    Args:
        spec: Names and sizes.
        analyzers: What needs a pass over the training split; measured by tf.Transform if None.
    """
    known = analyzers or MeasuredAnalyzers()
    targets = {name: TARGETS[task.kind] for name, task in spec.tasks.items()}

    def transform(inputs: Mapping[str, tf.Tensor]) -> Tensors:
        outputs: Tensors = {"id": inputs["id"]}
        if spec.mixture is not None:
            outputs[DATASET_FEATURE] = inputs[DATASET_FEATURE]
        sections = spec.modalities
        text = None
        for name in sections.names:
            read = FEATURES[name].graph(inputs[name], spec, known)
            outputs |= read.features
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
        # The order of nodes is part of the transform's digest.
        for name, target in targets.items():
            outputs |= target.input_graph(inputs, name, spec.tasks[name], text, known)
        for name, target in targets.items():
            outputs |= target.label_graph(inputs, name, spec.tasks[name], text, known)
        return outputs

    return transform
