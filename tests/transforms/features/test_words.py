"""Places of the first piece of each word."""

import pytest
import tensorflow as tf

from tests import once, pieces
from triad_ml.transforms.features import words
from triad_ml.transforms.features.pieces import values

TEXTS = ["Étés, l'été 2026!", "", "家猫 lived unbelievably long", "a  b"]
LENGTH = 8


@pytest.mark.parametrize("make", [pieces.wordpiece, pieces.byte_pairs, pieces.unigram])
def test_the_first_piece_of_a_word_is_the_first_one_with_a_character_of_it(tmp_path_factory, make):
    ours = pieces.Ours(once.made_once(tmp_path_factory, make.__name__, make))
    _, starts, ends = words.words_graph(tf.constant(TEXTS))
    placed = words.words_of(starts, ends, LENGTH)
    found = values.dense(
        ours.tokenizer.graph(tf.constant(TEXTS), ours.tables), ours.tokenizer.frame.cut(12)
    )
    expected = []
    for row in range(len(TEXTS)):
        spans = list(zip(found.starts[row].numpy(), found.ends[row].numpy(), strict=True))
        line = [-1] * LENGTH
        for place, (first, end) in enumerate(
            zip(placed.starts[row].numpy(), placed.ends[row].numpy(), strict=True)
        ):
            overlaps = [i for i, (one, other) in enumerate(spans) if one < end and other > first]
            line[place] = overlaps[0] if overlaps else -1
        expected.append(line)
    places = words.first_overlaps(placed, found.starts, found.ends)
    assert places.numpy().tolist() == expected
    assert places.shape == (len(TEXTS), LENGTH)
    assert (places[1].numpy() == -1).all()
    assert places[3].numpy().tolist()[0] == 1
