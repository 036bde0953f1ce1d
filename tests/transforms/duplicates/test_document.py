"""Document of near-duplicates: read as it was written, refused if it is of another form."""

import json

import pytest

from triad_ml.transforms.duplicates import document
from triad_ml.transforms.duplicates.document import Found, Pair, Place
from triad_ml.transforms.errors import OptionsError

FOUND = Found(
    compared=9,
    plain=1,
    over=0,
    crowded=0,
    groups=1,
    alike=2,
    leaks={"eval": 0, "test": 1},
    pairs=(Pair(Place("a", "train"), Place("b", "test"), 0.01),),
    pairs_left_out=0,
)


def test_a_document_is_read_as_it_was_written():
    read = document.parse(document.content({"text": FOUND}, "digest"), "here")
    assert read.modalities == {"text": FOUND}
    assert read.spec_digest == "digest"
    assert read.modalities["text"].pairs[0].leaks


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "here: is damaged"),
        (b"[]", "here: has the form of an earlier version"),
        (b'{"form": 7}', "here: has the form 7, and this version reads form 1"),
    ],
)
def test_another_content_is_refused(content, message):
    with pytest.raises(OptionsError, match=message):
        document.parse(content, "here")


def test_an_entry_of_another_type_is_named():
    whole = json.loads(document.content({"text": FOUND}, "digest"))
    whole["modalities"]["text"]["alike"] = "many"
    with pytest.raises(OptionsError, match=r"modalities\.text\.alike is not what Triad writes"):
        document.parse(json.dumps(whole).encode(), "here")
