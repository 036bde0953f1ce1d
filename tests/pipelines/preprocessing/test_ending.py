"""Final summary of a preprocessing: counts as sentences, with a remedy for each loss."""

from typing import Any

from tests import canonical, scores
from triad_ml.pipelines.preprocessing import ending
from triad_ml.pipelines.runtime.summary import Sentence
from triad_ml.transforms.records.values import Reason, Rejected

SPLIT = {"by": "group", "train": 0.7, "eval": 0.1, "test": 0.2}


def manifest(**more: Any) -> dict[str, Any]:
    return {
        "spec": {"split": SPLIT},
        "counts": {"read": 50, "train": 30, "eval": 12, "test": 0, "rejected": 8},
        "rejected": {"duplicate_id": 2, "unparsable": 6},
        **more,
    }


def warnings(sentences: list[Sentence]) -> list[str]:
    return [one.text for one in sentences if one.warns]


def test_a_preprocessing_says_what_was_kept_lost_and_is_missing_and_what_comes_next():
    said = ending.sentences(
        manifest(
            media={
                "image": {"had": 40, "flaws": {"corrupt": 1, "forbidden": 3}},
                "audio": {"had": 0, "flaws": {}},
                "text": {"had": 42, "flaws": {}},
            },
            labels={
                "kind": {
                    "label": "species",
                    "records": {"train": 20, "eval": 5, "test": 0},
                    "unusable": {"a list where one class is expected; set multi_label: true": 9},
                    "classes": 4,
                    "unseen": {"eval": {"classes": 1, "records": 2, "names": ["owl"]}},
                }
            },
            alignment={"names": {"spans": 7, "cut": 2, "misaligned": 1}},
            few_groups=2,
        ),
        "my data",
    )
    assert said == [
        Sentence("50 records read, 42 kept (train 30, eval 12, test 0), 8 rejected"),
        Sentence(
            "rejected as unparsable: 6 of 50; mend what writes the records: the detail says what "
            "is wrong",
            warns=True,
        ),
        Sentence(
            "rejected as duplicate_id: 2 of 50; give each record an id of its own, or name each "
            "delivery once",
            warns=True,
        ),
        Sentence("rejected records: my data/rejected/part-00000.parquet"),
        Sentence(
            "image: 4 of 40 not used (10.0%): forbidden 3, corrupt 1; name their folder with "
            "--media-root, or give this user the right to read them",
            warns=True,
        ),
        Sentence("audio: no record has one"),
        Sentence("text: all 42 used"),
        Sentence("kind: 25 records with the label 'species' (train 20, eval 5, test 0), 4 classes"),
        Sentence(
            "kind: 9 labels cannot be used: a list where one class is expected; set multi_label: "
            "true",
            warns=True,
        ),
        Sentence(
            "kind: 1 class in eval that training never sees (owl): its 2 labels cannot be "
            "predicted; add such records to train, or change the spec's split",
            warns=True,
        ),
        Sentence("names: 7 spans, 2 cut, 1 misaligned"),
        Sentence(
            "the test split has no record (all records are in 2 groups): nothing measures the "
            "model; set split.by: id in the spec, or give records more groups or a split of their "
            "own",
            warns=True,
        ),
        Sentence("next: triad train --data 'my data' --output MODEL"),
    ]


def test_a_manifest_of_an_earlier_version_says_what_it_holds():
    assert len(ending.sentences(manifest(), "data")) == 6


def test_a_small_split_is_told_and_one_that_nobody_wants_is_not():
    counts = {"train": 200, "eval": 3, "test": 0}
    assert ending.splits(counts, {**SPLIT, "test": 0.0}, None) == [
        Sentence(
            "the eval split has 3 records: too few to tell when to stop training; raise its share "
            "of split in the spec, add records, or give some a split of their own",
            warns=True,
        )
    ]
    assert ending.splits({"train": 10, "eval": 10, "test": 10}, SPLIT, None) == []


def test_many_names_are_counted():
    names = [f"c{index:02}" for index in range(20)]
    unseen = {"test": {"classes": 31, "records": 40, "names": names}}
    found = {"records": dict.fromkeys(("train", "eval", "test"), 9), "unusable": {}}
    said = ending.labels({"kind": {"label": "k", **found, "classes": 2, "unseen": unseen}})
    assert warnings(said) == [
        "kind: 31 classes in test that training never sees (c00, c01, c02, c03, c04 and 26 more): "
        "their 40 labels cannot be predicted; add such records to train, or change the spec's split"
    ]


def test_classes_that_are_one_value_in_two_spellings_are_named():
    found = {"records": dict.fromkeys(("train", "eval", "test"), 9), "unusable": {}, "unseen": {}}
    alike = [["1", "1.0"], ["True", "true"]]
    said = ending.labels({"kind": {"label": "k", **found, "classes": 4, "alike": alike}})
    why = (
        "one value written in several ways (pandas writes whole numbers of a column with gaps as "
        "1.0); write it alike"
    )
    assert warnings(said) == [
        f"kind: '1' and '1.0' are 2 classes, and {why}",
        f"kind: 'True' and 'true' are 2 classes, and {why}",
    ]


def test_records_that_were_looked_at_here_are_counted_with_those_refused():
    place = scores.rejected("x").position
    unreadable = Rejected("c", place, "canonicalize", Reason.UNREADABLE, "image: empty")
    one = canonical.record("a", image=b"a picture", issues=("text: not_utf8",))
    assert ending.looked_at(("image", "text"), [one, unreadable], "to be compared") == [
        Sentence("2 records read, 1 to be compared, 1 rejected"),
        Sentence("rejected as unreadable: 1 of 2; see the media that are not used", warns=True),
        Sentence(
            "image: 1 of 2 not used (50.0%): empty 1; ask the source to send the files again",
            warns=True,
        ),
        Sentence(
            "text: 1 of 1 not used (100.0%): not_utf8 1; write the texts as UTF-8", warns=True
        ),
    ]


def test_copies_of_training_records_are_said():
    said = [one.text for one in ending.sentences(manifest(copies={"stretch": 29, "pitch": 1}), "d")]
    assert said[0] == "50 records read, 42 kept (train 30, eval 12, test 0), 8 rejected"
    assert "train: also 30 records with changed audio (stretch 29, pitch 1), copies of others" in (
        said
    )
    assert "train: also 0 records with changed audio (pitch 0), copies of others" in warnings(
        ending.sentences(manifest(copies={"pitch": 0}), "d")
    )
    assert not any("changed audio" in one.text for one in ending.sentences(manifest(), "d"))


def found(**more: Any) -> dict[str, Any]:
    whole = {"compared": 40, "alike": 0, "groups": 0, "leaks": {"eval": 0, "test": 0}}
    return {**whole, "crowded": 0, "over": 0, "pairs": [], **more}


def test_leaks_are_named_with_their_ids_and_a_remedy():
    pair = {"first": ["a", "train"], "second": ["b", "test"], "distance": 0.01}
    leaking = found(alike=6, groups=3, leaks={"eval": 0, "test": 2}, pairs=[pair])
    said = ending.sentences(
        manifest(duplicates={"image": leaking, "text": found(alike=2)}), "my data"
    )
    assert (
        Sentence("near-duplicates: image 6 of 40, text 2 of 40; see my data/duplicates.json")
        in said
    )
    assert [text for text in warnings(said) if "leaks" in text] == [
        "image: leaks: 2 of test have a near-duplicate in an earlier split, such as 'a' (train) "
        "and 'b' (test), so scores on them are too good; set split: {keep_together: "
        "near_duplicates} in the spec, and give both the same split where they name theirs"
    ]
    own = ending.duplicates({"image": leaking}, "duplicates.json", kept_together=True)
    assert warnings(own)[0].endswith("too good; they name their splits: give both the same one")


def test_media_that_were_not_compared_are_counted():
    said = ending.duplicates({"audio": found(crowded=50, over=7)}, "duplicates.json", False)
    assert warnings(said) == [
        "audio: 50 media are like so many others that only the nearest ones were compared; further "
        "near-duplicates of them may be missing",
        "audio: only the first 40 media were compared, and 7 were not; preprocess parts of the "
        "records to compare them",
    ]
