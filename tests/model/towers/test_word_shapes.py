"""Spelling features distinguish unknown words, and have no effect for a missing text."""

import dataclasses

import numpy as np
import pytest

from tests import features
from triad_ml.model import network as model_network
from triad_ml.model.layout import Layout
from triad_ml.transforms.features.ids import UNKNOWN
from triad_ml.transforms.features.word_shapes import PARTS, SPELLING


@pytest.fixture(scope="module")
def layout() -> Layout:
    plain = features.layout(["text"])
    text = plain.spec.modalities.text
    assert text is not None
    spelled = plain.spec.modalities.model_copy(
        update={"text": text.model_copy(update={"spelling": 32})}
    )
    return dataclasses.replace(plain, spec=plain.spec.model_copy(update={"modalities": spelled}))


def test_unknown_words_of_other_parts_are_other_words(layout: Layout) -> None:
    network = model_network.build(layout)
    assert network.get_layer("text_spelling_vectors").input_dim == 33
    batch = features.batch(layout, 2)
    batch["text"][:] = UNKNOWN
    batch[SPELLING] = np.ones((2, 6, PARTS), np.int64)
    one, same = network(batch)["category"].numpy()
    np.testing.assert_array_equal(one, same)
    batch[SPELLING][1, 2, 4] = 32
    one, other = network(batch)["category"].numpy()
    assert (one != other).any()


def test_what_a_missing_text_holds_changes_nothing(layout: Layout) -> None:
    network = model_network.build(layout)
    batch = features.batch(layout, 2)
    batch["text"][1], batch["text_present"][:] = batch["text"][0], False
    batch[SPELLING] = np.stack([np.full((6, PARTS), place, np.int64) for place in (1, 32)])
    one, other = network(batch)["category"].numpy()
    np.testing.assert_array_equal(one, other)
