"""Universal sentence encoder: its vectors equal a computation in double precision."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import sentence_encoders
from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import safetensors
from triad_ml.transforms.spec.model import TextEncoderSpec

TEXTS = [[1, 5, 2], [], [7], [1, *range(40, 70), 2], [1, 71, 2], [1, *range(3, 20), 2]]
PIECES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentence_encoders.write(tmp_path_factory.mktemp("sentences") / "encoder")


def spec(folder: Path, **options: object) -> TextEncoderSpec:
    return TextEncoderSpec.model_validate(
        {"text_encoder": "universal-sentence-encoder", "text_weights": str(folder)} | options
    )


def padded(texts: list[list[int]]) -> tf.Tensor:
    return tf.constant([ids + [-1] * (PIECES - len(ids)) for ids in texts], tf.int32)


def test_vectors_of_pieces_and_texts_are_those_of_the_formulas(folder):
    encoder = text.load(spec(folder))
    states, vectors = encoder.states(padded(TEXTS)).numpy(), encoder.vectors(padded(TEXTS)).numpy()
    arrays = sentence_encoders.package_arrays()
    for ids, found, vector in zip(TEXTS, states, vectors, strict=True):
        assert not found[len(ids) :].any()
        if not ids:
            assert not vector.any()
            continue
        expected, whole = sentence_encoders.reference(arrays, ids)
        np.testing.assert_allclose(found[: len(ids)], expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(vector, whole, rtol=0, atol=1e-5)
    config = text.config_of(spec(folder))
    assert (config.width, config.pooled) == (states.shape[2], vectors.shape[1])


def test_the_bits_of_a_text_do_not_depend_on_the_others(folder):
    encoder = text.load(spec(folder))
    encode = tf.function(encoder.vectors, autograph=False)
    generator = np.random.default_rng(0)
    rows = [generator.integers(3, 72, 1 + number % PIECES).tolist() for number in range(48)]
    alone = [encode(padded([ids])).numpy()[0] for ids in rows]
    order = generator.permutation(len(rows))
    together = encode(padded([rows[number] for number in order])).numpy()
    for place, number in enumerate(order):
        assert together[place].tobytes() == alone[number].tobytes()


def test_frozen_layers_and_the_vocabulary_are_not_trained(folder):
    encoder = text.load(spec(folder))
    everything = {one.path for one in encoder.network.trainable_variables}
    assert not any("words/" in path for path in everything)
    encoder.freeze(2)
    left = {one.path.split("/")[-2] for one in encoder.network.trainable_variables}
    assert left == {
        *("upper_2", "upper_3", "upper_5", "joined", "summary", "mean"),
        *("first", "second", "second_direct", "third", "last", "last_direct"),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary": 69}, "tensor words/table is uint8 (72, 16), and config.json wants"),
        ({"filters": 24}, "config.json: filters: input should be a multiple of 16"),
        ({"depth": 2}, "config.json: depth: extra inputs are not permitted"),
        ({"model_type": "bert"}, "config.json: model_type: input should be "),
    ],
)
def test_a_configuration_that_is_not_that_of_the_weights_is_refused(
    folder, tmp_path, change, message
):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(OptionsError) as caught:
        text.load(spec(tmp_path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "'joined/beta' is not in the file or not in the encoder"),
        ("other", "'more' is not in the file or not in the encoder"),
        ("infinite", "tensor joined/beta holds numbers that are not finite"),
    ],
)
def test_tensors_that_are_not_those_of_the_encoder_are_refused(folder, tmp_path, change, message):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    arrays, _ = safetensors.read(folder / "model.safetensors")
    beta = arrays.pop("joined/beta")
    added = {"missing": {}, "other": {"joined/beta": beta, "more": beta}}
    arrays |= added.get(change, {"joined/beta": beta * np.float32(np.inf)})
    safetensors.write(tmp_path / "model.safetensors", arrays, {})
    with pytest.raises(OptionsError) as caught:
        text.load(spec(tmp_path))
    assert message in str(caught.value)
