"""Unigram tokenizers against Hugging Face `tokenizers`."""

from pathlib import Path

import pytest
import tensorflow as tf
import tokenizers

from tests import once, pieces
from triad_ml.transforms.features.pieces import unigram

SPACES = (
    "",
    " ",
    "  ",
    "a",
    " a",
    "a  b",
    "a \u3000b",
    "\u2581",
    "a\u2581b",
    "\u2581\u2581a",
    "\n",
)
MARKS = (
    "ª\u0301",
    "한\u0301",
    "a👍🏽",
    "a\r\nb",
    "a \r\n b",
    "©\u200d",
    "\n\u0901",
    "\u200b\u0301a",
)
LIGATURES = ("ﬁ\u0301x", "½\u0301")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once.made_once(tmp_path_factory, "unigram", pieces.unigram)


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once.made_once(
        tmp_path_factory, "unigram_joined", lambda path: pieces.unigram(path, splits=False)
    )


@pytest.mark.parametrize("name", ["folder", "joined"])
def test_ten_thousand_sentences_of_six_scripts_have_the_ids_and_offsets_of_the_reference(
    name, request
):
    count = 10_000 if name == "folder" else 2_000
    assert pieces.differences(request.getfixturevalue(name), pieces.sentences(count)) == []


@pytest.mark.parametrize("name", ["folder", "joined"])
def test_white_space_and_marks_are_those_of_the_reference(name, request):
    texts = [*SPACES, *MARKS, *pieces.ODD]
    assert pieces.differences(request.getfixturevalue(name), texts) == []


def test_a_ligature_with_an_accent_has_the_ids_of_the_reference_and_its_own_place(folder):
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = pieces.Ours(folder)(LIGATURES)
    assert [ids for ids, _ in found] == [reference.encode(text).ids for text in LIGATURES]
    assert {offset for _, offsets in found for offset in offsets} <= {(0, 0), (0, 1), (2, 3)}


def test_real_sentences_have_the_ids_and_offsets_of_the_reference(folder):
    if not pieces.real_sentences():
        pytest.skip("the shared data are absent")
    assert pieces.differences(folder, pieces.real_sentences()[::4]) == []


def test_a_row_does_not_depend_on_its_neighbours(folder):
    ours = pieces.Ours(folder)
    texts = [*pieces.sentences(60, seed=3), *SPACES]
    alone = [ours([text])[0] for text in texts]
    assert ours(texts) == alone
    assert ours(texts[::-1])[::-1] == alone


def test_a_special_piece_that_a_text_names_is_read_as_characters(folder):
    ((ids, _),) = pieces.Ours(folder)(["a </s> b"])
    assert ids.count(2) == 1


def test_a_word_of_over_a_thousand_characters_is_cut_and_every_character_is_kept(folder):
    ours = pieces.Ours(folder)
    text = "ab" * unigram.MOST_CHARACTERS
    ((ids, offsets),) = ours([text])
    assert "".join(ours.tokenizer.tokens[id_] for id_ in ids[1:-1]) == "\u2581" + text
    assert offsets[-2][1] == len(text)


def test_a_saved_model_has_the_vocabulary_as_an_asset_and_only_allowed_ops(folder, tmp_path):
    ours = pieces.Ours(folder)
    call = pieces.saved(ours, tmp_path)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    texts = tf.constant(pieces.sentences(20, seed=4))
    assert loaded(texts)["ids"].numpy().tolist() == call(texts)["ids"].numpy().tolist()
