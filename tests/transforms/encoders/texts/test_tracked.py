"""Frozen text encoder in the feature graph: stored once, as variables, with the same bits."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from tests import text_encoders
from tests.text_encoders import BERT
from triad_ml.model.serving import safety
from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.encoders.texts import tracked
from triad_ml.transforms.graph import digest
from triad_ml.transforms.spec.model import ModelSpec

PIECES = 20


@pytest.fixture
def model(tmp_path: Path) -> ModelSpec:
    folder = text_encoders.write(tmp_path / "encoder", BERT)
    settings = text_encoders.spec_model(folder, BERT, text_freeze=True, text_pieces=PIECES)
    return ModelSpec.model_validate(settings)


def test_tf_transform_stores_each_weight_once_and_gives_the_same_bits(
    model: ModelSpec, tmp_path: Path
) -> None:
    ids = text_encoders.texts(BERT, [3, 0, 20, 17], PIECES)
    wanted = text.load(model).vectors(tf.constant(ids)).numpy()
    metadata = tft.DatasetMetadata.from_feature_spec(
        {"ids": tf.io.FixedLenFeature([PIECES], tf.int64)}
    )
    rows = [{"ids": row.tolist()} for row in ids]
    with tft_beam.Context(str(tmp_path / "work")):
        (found, _), transform = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: {"vector": tracked.vectors_graph(inputs["ids"], model)}
        )
        _ = transform | tft_beam.WriteTransformFn(str(tmp_path / "graph"))
    written = np.stack([row["vector"] for row in found])
    np.testing.assert_allclose(written, wanted, rtol=0, atol=1e-5)
    saved = tmp_path / "graph" / tft.TFTransformOutput.TRANSFORM_FN_DIR
    stored = tf.train.list_variables(str(saved / "variables" / "variables"))
    sizes = [np.prod(shape) for name, shape in stored if "VARIABLE_VALUE" in name and shape]
    assert sum(sizes) == sum(one.size for one in text_encoders.tensors(BERT).values())
    safety.check_folder(saved)
    layer = tft.TFTransformOutput(str(tmp_path / "graph")).transform_features_layer()
    again = layer({"ids": tf.constant(ids, tf.int64)})["vector"].numpy()
    assert again.tobytes() == written.tobytes()


def described(model: ModelSpec) -> str:
    """Returns a plain graph as the transform digest reads it."""
    with tf.Graph().as_default() as graph:
        ids = tf.compat.v1.placeholder(tf.int64, [None, PIECES], "ids")
        vectors = tracked.vectors_graph(ids, model)
        assert vectors.shape.as_list() == [None, 24]
        graph_def = graph.as_graph_def()
    functions = {one.signature.name: str(one) for one in graph_def.library.function}
    graph_def.ClearField("library")
    return digest._numbered(str(graph_def), functions)


def test_a_plain_graph_describes_the_encoder_without_its_weights(model: ModelSpec) -> None:
    first = described(model)
    keras.layers.Dense(1)  # counted by Keras, and by nothing of ours
    assert described(model) == first
    assert "Erf" in first
    assert len(first) < 2_000_000
