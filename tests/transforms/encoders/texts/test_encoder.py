"""Text encoders: their vectors equal those of a reference in double precision, and of KerasHub."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from keras_hub.src.utils.transformers import convert_bert, convert_distilbert, convert_roberta

from tests import text_encoders
from tests.text_encoders import BERT, DISTILBERT, ROBERTA
from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.encoders.texts import transformer
from triad_ml.transforms.encoders.texts.encoder import TextEncoder
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.model import TextEncoderSpec

LENGTHS = [3, 0, 16, 17, 40, 1]
PIECES = 40


def loaded(folder: Path, config: dict[str, Any], **options: Any) -> TextEncoder:
    options = {"text_pieces": PIECES, **options}
    return text.load(
        TextEncoderSpec.model_validate(text_encoders.spec_model(folder, config, **options))
    )


def assert_equals_reference(
    encoder: TextEncoder, config: dict[str, Any], arrays: text_encoders.Arrays
) -> None:
    ids = text_encoders.texts(config, LENGTHS, PIECES)
    found = encoder.states(tf.constant(ids)).numpy()
    assert found.shape == (len(LENGTHS), PIECES, encoder.config.width)
    for row, expected in zip(found, text_encoders.reference(config, arrays, ids), strict=True):
        np.testing.assert_allclose(row[: len(expected)], expected, rtol=0, atol=2e-5)
        assert not row[len(expected) :].any()


@pytest.mark.parametrize(
    "config",
    [
        BERT,
        {**BERT, "layer_norm_eps": 0.1, "type_vocab_size": 3, "pad_token_id": None},
        {**BERT, "max_position_embeddings": PIECES},
        DISTILBERT,
        {**DISTILBERT, "activation": "relu", "sinusoidal_pos_embds": True},
        ROBERTA,
        {**ROBERTA, "pad_token_id": 0, "layer_norm_eps": 0.1},
        {**ROBERTA, "model_type": "xlm-roberta"},
        {**ROBERTA, "model_type": "camembert"},
    ],
    ids=[
        "bert",
        "bert-norm",
        "positions",
        "distilbert",
        "distil-relu",
        "roberta",
        "pad-0",
        "xlm-r",
        "camembert",
    ],
)
def test_each_family_gives_the_vectors_of_the_reference(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    folder = text_encoders.write(tmp_path / "encoder", config)
    encoder = loaded(folder, config)
    assert_equals_reference(encoder, config, text_encoders.tensors(config))


@pytest.mark.parametrize("name", transformer.ACTIVATIONS)
def test_each_activation_gives_the_vectors_of_the_reference(tmp_path: Path, name: Any) -> None:
    config = {**BERT, "hidden_act": name, "num_hidden_layers": 1}
    folder = text_encoders.write(tmp_path / "encoder", config)
    assert_equals_reference(loaded(folder, config), config, text_encoders.tensors(config))


def test_the_two_kinds_of_gelu_differ_by_more_than_the_tolerance() -> None:
    numbers = np.linspace(-3, 3, 13)
    gaps = text_encoders.ACTIVATIONS["gelu"](numbers) - text_encoders.ACTIVATIONS["gelu_new"](
        numbers
    )
    assert np.abs(gaps).max() > 1e-4


class Loader:
    """Passes tensors to a converter of KerasHub; its own loader needs a further package."""

    def __init__(self, arrays: text_encoders.Arrays, prefix: str) -> None:
        self.arrays = {prefix + name: one for name, one in arrays.items()}

    def get_tensor(self, name: str) -> Any:
        return self.arrays[name]

    def port_weight(self, keras_variable: Any, hf_weight_key: str, hook_fn: Any = None) -> None:
        values = self.arrays[hf_weight_key]
        if hook_fn is not None:
            values = hook_fn(values, list(keras_variable.shape))
        keras_variable.assign(values)


@pytest.mark.parametrize(
    ("converter", "config", "prefix"),
    [
        # KerasHub has one activation and one epsilon for each family, whatever a folder says.
        (convert_bert, {**BERT, "hidden_act": "gelu_new"}, ""),
        (convert_distilbert, DISTILBERT, "distilbert."),
        (convert_roberta, ROBERTA, "roberta."),
    ],
    ids=["bert", "distilbert", "roberta"],
)
def test_kerashub_gives_the_same_where_it_reads_the_configuration(
    tmp_path: Path, converter: Any, config: dict[str, Any], prefix: str
) -> None:
    arrays = text_encoders.tensors(config)
    if config["model_type"] == "roberta":  # KerasHub has no token types there
        arrays["embeddings.token_type_embeddings.weight"][:] = 0
    pooler = {"pooler.dense.weight": np.zeros((24, 24)), "pooler.dense.bias": np.zeros(24)}
    backbone = converter.backbone_cls(**converter.convert_backbone_config(config))
    converter.convert_weights(backbone, Loader({**arrays, **pooler}, prefix), config)
    ids = text_encoders.texts(config, [3, 16, 17, 40, 1], PIECES)
    known = ids >= 0
    inputs = {
        "token_ids": np.where(known, ids, config["pad_token_id"]),
        "padding_mask": known.astype(np.int32),
    }
    if config["model_type"] == "bert":
        inputs["segment_ids"] = np.zeros_like(ids)
    expected = backbone(inputs, training=False)
    if config["model_type"] == "bert":
        expected = expected["sequence_output"]
    folder = text_encoders.write(tmp_path / "encoder", config, arrays)
    found = loaded(folder, config).states(tf.constant(ids)).numpy()
    np.testing.assert_allclose(found[known], np.asarray(expected)[known], rtol=0, atol=2e-5)


def pooled(states: list[npt.NDArray[np.float64]], name: str) -> npt.NDArray[np.float64]:
    functions = {
        "cls": lambda one: one[0],
        "mean": lambda one: one.mean(axis=0),
        "max": lambda one: one.max(axis=0),
        "mean_sqrt_len_tokens": lambda one: one.sum(axis=0) / np.sqrt(len(one)),
    }
    return np.stack([functions[name](one) for one in states])


@pytest.mark.parametrize("name", text.POOLINGS)
@pytest.mark.parametrize("normalize", [False, True])
def test_a_folder_of_sentence_transformers_says_how_a_text_becomes_one_vector(
    tmp_path: Path, name: str, normalize: bool
) -> None:
    key = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}.get(name, name)
    pooling = {"word_embedding_dimension": 24, "pooling_mode_cls_token": False}
    pooling |= {"pooling_mode_mean_tokens": False, f"pooling_mode_{key}": True}
    config = {**BERT, "num_hidden_layers": 1}
    folder = text_encoders.write(tmp_path / "encoder", config)
    text_encoders.sentences(folder, pooling, normalize)
    ids = text_encoders.texts(config, [5, 1, 33, 0], PIECES)
    found = loaded(folder, config).vectors(tf.constant(ids)).numpy()
    states = text_encoders.reference(config, text_encoders.tensors(config), ids[:3])
    expected = pooled(states, name)
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found[:3], expected, rtol=0, atol=2e-5)
    assert not found[3].any()


def test_a_plain_folder_has_the_mean_and_newer_folders_name_their_pooling(tmp_path: Path) -> None:
    plain = loaded(text_encoders.write(tmp_path / "plain", BERT), BERT)
    assert (plain.pooling, plain.normalize) == ("mean", False)
    newer = text_encoders.write(tmp_path / "newer", BERT)
    text_encoders.sentences(newer, {"embedding_dimension": 24, "pooling_mode": "cls"}, True)
    assert (loaded(newer, BERT).pooling, loaded(newer, BERT).normalize) == ("cls", True)


@pytest.mark.parametrize(
    ("pooling", "problem"),
    [
        ({"pooling_mode_mean_tokens": False}, "pools by nothing"),
        ({"pooling_mode_cls_token": True}, "pools by cls, mean"),
        ({"pooling_mode": "lasttoken"}, "pools by lasttoken; give an encoder with one of cls"),
        ({"pooling_mode": ["mean"]}, "pools by ['mean']"),
        ({"pooling_mode": "mean", "mode": 1}, "'mode' is not known"),
        (
            {"pooling_mode": "mean", "word_embedding_dimension": 25},
            "word_embedding_dimension is 25, and vectors have 24 numbers",
        ),
    ],
)
def test_other_poolings_are_refused_by_name(
    tmp_path: Path, pooling: dict[str, Any], problem: str
) -> None:
    folder = text_encoders.write(tmp_path / "encoder", BERT)
    text_encoders.sentences(folder, pooling, True)
    with pytest.raises(OptionsError) as refused:
        loaded(folder, BERT)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_texts_are_no_longer_than_positions_or_sentence_transformers_allow(tmp_path: Path) -> None:
    config = {**ROBERTA, "max_position_embeddings": 34}
    folder = text_encoders.write(tmp_path / "short", config)
    with pytest.raises(OptionsError, match="reads at most 32 pieces.*write text_pieces: 32 or few"):
        loaded(folder, config, text_pieces=33)
    assert loaded(folder, config, text_pieces=32).config.longest == 32
    sentences = text_encoders.write(tmp_path / "sentences", BERT)
    text_encoders.sentences(sentences, {"pooling_mode": "mean"}, False)
    with pytest.raises(OptionsError, match="reads at most 128 pieces"):
        loaded(sentences, BERT, text_pieces=129)
    (sentences / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": "9"}))
    with pytest.raises(OptionsError, match="max_seq_length '9' is no number of pieces"):
        loaded(sentences, BERT)
    (sentences / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": True}))
    with pytest.raises(OptionsError, match="do_lower_case is not followed here"):
        loaded(sentences, BERT)


def test_all_weights_are_variables_and_the_graph_holds_no_copy_of_them(tmp_path: Path) -> None:
    folder = text_encoders.write(tmp_path / "encoder", BERT)
    encoder = loaded(folder, BERT)
    count = sum(one.size for one in text_encoders.tensors(BERT).values())
    assert sum(int(np.prod(one.shape)) for one in encoder.network.weights) == count
    graph = tf.function(encoder.vectors).get_concrete_function(
        tf.TensorSpec([None, PIECES], tf.int32)
    )
    largest = max(
        np.prod(tf.TensorShape(node.attr["value"].tensor.tensor_shape).as_list(), initial=1)
        for part in (graph.graph.as_graph_def(), *graph.graph.as_graph_def().library.function)
        for node in (part.node if hasattr(part, "node") else part.node_def)
        if node.op == "Const"
    )
    assert largest <= 192  # a place for each position of a call
