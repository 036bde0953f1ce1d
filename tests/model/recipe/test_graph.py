"""Linear models and blends as Keras models, against the numbers of scikit-learn."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network
from triad_ml.model.data import datasets, scan
from triad_ml.model.evaluation import predict
from triad_ml.model.layout import Layout
from triad_ml.model.linear import blocks, floor
from triad_ml.model.linear.subsets import Subsets
from triad_ml.model.network import Networks
from triad_ml.model.recipe import graph
from triad_ml.model.serving import shapley
from triad_ml.model.tasks.heads import heads_of

PLAIN = features.layout(tasks={"kind": {}, "marks": {"multi_label": True}}, num_classes=3)
LAYOUT = dataclasses.replace(PLAIN, grams=True)
HIDDEN = [(), ("image",), ("text",), ("audio", "text"), ("image", "audio", "text")]
SHARES = {"kind": 0.25, "marks": 1.0}

Said = dict[str, npt.NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Linear models, an untrained network, a model of the former, and a blend of both."""

    linear: dict[str, Subsets]
    network: Networks
    alone: Networks
    blend: Networks
    test: scan.Survey

    def expected(self, hidden: tuple[str, ...]) -> Said:
        read = blocks.read(self.test.files, LAYOUT, ["kind", "marks"], self.test.records)
        seen = {name: one & (name not in hidden) for name, one in read.present.items()}
        chosen = dataclasses.replace(read, present=seen)
        return {task: models.predict(chosen) for task, models in self.linear.items()}

    def said(self, networks: Networks, hidden: tuple[str, ...], layout: Layout = LAYOUT) -> Said:
        dataset = datasets.eval_dataset(self.test.files, layout, 48, self.test.records)
        return predict.predict(networks.scoring, dataset, layout, hidden).said


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("recipe")
    surveys = {
        split: scan.survey(
            features.write(
                folder / split, PLAIN, features.records(PLAIN, count, seed, missing=0.3)
            ),
            PLAIN,
        )
        for seed, (split, count) in enumerate({"train": 90, "test": 60}.items())
    }
    read = floor.read(surveys["train"], PLAIN)
    assert read is not None
    linear = floor.completed(read, floor.of_blocks(read, PLAIN), PLAIN)
    networks = network.build_networks(PLAIN)
    everything = dict.fromkeys(linear, 1.0)
    return Fitted(
        linear,
        networks,
        graph.combined(LAYOUT, None, linear, everything),
        graph.combined(LAYOUT, networks, linear, SHARES),
        surveys["test"],
    )


@pytest.mark.parametrize("hidden", HIDDEN)
def test_weights_in_layers_give_what_scikit_learn_gives(fitted: Fitted, hidden: Any) -> None:
    found, expected = fitted.said(fitted.alone, hidden), fitted.expected(hidden)
    for task in fitted.linear:
        np.testing.assert_allclose(found[task], expected[task], atol=1e-5)


@pytest.mark.parametrize("hidden", [(), ("image",)])
def test_each_task_has_its_own_share(fitted: Fitted, hidden: Any) -> None:
    found, linear = fitted.said(fitted.blend, hidden), fitted.expected(hidden)
    alone = fitted.said(fitted.network, hidden, PLAIN)
    mean = 0.75 * alone["kind"] + 0.25 * linear["kind"]
    np.testing.assert_allclose(found["kind"], mean, atol=1e-5)
    np.testing.assert_allclose(found["marks"], linear["marks"], atol=1e-5)


def test_a_task_without_a_share_is_the_network_s_alone(fitted: Fitted) -> None:
    mixed = graph.combined(LAYOUT, fitted.network, fitted.linear, {"marks": 0.5})
    found = fitted.said(mixed, ())["kind"]
    np.testing.assert_array_equal(found, fitted.said(fitted.network, (), PLAIN)["kind"])


@pytest.mark.parametrize("name", ["alone", "blend"])
def test_a_model_cut_at_its_seam_explains_itself(fitted: Fitted, name: str) -> None:
    networks = getattr(fitted, name)
    explainer = shapley.Explainer(networks, LAYOUT.spec)
    (batch, *_) = datasets.eval_dataset(fitted.test.files, LAYOUT, 48, fitted.test.records)
    inputs = batch.features
    logits, towers = explainer.logits(inputs)
    heads = heads_of(LAYOUT.spec, LAYOUT.classes)
    whole = {task: head.shown(logits[task]) for task, head in heads.items()}
    model = dict(networks.scoring(inputs, training=False))
    for task, (baseline, shares) in explainer.shares(towers, whole).items():
        np.testing.assert_allclose(logits[task], model[task], rtol=1e-4, atol=1e-4)
        total = baseline + tf.reduce_sum(shares, axis=1)
        np.testing.assert_allclose(total, tf.reduce_max(whole[task], axis=1), atol=1e-5)
    text = {f"{one}_present": tf.zeros_like(inputs[f"{one}_present"]) for one in features.ALL[:2]}
    hidden = dict(networks.scoring({**inputs, **text}, training=False))
    np.testing.assert_allclose(
        towers.rest(frozenset({2}))["kind"], hidden["kind"], rtol=1e-4, atol=1e-4
    )


def test_a_task_of_linear_models_alone_is_saved_and_explained_beside_one_of_the_network(
    fitted: Fitted, tmp_path: Any
) -> None:
    module, explainer = tf.Module(), shapley.Explainer(fitted.blend, LAYOUT.spec)
    module.model = fitted.blend.scoring
    (batch, *_) = datasets.eval_dataset(fitted.test.files, LAYOUT, 48, fitted.test.records)
    call = tf.function(lambda **inputs: explainer.logits(inputs)[0])
    traced = call.get_concrete_function(
        **{
            name: tf.TensorSpec([None, *value.shape[1:]], value.dtype, name=name)
            for name, value in batch.features.items()
        }
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=traced)
    loaded = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    expected = fitted.blend.scoring(batch.features, training=False)
    for task, found in loaded(**batch.features).items():
        np.testing.assert_allclose(found, expected[task], rtol=1e-4, atol=1e-4)


def test_a_modality_that_no_record_has_adds_nothing(tmp_path: Any) -> None:
    made = [dataclasses.replace(one, audio=None) for one in features.records(PLAIN, 40)]
    train = scan.survey(features.write(tmp_path, PLAIN, made), PLAIN)
    read = floor.read(train, PLAIN)
    assert read is not None
    linear = floor.completed(read, floor.of_blocks(read, PLAIN), PLAIN)
    model = graph.combined(LAYOUT, None, linear, {"kind": 1.0, "marks": 1.0}).scoring
    inputs = {name: tf.constant(value) for name, value in features.batch(PLAIN, 3).items()}
    inputs["text_grams"] = tf.constant(
        np.stack([features.grams(one, PLAIN) for one in inputs["text"].numpy()])
    )
    found = model(inputs)["kind"]
    without = model({**inputs, "audio_present": tf.zeros(3, tf.bool)})["kind"]
    np.testing.assert_array_equal(found, without)
