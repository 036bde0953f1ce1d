"""Canonical records as serialized examples."""

import tensorflow as tf

from triad_ml.transforms.graph import preprocessing_fn, raw_examples
from triad_ml.transforms.records.values import CanonicalRecord, Position
from triad_ml.transforms.spec import loading, training

SPEC = loading.parse(
    """
modalities: {image: , audio: , text: }
tasks:
  kind: {kind: classification, label: what}
  marks: {kind: classification, label: signs, multi_label: true}
"""
)
PLACE = Position("folder/records.jsonl", offset=2**40, unit=7)


def parsed(serialized, what=SPEC):
    """The features of one example: bytes, numbers, and lists of what may be several."""
    features = tf.io.parse_single_example(serialized, preprocessing_fn.raw_feature_spec(what))
    return {
        name: value.values.numpy().tolist() if isinstance(value, tf.SparseTensor) else value.numpy()
        for name, value in features.items()
    }


def test_an_example_holds_what_the_graph_takes_and_nothing_else():
    record = CanonicalRecord(
        "r-é",
        PLACE,
        image=b"\x89PNG\0\xff",
        text="Ü".encode(),
        issues=("audio: corrupt",),
        group="g",
        split="eval",
        labels={"what": "cat", "signs": ["b", "a"], "other": "x"},
        extra={"source": "shelf"},
    )
    example = raw_examples.from_record(record, SPEC)
    assert example.unnamed == ()
    assert parsed(example.serialized) == {
        "id": "r-é".encode(),
        "image": b"\x89PNG\0\xff",
        "audio": b"",
        "text": "Ü".encode(),
        "label_kind": [b"cat"],
        "label_kind_given": 1,
        "label_marks": [b"a", b"b"],
        "label_marks_given": 1,
    }
    stored = tf.train.Example.FromString(example.serialized)
    assert set(stored.features.feature) == {
        *preprocessing_fn.raw_feature_spec(SPEC),
        "group",
        "place",
    }


def test_a_missing_label_and_an_empty_set_differ():
    without = raw_examples.from_record(CanonicalRecord("r", PLACE, labels={"what": None}), SPEC)
    empty = raw_examples.from_record(CanonicalRecord("r", PLACE, labels={"signs": []}), SPEC)
    assert without.unnamed == empty.unnamed == ()
    given = ("label_marks", "label_marks_given", "label_kind", "label_kind_given")
    assert [parsed(without.serialized)[name] for name in given] == [[], 0, [], 0]
    assert [parsed(empty.serialized)[name] for name in given] == [[], 1, [], 0]


def test_a_label_that_names_no_class_counts_as_missing_and_is_said():
    labels = {"what": "a\nb", "signs": ["a"]}
    example = raw_examples.from_record(CanonicalRecord("r", PLACE, labels=labels), SPEC)
    assert example.unnamed == ("kind",)
    features = parsed(example.serialized)
    assert (features["label_kind"], features["label_kind_given"]) == ([], 0)
    assert (features["label_marks"], features["label_marks_given"]) == ([b"a"], 1)
    labels = {"what": 1.5, "signs": "a"}
    example = raw_examples.from_record(CanonicalRecord("r", PLACE, labels=labels), SPEC)
    assert example.unnamed == ("kind", "marks")


def test_two_tasks_may_read_one_label():
    what = loading.parse(
        """
modalities: {text: }
tasks:
  one: {kind: classification, label: what}
  other: {kind: classification, label: what}
"""
    )
    record = CanonicalRecord("r", PLACE, image=b"unseen", text=b"t", labels={"what": "cat"})
    features = parsed(raw_examples.from_record(record, what).serialized, what)
    assert features == {
        "id": b"r",
        "text": b"t",
        "label_one": [b"cat"],
        "label_one_given": 1,
        "label_other": [b"cat"],
        "label_other_given": 1,
    }


def test_identity_reads_back_the_id_and_the_place():
    example = raw_examples.from_record(CanonicalRecord("r-日本", PLACE, text=b"t"), SPEC)
    assert raw_examples.identity(example.serialized) == ("r-日本", 7, 2**40)


def test_equal_records_give_equal_bytes():
    one = CanonicalRecord("r", PLACE, text=b"t", labels={"what": 1, "signs": ["a", "b"]})
    other = CanonicalRecord("r", PLACE, text=b"t", labels={"signs": {"b", "a"}, "what": "1"})
    assert raw_examples.from_record(one, SPEC) == raw_examples.from_record(other, SPEC)


def test_the_data_set_is_kept_where_the_spec_asks_for_it():
    what = SPEC.model_copy(update={"mixture": training.Mixture(by="source")})

    def dataset(**extra):
        record = CanonicalRecord("r", PLACE, text=b"a", extra=extra)
        return parsed(raw_examples.from_record(record, what).serialized, what)["label__dataset"]

    assert dataset(source="Äpfel", other="x") == "Äpfel".encode()
    assert dataset(source=7) == b"7"
    assert dataset(source=["a"]) == dataset(source=None) == dataset() == b""
