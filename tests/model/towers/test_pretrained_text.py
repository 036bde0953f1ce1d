"""Pretrained text encoder in the network: its gradients, its frozen layers, and its stored form."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import text_encoders
from tests.text_encoders import BERT
from triad_ml.model import network
from triad_ml.model.layout import Layout
from triad_ml.model.serving import safety
from triad_ml.model.serving.allowed_ops import ALLOWED_OPS
from triad_ml.model.towers.texts import pretrained_text
from triad_ml.transforms.encoders.texts.encoder import TextEncoder
from triad_ml.transforms.spec.model import TextEncoderSpec
from triad_ml.transforms.spec.spec import Spec

PIECES = 20
STILL = {**BERT, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return text_encoders.write(tmp_path / "encoder", STILL)


def encoder_of(folder: Path, freeze: Any, config: Any = STILL) -> TextEncoder:
    settings = text_encoders.spec_model(folder, config, text_freeze=freeze, text_pieces=PIECES)
    encoder = pretrained_text.trainable_text_encoder(TextEncoderSpec.model_validate(settings))
    assert encoder is not None
    return encoder


def network_of(encoder: TextEncoder) -> keras.Model:
    ids = keras.Input((PIECES,), dtype="int32", name="ids")
    return keras.Model(ids, pretrained_text.Pieces(encoder, name="text_encoded")(ids))


def trained(encoder: TextEncoder) -> set[str]:
    """Names of the layers in which one step of training changes a variable."""
    network = network_of(encoder)
    before = [one.numpy() for one in encoder.network.weights]
    ids = text_encoders.texts(STILL, [3, 20, 17], PIECES)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(ids, training=True) ** 2 * np.arange(1.0, 25.0, dtype="f"))
    variables = network.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(0.01 * tf.convert_to_tensor(gradient))
    pairs = zip(encoder.network.weights, before, strict=True)
    paths = [one.path.split("/") for one, old in pairs if (one.numpy() != old).any()]
    return {"words" if "words" in path else path[0] for path in paths}


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        (None, {"embeddings", "layer_0", "layer_1"}),
        (False, {"embeddings", "layer_0", "layer_1"}),
        (1, {"layer_1"}),
        (2, set()),
        (9, set()),
    ],
)
def test_training_changes_the_layers_that_are_not_frozen_and_no_vector_of_the_vocabulary(
    folder: Path, freeze: Any, expected: set[str]
) -> None:
    assert trained(encoder_of(folder, freeze)) == expected


def test_an_encoder_that_preprocessing_runs_is_no_part_of_the_network(folder: Path) -> None:
    for model in (
        TextEncoderSpec(),
        TextEncoderSpec.model_validate(
            text_encoders.spec_model(folder, STILL, text_freeze=True, text_pieces=PIECES)
        ),
    ):
        assert pretrained_text.trainable_text_encoder(model) is None


def test_without_dropout_training_sees_the_vectors_of_scoring(folder: Path) -> None:
    network = network_of(encoder_of(folder, None))
    ids = text_encoders.texts(STILL, [3, 0, 20, 17], PIECES)
    found = network(ids, training=True).numpy()
    np.testing.assert_allclose(found, network(ids, training=False).numpy(), rtol=0, atol=1e-5)


def test_dropout_acts_in_training_alone_at_the_rates_of_the_configuration(tmp_path: Path) -> None:
    for rates in ({"hidden_dropout_prob": 0.5}, {"attention_probs_dropout_prob": 0.5}):
        config = {**STILL, **rates}
        folder = text_encoders.write(tmp_path / next(iter(rates)), config)
        network = network_of(encoder_of(folder, None, config))
        ids = text_encoders.texts(config, [3, 20, 17], PIECES)
        still = [network(ids, training=False).numpy() for _ in range(2)]
        np.testing.assert_array_equal(*still)
        assert np.abs(network(ids, training=True).numpy() - still[0]).max() > 0.1


def test_a_saved_model_holds_variables_and_allowed_ops_and_gives_the_same_bits(
    folder: Path, tmp_path: Path
) -> None:
    network = network_of(encoder_of(folder, None))
    call = tf.function(lambda ids: {"states": network(ids, training=False)})
    signature = call.get_concrete_function(tf.TensorSpec([None, PIECES], tf.int32, name="ids"))
    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signature)
    functions = signature.graph.as_graph_def().library.function
    used = {node.op for one in functions for node in one.node_def}
    used |= {node.op for node in signature.graph.as_graph_def().node}
    own = {one.signature.name for one in functions}
    assert used - own <= ALLOWED_OPS
    safety.check_folder(tmp_path / "saved")
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    ids = tf.constant(text_encoders.texts(STILL, [3, 0, 20, 17], PIECES))
    assert loaded(ids)["states"].numpy().tobytes() == call(ids)["states"].numpy().tobytes()


@pytest.mark.parametrize("options", [{"fusion": "attention"}, {"text_freeze": True}])
def test_what_a_missing_text_holds_changes_no_output(tmp_path: Path, options: Any) -> None:
    """All rows lack a text; training has no piece to encode then."""
    weights = text_encoders.readable(tmp_path / "encoder")
    encoder = {"text_encoder": "bert", "text_weights": str(weights), "text_pieces": PIECES}
    whole = {
        "modalities": {"image": {"size": 32}, "text": {"vocabulary": 60, "length": 12}},
        "tasks": {
            "verb": {"kind": "classification", "label": "verb"},
            "names": {"kind": "tagging", "label": "names"},
        },
        "model": {**encoder, "dim": 16, **options},
    }
    layout = Layout(Spec.model_validate(whole), {"verb": ("y", "z"), "names": ("x",)}, 10)
    networks = network.build_networks(layout)
    inputs: dict[str, Any] = {
        name: np.zeros((4, *one.shape[1:]), one.dtype)
        for name, one in networks.scoring.input.items()
    }
    inputs["image_present"] = np.ones(4, bool)
    changed = {
        name: value + (name.startswith("text") and not name.endswith("present")) * 1
        for name, value in inputs.items()
    }
    changed = {name: value.astype(inputs[name].dtype) for name, value in changed.items()}
    found, again = (networks.scoring(one, training=False) for one in (inputs, changed))
    for name, values in found.items():
        np.testing.assert_array_equal(values.numpy(), again[name].numpy())
    trained = networks.training(inputs, training=True)
    assert all(np.isfinite(values.numpy()).all() for values in trained.values())
