"""Document of near-duplicates: what `duplicates.json` holds."""

import dataclasses
import json

from triad_ml.transforms.duplicates import document
from triad_ml.transforms.duplicates.document import Found, Pair, Place
from triad_ml.transforms.version import VERSION

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


def test_a_document_names_its_form_and_holds_what_was_found():
    whole = json.loads(document.content({"text": FOUND}, "digest"))
    pair = {
        "first": {"id": "a", "split": "train"},
        "second": {"id": "b", "split": "test"},
        "distance": 0.01,
    }
    assert whole == {
        "form": 1,
        "version": VERSION,
        "spec_digest": "digest",
        "modalities": {"text": {**dataclasses.asdict(FOUND), "pairs": [pair]}},
    }
