"""Export of the SavedModel: from canonical bytes through the transform graph to outputs by task."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft

from triad_ml.model import layout as model_layout
from triad_ml.model.data import batches
from triad_ml.model.network import Networks
from triad_ml.model.serving import bundle, safety, shapley
from triad_ml.model.tasks.base import output_name
from triad_ml.model.tasks.heads import heads_of

SERVING = "serving_default"
FEATURES = "features"
EXPLAIN = "explain"
"""Names of the signatures: scores, features alone, and scores with explanations."""


class ServingModule(tf.Module):
    """Transform graph and network as one object that TensorFlow can save.

    Args:
        networks: Networks of a training; the scoring network is saved.
        transform_folder: Output folder of tf.Transform.
        layout: Layout with the spec and the classes.
        source: Path that errors name, if `transform_folder` is a copy of it.
        thresholds: By task, the lowest probability of each class in a predicted set; 0.5 for tasks
            that it lacks.

    Raises:
        GateError: If the transform graph has an op that does more than compute.
    """

    def __init__(
        self,
        networks: Networks,
        transform_folder: str | Path,
        layout: model_layout.Layout,
        source: str | Path | None = None,
        thresholds: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__(name="triad")
        self._layout = layout
        self._heads = heads_of(layout.spec, layout.classes, thresholds)
        self._model = networks.scoring
        explains = bool(shapley.explained(layout.spec))
        self._explainer = shapley.Explainer(networks, layout.spec) if explains else None
        graph = tft.TFTransformOutput.TRANSFORM_FN_DIR
        safety.check_folder(Path(transform_folder, graph), Path(source or transform_folder, graph))
        self._transform_output = tft.TFTransformOutput(str(transform_folder))
        self._transform = self._transform_output.transform_features_layer()
        self._classes = {
            task: tf.constant(names, tf.string, name=f"{task}_classes")
            for task, names in layout.classes.items()
        }

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Traces the signatures.

        Each takes the canonical bytes, string `[batch]`, of every modality by its name. If a task
        has a marker, they also take `marker_<task>`, int64 `[batch, 2]`: start and end (exclusive)
        of the marked characters, both -1 if the record has no marker.

        `explain` returns the outputs of `serving_default` and the shares of the modalities; it
        exists only if some task has explanations.
        """
        inputs = {
            name: tf.TensorSpec([None], tf.string, name=name)
            for name in self._layout.spec.modalities.names
        }
        inputs |= {
            (name := f"marker_{task}"): tf.TensorSpec([None, 2], tf.int64, name=name)
            for task in self._layout.spec.markers
        }
        calls = {SERVING: self._serve, FEATURES: self._features}
        if self._explainer is not None:
            calls[EXPLAIN] = functools.partial(self._explain, self._explainer)
        return {
            name: tf.function(call).get_concrete_function(**inputs) for name, call in calls.items()
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

    def _explain(self, explainer: shapley.Explainer, **media: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._features(**media)
        inputs = batches.model_inputs(features, self._layout)
        logits, towers = explainer.logits(inputs)
        outputs = self._outputs(features, inputs, logits)
        whole = {
            task: outputs[output_name(task, head.explained_part)]
            for task, head in self._heads.items()
            if head.explained_part is not None
        }
        for task, (baseline, shares) in explainer.shares(towers, whole).items():
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
            served = self._heads[task].serve(logits[task], inputs, features, self._model, names)
            outputs |= {output_name(task, part): value for part, value in served.items()}
        return outputs


def save(
    networks: Networks,
    transform_folder: str | Path,
    transform_files: Mapping[str, str],
    layout: model_layout.Layout,
    folder: str | Path,
    transform_digest: str,
    thresholds: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Writes the SavedModel, with the digests of its origin.

    Args:
        networks: Networks of a training; the scoring network is saved.
        transform_folder: Output folder of tf.Transform; a private copy of it is checked and used.
        transform_files: SHA-256 of each of its files, by relative path.
        layout: Layout with the spec and the classes.
        folder: Path of the SavedModel, which must not exist.
        transform_digest: Digest of the transform, as preprocessing computed it.
        thresholds: By task, its thresholds; see `ServingModule`.

    Raises:
        GateError: If the transform graph is not the expected one, or has an op that does more than
            compute.
        OSError: If the transform graph cannot be copied.
    """
    with safety.checked_copy(Path(transform_folder), transform_files) as copy:
        module = ServingModule(networks, copy, layout, transform_folder, thresholds)
        tf.saved_model.save(module, str(folder), signatures=module.signatures())
    parts = bundle.parts(layout.spec.digest(), layout.classes, transform_digest, thresholds)
    path = Path(folder, Path(bundle.PARTS).relative_to(bundle.SAVED_MODEL))
    path.parent.mkdir()
    path.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
