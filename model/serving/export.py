"""The SavedModel: canonical bytes in, named outputs per task out, the transform graph inside."""

import json
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_transform as tft

from triad_ml.model import layout as model_layout
from triad_ml.model.data import batches
from triad_ml.model.serving import bundle, safety, shapley
from triad_ml.model.tasks.classification import head as classification_head
from triad_ml.model.tasks.generation import head as generation_head
from triad_ml.model.tasks.tagging import crf
from triad_ml.model.tasks.tagging import head as tagging_head

SERVING = "serving_default"
FEATURES = "features"
EXPLAIN = "explain"


def output_name(task: str, part: str) -> str:
    """Name of a serving output: `<task>/label`, `<task>/score` or `<task>/distribution`.

    Of a tagging task `<task>/label`, `<task>/start`, `<task>/end` and `<task>/span_score`, each of
    one entry a word, and `<task>/score`. Of a generation task `<task>/text` and `<task>/score`. The
    signature `explain` adds `<task>/baseline` and `<task>/shares`; see `explanation.Explainer`.
    """
    return f"{task}/{part}"


class ServingModule(tf.Module):
    """The transform graph and the fused model as one object to be saved.

    Args:
        model: Takes features, gives logits by task.
        transform_folder: tf.Transform's output.
        layout: Names, sizes and classes.
        source: What errors name, where the folder is a copy.

    Raises:
        GateError: Where the transform graph could do more than compute.
    """

    def __init__(
        self,
        model: keras.Model,
        transform_folder: str | Path,
        layout: model_layout.Layout,
        source: str | Path | None = None,
    ) -> None:
        super().__init__(name="triad")
        self._layout = layout
        self._model = model
        graph = tft.TFTransformOutput.TRANSFORM_FN_DIR
        safety.check_folder(Path(transform_folder, graph), Path(source or transform_folder, graph))
        self._transform_output = tft.TFTransformOutput(str(transform_folder))
        self._transform = self._transform_output.transform_features_layer()
        self._classes = {
            task: tf.constant(names, tf.string, name=f"{task}_classes")
            for task, names in layout.classes.items()
        }

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The signatures, each of string `[batch]` by modality.

        `explain` gives what serving gives, and shares; only where a task has some.

        Where a task has a marker they also take `marker_<task>`, int64 `[batch, 2]`: the first and
        the behind-the-last marked character, both -1 where none is.
        """
        inputs = {
            name: tf.TensorSpec([None], tf.string, name=name)
            for name in self._layout.spec.modalities.names
        }
        inputs |= {
            (name := f"marker_{task}"): tf.TensorSpec([None, 2], tf.int64, name=name)
            for task in self._layout.spec.markers
        }
        called = {SERVING: self._serve, FEATURES: self._features}
        if shapley.explained(self._layout.spec):
            called[EXPLAIN] = self._explain
        return {
            name: tf.function(call).get_concrete_function(**inputs) for name, call in called.items()
        }

    def _features(self, **media: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            name: value
            for name, value in self._transform(media).items()
            if not name.startswith("label_") and name != "id"
        }

    def _serve(self, **media: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._features(**media)
        inputs = batches.model_inputs(features, self._layout)
        return self._outputs(features, inputs, self._model(inputs, training=False))

    def _explain(self, **media: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._features(**media)
        inputs = batches.model_inputs(features, self._layout)
        explainer = shapley.Explainer(self._model, self._layout.spec)
        logits, towers = explainer.logits(inputs)
        outputs = self._outputs(features, inputs, logits)
        distributions = {
            task: outputs[output_name(task, "distribution")]
            for task in shapley.explained(self._layout.spec)
        }
        for task, (baseline, shares) in explainer.shares(towers, distributions).items():
            outputs[output_name(task, "baseline")] = baseline
            outputs[output_name(task, "shares")] = shares
        return outputs

    def _outputs(
        self,
        features: dict[str, tf.Tensor],
        inputs: dict[str, tf.Tensor],
        logits: dict[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        outputs: dict[str, tf.Tensor] = {}
        for task, names in self._classes.items():
            if self._layout.spec.tasks[task].kind == "generation":
                decoder = generation_head.decoder_of(self._model, task)
                texts, scores = generation_head.write(
                    decoder, logits[task], inputs, features.get(batches.SURFACES)
                )
                outputs |= {output_name(task, "text"): texts, output_name(task, "score"): scores}
            elif self._layout.spec.tasks[task].kind == "tagging":
                words = tagging_head.words_to_tag(inputs, task)
                decoded = crf.decode(crf.unpack(logits[task], words))
                outputs |= _spans(task, decoded, features, names)
            elif self._layout.spec.tasks[task].multi_label:
                outputs |= _sets(
                    task, classification_head.probabilities(logits[task], multi_label=True), names
                )
            else:
                outputs |= _classes(
                    task, classification_head.probabilities(logits[task], multi_label=False), names
                )
        return outputs


def _classes(task: str, distribution: tf.Tensor, names: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        output_name(task, "label"): tf.gather(names, tf.argmax(distribution, axis=1)),
        output_name(task, "score"): tf.reduce_max(distribution, axis=1),
        output_name(task, "distribution"): distribution,
    }


def _sets(task: str, distribution: tf.Tensor, names: tf.Tensor) -> dict[str, tf.Tensor]:
    """A set of classes as strings of one width: empty strings stand for classes not in it."""
    chosen = distribution >= 0.5
    return {
        output_name(task, "label"): tf.where(chosen, names[tf.newaxis, :], ""),
        output_name(task, "score"): tf.reduce_max(distribution, axis=1),
        output_name(task, "distribution"): distribution,
    }


def _spans(
    task: str, decoded: crf.Decoded, features: dict[str, tf.Tensor], names: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Spans where they begin: at words where none does the label is empty and both places are -1.

    Places are characters of the canonical text.
    """
    last = tf.gather(features["text_end"], decoded.ends, batch_dims=1)
    classes = tf.gather(names, tf.maximum(decoded.tags - 1, 0) // 2)
    return {
        output_name(task, "start"): tf.where(decoded.spans, features["text_start"], -1),
        output_name(task, "end"): tf.where(decoded.spans, last, -1),
        output_name(task, "label"): tf.where(decoded.spans, classes, ""),
        output_name(task, "span_score"): decoded.span_scores,
        output_name(task, "score"): decoded.scores,
    }


def save(
    model: keras.Model,
    transform_folder: str | Path,
    transform_files: Mapping[str, str],
    layout: model_layout.Layout,
    folder: str | Path,
    transform_digest: str,
) -> None:
    """Writes the SavedModel into `folder`, which must not exist, and what it was made from.

    Args:
        model: Takes features, gives logits by task.
        transform_folder: tf.Transform's output; a private copy of it is checked and used.
        transform_files: SHA-256 by relative path of each of its files.
        layout: Names, sizes and classes.
        folder: Where to.
        transform_digest: Of the transform, as preprocessing computed it.

    Raises:
        GateError: Where the transform graph is another, or could do more than compute.
        OSError: Where it cannot be copied.
    """
    with safety.checked_copy(Path(transform_folder), transform_files) as copy:
        module = ServingModule(model, copy, layout, transform_folder)
        tf.saved_model.save(module, str(folder), signatures=module.signatures())
    parts = bundle.parts(layout.spec.digest(), layout.classes, transform_digest)
    place = Path(folder, Path(bundle.PARTS).relative_to(bundle.SAVED_MODEL))
    place.parent.mkdir()
    place.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
