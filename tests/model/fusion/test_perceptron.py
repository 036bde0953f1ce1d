"""Perceptron of the fusion `mlp`: widths, depth and dropout."""

import keras
import numpy as np
import pytest

from tests import features
from triad_ml.model import network as model_network


def network_of(**model):
    keras.utils.set_random_seed(8)
    layout = features.layout(["image", "text"], model={"fusion": "mlp", **model})
    return layout, model_network.build(layout)


@pytest.mark.parametrize(
    ("units", "shapes"),
    [
        (None, [(34, 32), (32, 32)]),
        ([5], [(34, 5)]),
        ([7, 6, 5], [(34, 7), (7, 6), (6, 5)]),
    ],
)
def test_hidden_layers_have_the_widths_of_the_spec(units, shapes, tmp_path):
    layout, network = network_of(**({} if units is None else {"fusion_units": units}))
    fusion = network.get_layer("fusion")
    assert [tuple(layer.kernel.shape) for layer in fusion.hidden] == shapes
    network.save(tmp_path / "model.keras")
    batch = features.batch(layout, 4)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch)["category"], network(batch)["category"])


def test_dropout_acts_in_training_alone_and_changes_no_weight_before_it():
    layout, plain = network_of(dropout=0.0, modality_dropout=0.0)
    _, dropped = network_of(dropout=0.0, modality_dropout=0.0, fusion_dropout=0.5)
    batch = features.batch(layout, 4)
    for name in ("fusion", "text_dense", "image_dense"):
        pairs = zip(plain.get_layer(name).weights, dropped.get_layer(name).weights, strict=True)
        assert all((one.numpy() == two.numpy()).all() for one, two in pairs)
    first, second = (dropped(batch, training=True)["category"].numpy() for _ in range(2))
    assert (first != second).any()
    again = [dropped(batch, training=False)["category"].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*again)
    still = [plain(batch, training=True)["category"].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*still)
