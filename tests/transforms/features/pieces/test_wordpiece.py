"""WordPiece against Hugging Face `tokenizers`, and its own promises."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import once, pieces
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.pieces import values
from triad_ml.transforms.features.pieces.values import Frame

OPTIONS = {
    "cased": {"lowercase": False},
    "accents stay": {"strip_accents": False},
    "ideographs stay together": {"handle_chinese_chars": False, "lowercase": False},
    "controls stay": {"clean_text": False},
}

ALIKE = (
    *(range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xAC00, 0xD7A4), range(0x17000, 0x18D00)),
    *(range(0x20000, 0x2A6E0), range(0x2A700, 0x2B740), range(0x2B820, 0x2F800)),
    *(range(0x12000, 0x12400), range(0x13000, 0x13430), range(0x30000, 0x31350)),
)
"""Blocks of many characters of one kind."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once.made_once(tmp_path_factory, "wordpiece", pieces.wordpiece)


@pytest.fixture(scope="module")
def ours(folder: Path) -> pieces.Ours:
    return pieces.Ours(folder)


def with_options(folder: Path, tmp_path: Path, options: dict[str, bool]) -> Path:
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    return pieces.changed(tmp_path, {f"normalizer.{key}": options[key] for key in options})


def test_ten_thousand_sentences_of_six_scripts_have_the_ids_and_offsets_of_the_reference(
    folder, ours
):
    texts = [*pieces.sentences(10_000), *pieces.ODD, "", " ", "\u0301", "\u4e00\u0301"]
    assert pieces.differences(folder, texts, ours=ours) == []


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_option_is_that_of_the_reference(folder, tmp_path, options):
    texts = [*pieces.sentences(300, seed=2), *pieces.ODD, "", " ", "\u0301", "\u4e00\u0301"]
    assert pieces.differences(with_options(folder, tmp_path, options), texts) == []


def test_real_sentences_have_the_ids_and_offsets_of_the_reference(folder, ours):
    if not pieces.real_sentences():
        pytest.skip("the shared data are absent")
    assert pieces.differences(folder, pieces.real_sentences()[::4], ours=ours) == []


def test_dropped_accents_and_lower_case_change_no_offset(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "et", "##e", "=", "i"]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    ((ids, offsets),) = pieces.Ours(tmp_path)(["\u00c9\u0301t\u00e9 \u2260\ufb01 \u0130"])
    assert ids == [2, 4, 5, 6, 1, 7, 3]
    assert offsets == [(0, 0), (0, 3), (3, 4), (5, 6), (6, 7), (8, 9), (0, 0)]


def test_a_length_without_place_for_a_piece_is_refused(ours):
    with pytest.raises(OptionsError, match="2 special pieces around each text; set at least 3"):
        ours.tokenizer.frame.cut(2)


def test_a_special_piece_that_a_text_names_is_read_as_characters(ours):
    ((ids, _),) = ours(["a [SEP] b"])
    assert ids.count(ours.tokenizer.frame.last[0]) == 1


def test_a_row_does_not_depend_on_its_neighbours(ours):
    texts = [*pieces.sentences(60, seed=3), *pieces.ODD, ""]
    alone = [ours([text])[0] for text in texts]
    assert ours(texts) == alone
    assert ours(texts[::-1])[::-1] == alone


def test_dense_pieces_are_cut_framed_and_padded(ours):
    frame = Frame((7, 8), (9,), 5, length=6)
    texts = ["a b c d e", "a", ""]
    whole = [ids[1:-1] for ids, _ in ours(texts)]
    found = values.dense(ours.tokenizer.graph(tf.constant(texts), ours.tables), frame)
    expected = [
        [7, 8, *whole[0][:3], 9],
        [7, 8, *whole[1], 9, *[5] * (3 - len(whole[1]))],
        [7, 8, 9, 5, 5, 5],
    ]
    assert found.ids.numpy().tolist() == expected
    assert found.counts.numpy().tolist() == [6, 3 + len(whole[1]), 3]
    assert found.starts.shape == found.ends.shape == (3, 6)
    assert not np.any(found.starts.numpy()[2] | found.ends.numpy()[2])


def test_a_saved_model_has_the_vocabulary_as_an_asset_and_only_allowed_ops(folder, ours, tmp_path):
    pieces.saved(ours, tmp_path)
    vocabulary = (tmp_path / "assets" / "pieces.txt").read_text(encoding="utf-8")
    assert vocabulary.splitlines()[:5] == list(pieces.SPECIAL)
    texts = pieces.sentences(20, seed=4)
    program = (
        "import sys, tensorflow as tf; model = tf.saved_model.load(sys.argv[1]);"
        "print(model.signatures['serving_default'](tf.constant(sys.argv[2:]))['ids'].numpy()"
        ".tolist(), 'tokenizers' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *texts],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = values.dense(
        ours.tokenizer.graph(tf.constant(texts), ours.tables), ours.tokenizer.frame.cut(16)
    )
    assert finished.stdout.strip() == f"{expected.ids.numpy().tolist()} False"


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="other tables of characters")
def test_only_characters_that_the_tables_of_the_reference_lack_differ(folder, ours):
    """Each assigned character, alone and inside a word; of ideographs and syllables each eighth.

    The reference has older tables of marks, punctuation and formats; no letter or digit differs.
    """
    assigned = [
        chr(code_point)
        for code_point in range(0x110000)
        if unicodedata.category(chr(code_point)) not in ("Cn", "Cs", "Co")
        and (code_point % 8 == 0 or not any(code_point in block for block in ALIKE))
    ]
    texts = [f"{character} a{character}b" for character in assigned]
    different = [text[0] for text in pieces.differences(folder, texts, 10_000, ours)]
    kinds = {unicodedata.category(character)[0] for character in different}
    assert len(different) == 503
    assert kinds <= {"M", "P", "S", "C"}
    assert not [character for character in different if ord(character) < 0x0600]


def test_a_vocabulary_without_tokenizer_json_is_that_of_bert(folder, tmp_path):
    content = json.loads((folder / "tokenizer.json").read_text())
    tokens = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    texts = pieces.sentences(100, seed=5)
    assert pieces.Ours(tmp_path)(texts) == pieces.Ours(folder)(texts)
