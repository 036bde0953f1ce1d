"""Byte-level byte-pair encoding against Hugging Face `tokenizers`."""

from pathlib import Path

import pytest
import tensorflow as tf

from tests import once, pieces
from triad_ml.transforms.features.pieces import byte_pairs

SPACES = (
    "a\n\n b",
    " \n'x",
    "\t 'll",
    "a  'll",
    "a\n'll",
    " ",
    "  ",
    "\n",
    "a ",
    "'s's'ree",
    "''s",
)
LENGTHS = tuple("=" * count for count in range(1, 40)) + tuple("ab" * count for count in range(9))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once.made_once(tmp_path_factory, "byte_pairs", pieces.byte_pairs)


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once.made_once(
        tmp_path_factory,
        "byte_pairs_spaced",
        lambda path: pieces.byte_pairs(path, space_first=True),
    )


def test_ten_thousand_sentences_of_six_scripts_have_the_ids_and_offsets_of_the_reference(folder):
    assert pieces.differences(folder, pieces.sentences(10_000)) == []


@pytest.mark.parametrize("name", ["folder", "spaced"])
def test_white_space_contractions_and_runs_are_those_of_the_reference(name, request):
    texts = [*SPACES, *LENGTHS, *pieces.ODD, "", *pieces.sentences(300, seed=2)]
    assert pieces.differences(request.getfixturevalue(name), texts) == []


@pytest.mark.parametrize(
    "change",
    [
        {"post_processor.trim_offsets": False},
        {"model.ignore_merges": True},
        {"post_processor": None},
        {"post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}},
    ],
    ids=str,
)
def test_each_option_is_that_of_the_reference(folder, tmp_path, change):
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    pieces.changed(tmp_path, change)
    assert pieces.differences(tmp_path, [*SPACES, *pieces.sentences(300, seed=3)]) == []


def test_real_sentences_have_the_ids_and_offsets_of_the_reference(folder):
    if not pieces.real_sentences():
        pytest.skip("the shared data are absent")
    assert pieces.differences(folder, pieces.real_sentences()[::4]) == []


def test_a_row_does_not_depend_on_its_neighbours(folder):
    ours = pieces.Ours(folder)
    texts = [*pieces.sentences(60, seed=3), *SPACES, ""]
    alone = [ours([text])[0] for text in texts]
    assert ours(texts) == alone
    assert ours(texts[::-1])[::-1] == alone


def test_a_special_piece_that_a_text_names_is_read_as_characters(folder):
    ((ids, _),) = pieces.Ours(folder)(["a</s>b"])
    assert ids.count(2) == 1


def test_a_word_of_over_a_thousand_bytes_is_cut_and_every_byte_is_kept(folder):
    ours = pieces.Ours(folder)
    text = "x" * (2 * byte_pairs.MOST_BYTES + 5)
    ((ids, offsets),) = ours([text])
    assert "".join(ours.tokenizer.tokens[id_] for id_ in ids[1:-1]) == text
    assert [first for first, _ in offsets[2:-1]] == [end for _, end in offsets[1:-2]]


def test_a_saved_model_has_vocabulary_and_merges_as_assets_and_only_allowed_ops(folder, tmp_path):
    ours = pieces.Ours(folder)
    call = pieces.saved(ours, tmp_path)
    assert {path.name for path in (tmp_path / "assets").iterdir()} == {"pieces.txt", "merges.tsv"}
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    texts = tf.constant(pieces.sentences(20, seed=4))
    assert loaded(texts)["ids"].numpy().tolist() == call(texts)["ids"].numpy().tolist()
