"""Fingerprints of records: written by bundle, read in the order of the input, and compared."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest

from tests import planted
from triad_ml.pipelines.preprocessing import fingerprints, near_duplicates, summary
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.storage import json_files
from triad_ml.transforms.duplicates.document import Found, Pair, Place
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.records.values import CanonicalRecord, Position
from triad_ml.transforms.spec import loading

WHAT = loading.parse(
    "modalities: {image: , text: }\ntasks: {kind: {kind: classification, label: what}}"
)
TEXTS = [planted.passage(np.random.default_rng(seed)) for seed in range(6)]


def record(index: int, split: str | None, text: str, group: str | None = None) -> CanonicalRecord:
    position = Position("lines", 10 * index, index // 4)
    return CanonicalRecord(f"r{index}", position, text=text.encode(), group=group, split=split)


RECORDS = [
    record(0, "train", TEXTS[0]),
    record(1, "test", TEXTS[1]),
    record(2, None, TEXTS[2], "twins"),
    record(3, "eval", TEXTS[1].upper()),
    record(4, None, TEXTS[2].replace(" ", ", "), "twins"),
    record(5, None, "too short"),
    record(6, "train", TEXTS[3]),
    record(7, "test", TEXTS[0]),
    dataclasses.replace(record(8, "test", TEXTS[0]), id="r0"),  # a later record of this id
    record(9, "test", TEXTS[3]),
]
"""The digest of the group puts `twins` into the training split."""


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("fingerprints")
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        for part in (RECORDS[:5], RECORDS[5:]):
            label = f"From{part[0].id}"
            created = root | f"Create{label}" >> beam.Create(part, reshuffle=False)
            written = created | label >> fingerprints.WriteFingerprints(WHAT, str(folder))
            written | f"List{label}" >> json_files.WriteJson(folder / f"{label}.json")
    listed = [path for file in folder.glob("*.json") for path in json_files.read(file)]
    assert sorted(listed) == sorted(map(str, Path(folder).glob("*.arrow")))
    return listed


def found(paths: Sequence[str], most: int = 100) -> dict[str, Found]:
    return near_duplicates.find(paths, WHAT, most).named(WHAT.split)


def test_near_duplicates_are_named_by_id_and_leaks_are_the_first(paths):
    assert found(paths)["image"] == Found(0, 0, 0, 0, 0, 0, {"eval": 0, "test": 0}, (), 0)
    text = found(paths)["text"]
    assert (text.compared, text.plain, text.over, text.crowded) == (8, 1, 0, 0)
    assert (text.groups, text.alike, dict(text.leaks)) == (4, 8, {"eval": 0, "test": 3})
    assert text.pairs == (
        Pair(Place("r0", "train"), Place("r7", "test"), 0.0),
        Pair(Place("r1", "test"), Place("r3", "eval"), 0.0),
        Pair(Place("r6", "train"), Place("r9", "test"), 0.0),
        Pair(Place("r2", "train"), Place("r4", "train"), 0.0),
    )
    assert text.pairs_left_out == 0


def test_the_order_of_the_files_does_not_matter(paths):
    assert found(paths[::-1]) == found(paths)


def test_only_the_first_record_of_an_id_counts(paths):
    known = near_duplicates.find(paths, WHAT).records
    rows = list(known.rows())
    assert [row[0] for row in rows] == [f"r{index}" for index in (*range(8), 9)]
    assert rows[:3] == [("r0", None, "train"), ("r1", None, "test"), ("r2", "twins", None)]
    assert sorted(known.places) == [-1, *range(9)]


def test_media_beyond_the_limit_are_counted(paths):
    text = found(paths, most=4)["text"]
    assert (text.compared, text.plain, text.over) == (4, 1, 4)
    assert [(pair.first.id, pair.second.id) for pair in text.pairs] == [("r1", "r3")]


def test_near_duplicates_have_one_number_and_named_splits_stay(paths):
    alike = near_duplicates.find(paths, WHAT)
    together = alike.kept_together(WHAT.split)
    assert together.leaders == {"r0": "r0", "r7": "r0", "r1": "r1", "r3": "r1"} | {
        "r6": "r6",
        "r9": "r6",
    }
    assert together.splits == {}  # All of them name their splits.


def test_near_duplicates_are_kept_together_only_if_all_media_are_compared(paths):
    with pytest.raises(GateError, match="split.keep_together: 4 media of text are beyond"):
        near_duplicates.find(paths, WHAT, most=4).kept_together(WHAT.split)


def test_a_training_split_that_groups_leave_empty_names_the_setting():
    with pytest.raises(GateError, match="may join most records: remove split.keep_together, or ra"):
        summary.check_splits(("a.jsonl",), [], None, kept_together=True)
