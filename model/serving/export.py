"""The SavedModel: canonical bytes in, named outputs per task out, the transform graph inside."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft

from triad_ml.model import layout as model_layout
from triad_ml.model.data import batches
from triad_ml.model.network import Networks
from triad_ml.model.serving import bundle, safety, shapley
from triad_ml.model.tasks.base import output_name as output_name
from triad_ml.model.tasks.heads import heads_of

SERVING = "serving_default"
FEATURES = "features"
EXPLAIN = "explain"


class ServingModule(tf.Module):
    """The transform graph and the fused model as one object to be saved.

    Args:
        networks: The network that scores takes features and returns logits by task.
        transform_folder: Output folder of tf.Transform.
        layout: Names, sizes and classes.
        source: What errors name, where the folder is a copy.

    Raises:
        GateError: Where the transform graph could do more than compute.
    """

    def __init__(
        self,
        networks: Networks,
        transform_folder: str | Path,
        layout: model_layout.Layout,
        source: str | Path | None = None,
    ) -> None:
        super().__init__(name="triad")
        self._layout = layout
        self._heads = heads_of(layout.spec, layout.classes)
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
        if self._explainer is not None:
            called[EXPLAIN] = functools.partial(self._explain, self._explainer)
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
) -> None:
    """Writes the SavedModel into `folder`, which must not exist, and what it was made from.

    Args:
        networks: The network that scores takes features and returns logits by task.
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
        module = ServingModule(networks, copy, layout, transform_folder)
        tf.saved_model.save(module, str(folder), signatures=module.signatures())
    parts = bundle.parts(layout.spec.digest(), layout.classes, transform_digest)
    place = Path(folder, Path(bundle.PARTS).relative_to(bundle.SAVED_MODEL))
    place.parent.mkdir()
    place.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
