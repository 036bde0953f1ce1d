"""Checkpoints of text encoders: formats, names and shards; what does not fit is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import text_encoders
from tests.text_encoders import BERT, DISTILBERT, ROBERTA
from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.encoders.texts.encoder import TextEncoder
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.model import TextEncoderSpec

SMALL = {**BERT, "num_hidden_layers": 1, "max_position_embeddings": 64, "vocab_size": 9}
ARRAYS = text_encoders.tensors(SMALL)


def loaded(folder: Path, config: dict[str, Any] = SMALL, **options: Any) -> TextEncoder:
    return text.load(
        TextEncoderSpec.model_validate(text_encoders.spec_model(folder, config, **options))
    )


def refusal(folder: Path, config: dict[str, Any] = SMALL, **options: Any) -> str:
    with pytest.raises(OptionsError) as refused:
        loaded(folder, config, **options)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)
    return str(refused.value)


def assert_same(encoder: TextEncoder, other: TextEncoder) -> None:
    pairs = zip(encoder.network.weights, other.network.weights, strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return text_encoders.write(tmp_path / "plain", SMALL)


@pytest.mark.parametrize("kind", ["bin", "old"])
def test_files_of_pytorch_give_the_same_weights(tmp_path: Path, plain: Path, kind: str) -> None:
    folder = text_encoders.write(tmp_path / kind, SMALL, kind=kind)
    assert_same(loaded(folder), loaded(plain))


def test_a_head_a_prefix_and_old_names_of_normalizations_are_read_over(
    tmp_path: Path, plain: Path
) -> None:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    named = {}
    for name, one in ARRAYS.items():
        end = next((end for end in old if name.endswith(end)), None)
        named["bert." + (name if end is None else name.replace(end, old[end]))] = one
    named["cls.predictions.bias"] = np.zeros(9, np.float32)
    named["bert.pooler.dense.bias"] = np.zeros(24, np.float32)
    named["bert.embeddings.position_ids"] = np.arange(64)[None]
    folder = text_encoders.write(tmp_path / "head", SMALL, named)
    assert_same(loaded(folder), loaded(plain))


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_give_the_same_weights(tmp_path: Path, plain: Path, suffix: str) -> None:
    folder = sharded(tmp_path / "shards", suffix)
    assert_same(loaded(folder), loaded(plain))


def sharded(folder: Path, suffix: str = "safetensors") -> Path:
    text_encoders.write(folder, SMALL)
    (folder / "model.safetensors").unlink()
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    places = {}
    for number, names in enumerate((list(ARRAYS)[::2], list(ARRAYS)[1::2])):
        own = {name: ARRAYS[name] for name in names}
        name = f"{stem}-0000{number + 1}-of-00002.{suffix}"
        part = text_encoders.write(folder / "part", SMALL, own, suffix)
        (part / f"{stem}.{suffix}").rename(folder / name)
        places |= dict.fromkeys(own, name)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    return folder


def test_shards_must_be_what_their_list_says(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "shards")
    index = folder / "model.safetensors.index.json"
    listed = json.loads(index.read_text())
    first, second = sorted(set(listed["weight_map"].values()))
    changed = dict(listed["weight_map"])
    changed["embeddings.word_embeddings.weight"] = second
    index.write_text(json.dumps({"weight_map": changed}))
    assert "tensor 'embeddings.word_embeddings.weight' is not where the" in refusal(folder)
    for place in ("../model.safetensors", "", "a/b", 3, ".."):
        changed["embeddings.word_embeddings.weight"] = place
        index.write_text(json.dumps({"weight_map": changed}))
        assert f"{place!r} is no name of a file" in refusal(folder)
    index.write_text(json.dumps({"weight_map": {}}))
    assert "has no weight_map" in refusal(folder)
    index.write_text(json.dumps(listed))
    (folder / first).unlink()
    assert f"{folder / first}: the shard is missing" in refusal(folder)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_half_and_double_precision_are_read(tmp_path: Path, dtype: Any) -> None:
    arrays = {name: one.astype(dtype) for name, one in ARRAYS.items()}
    encoder = loaded(text_encoders.write(tmp_path / "other", SMALL, arrays))
    found = encoder.network.get_layer("layer_0").inner.kernel.numpy()
    expected = arrays["encoder.layer.0.intermediate.dense.weight"].T.astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_bfloat16_is_read(tmp_path: Path) -> None:
    upper = {name: (one.view(np.uint32) >> 16).astype(np.uint16) for name, one in ARRAYS.items()}
    encoder = loaded(text_encoders.write(tmp_path / "brain", SMALL, upper))
    name = "embeddings.position_embeddings.weight"
    expected = (upper[name].astype(np.uint32) << 16).view(np.float32)
    found = encoder.network.get_layer("embeddings").positions.embeddings.numpy()
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found - ARRAYS[name]).max() > 0


BIAS = "encoder.layer.0.output.dense.bias"


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({BIAS: np.zeros(25, np.float32)}, f"{BIAS} has shape (25,), and config.json wants (24,)"),
        ({BIAS: np.full(24, np.nan, np.float32)}, f"{BIAS} holds numbers that are not finite"),
        ({BIAS: np.full(24, np.inf, np.float32)}, f"{BIAS} holds numbers that are not finite"),
        ({BIAS: np.full(24, 1e39)}, f"{BIAS} holds numbers beyond float32"),
        ({BIAS: np.zeros(24, np.int64)}, f"{BIAS} holds int64"),
        ({BIAS: None}, f"holds no tensor {BIAS}, as config.json wants"),
        (
            {"encoder.layer.1.output.dense.bias": np.zeros(24, np.float32)},
            "holds tensor 'encoder.layer.1.output.dense.bias', which no bert of config.json has",
        ),
        (
            {"encoder.layer.0.attention.self.distance_embedding.weight": np.zeros((3, 8))},
            "distance_embedding.weight', which no bert of config.json has",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_configuration_are_refused(
    tmp_path: Path, arrays: dict[str, Any], problem: str
) -> None:
    whole = {name: one for name, one in {**ARRAYS, **arrays}.items() if one is not None}
    assert problem in refusal(text_encoders.write(tmp_path / "other", SMALL, whole))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"hidden_act": "mish"}, "config.json: hidden_act: input should be 'gelu', 'gelu_python'"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type: input should be 'a",
        ),
        ({"is_decoder": True}, "is_decoder: input should be False, got True; give a bert encoder"),
        ({"add_cross_attention": True}, "add_cross_attention: input should be False"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads: "),
        ({"auto_map": {"AutoModel": "run.Me"}}, "auto_map: input should be None"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: input should be None"),
        ({"rope_theta": 1.0}, "rope_theta: extra inputs are not permitted, got 1.0"),
        ({"embedding_size": 8}, "embedding_size: extra inputs are not permitted"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps: input should be greater than 0"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps: "),
        ({"pad_token_id": -1}, "pad_token_id: input should be greater than or equal to 0"),
        ({"num_attention_heads": 5}, "width 24 cannot be divided among 5 heads"),
        ({"hidden_size": 2**40}, "hidden_size: input should be less than or equal to 65536"),
        ({"num_hidden_layers": 0}, "num_hidden_layers: input should be greater than"),
        ({"vocab_size": "9"}, "vocab_size: input should be a valid integer, got '9'"),
        ({"type_vocab_size": 0}, "type_vocab_size: "),
        ({"model_type": "t5"}, "model_type is 't5', and model.text_encoder is bert; make them"),
        ({"model_type": None}, "model_type is None"),
    ],
)
def test_a_configuration_that_is_not_computed_is_refused_by_its_field(
    plain: Path, fields: dict[str, Any], problem: str
) -> None:
    (plain / "config.json").write_text(json.dumps({**SMALL, **fields}))
    assert problem in refusal(plain)


def test_sizes_may_not_be_left_out_and_constants_have_the_defaults_of_transformers(
    plain: Path,
) -> None:
    kept = {key: one for key, one in SMALL.items() if key != "hidden_size"}
    (plain / "config.json").write_text(json.dumps(kept))
    assert "hidden_size: field required; give a bert encoder" in refusal(plain)
    optional = ("hidden_act", "layer_norm_eps", "position_embedding_type")
    kept = {key: one for key, one in SMALL.items() if key not in optional}
    (plain / "config.json").write_text(json.dumps(kept))
    config = loaded(plain).config
    assert (config.activation, config.epsilon) == ("gelu", 1e-12)


def test_an_epsilon_that_distilbert_does_not_have_is_refused(tmp_path: Path) -> None:
    config = {**DISTILBERT, "layer_norm_eps": 1e-5}
    folder = text_encoders.write(tmp_path / "distil", config)
    assert "layer_norm_eps: extra inputs are not permitted" in refusal(folder, config)


def test_positions_of_roberta_begin_behind_the_id_of_padding(tmp_path: Path) -> None:
    config = {**ROBERTA, "max_position_embeddings": 2}
    folder = text_encoders.write(tmp_path / "none", config)
    assert "2 positions leave none for a piece" in refusal(folder, config)
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": None}))
    assert "pad_token_id: input should be a valid integer, got None" in refusal(folder, config)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"a": 1, "a": 2}', "\xff"])
def test_a_configuration_that_is_no_mapping_is_refused(plain: Path, content: str) -> None:
    (plain / "config.json").write_bytes(content.encode("latin-1"))
    assert "config.json: is no " in refusal(plain)


def test_a_configuration_of_over_a_mebibyte_is_not_parsed(plain: Path) -> None:
    (plain / "config.json").write_text(json.dumps(SMALL) + " " * 2**20)
    assert "config.json: over 1048576 bytes" in refusal(plain)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("config.json", "holds no config.json; give a folder that Hugging Face"),
        ("model.safetensors", "holds neither model.safetensors nor pytorch_model.bin"),
    ],
)
def test_a_file_that_is_missing_is_named(plain: Path, name: str, problem: str) -> None:
    (plain / name).unlink()
    assert problem in refusal(plain)


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        ({}, "module None is not known"),
        ([], "modules are none"),
        ([{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "2"}], "'a.Dense'"),
        ([{"type": "a.Transformer", "path": ""}] * 2, "'a.Transformer' is not known here or stand"),
        ([{"type": "a.Pooling", "path": "1"}], "modules are Pooling"),
        (
            [{"type": "a.Normalize", "path": "2"}, {"type": "a.Transformer", "path": ""}],
            "modules are Normalize, Transformer",
        ),
        ([{"type": "a.Transformer", "path": "../other"}], "path '../other' is no name"),
        ([{"type": "a.Transformer", "path": None}], "is not known here"),
    ],
)
def test_other_modules_of_sentence_transformers_are_refused(
    plain: Path, modules: Any, problem: str
) -> None:
    (plain / "modules.json").write_text(json.dumps(modules))
    assert problem in refusal(plain)


def test_the_transformer_may_lie_in_a_folder_of_its_own(tmp_path: Path, plain: Path) -> None:
    text_encoders.write(tmp_path / "older" / "0_BERT", SMALL)
    modules = [{"type": "sentence_transformers.models.BERT.Transformer", "path": "0_BERT"}]
    (tmp_path / "older" / "modules.json").write_text(json.dumps(modules))
    assert_same(loaded(tmp_path / "older"), loaded(plain))


def test_bytes_that_differ_from_the_digest_of_the_spec_are_refused(plain: Path) -> None:
    digest = "0" * 64
    assert f"the spec wants {digest}" in refusal(plain, text_weights_sha256=digest)
