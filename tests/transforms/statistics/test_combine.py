"""Statistics: exact, and mergeable in any order."""

import json
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing import test_pipeline, util
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import canonical
from triad_ml.transforms.statistics import accumulators, measures
from triad_ml.transforms.statistics import combine as statistics_combine
from triad_ml.transforms.statistics.measures import SCALES, Measured


def features_of(document: dict[str, Any], split: str = "train") -> dict[str, Any]:
    part = document["splits"][split]
    return {**part["numeric"], **part["categorical"]}


def test_a_medium_is_present_missing_or_flawed():
    document = canonical.summary_of(
        canonical.record(image=canonical.plain_picture((0, 0, 0)), text=b"a"),
        canonical.record(issues=("image: truncated", "audio: empty"), text=b"b"),
        canonical.record(text=b"c"),
    )
    found = features_of(document)
    assert found["image.state"]["counts"] == {"missing": 1, "present": 1, "truncated": 1}
    assert found["audio.state"]["counts"] == {"missing": 2, "empty": 1}
    assert found["text.state"]["counts"] == {"present": 3}
    assert found["image.format"]["counts"] == {"png": 1}


def test_labels_are_counted_by_the_names_of_their_classes():
    document = canonical.summary_of(
        canonical.record(labels={"what": " cat ", "marks": ["b", "a", "b"]}),
        canonical.record(labels={"what": True, "marks": []}),
        canonical.record(labels={"what": 3.0}),
        canonical.record(labels={"what": {"no": "class"}}),
    )
    found = features_of(document)
    assert found["label.kind"]["counts"] == {"3": 1, "cat": 1, "true": 1}
    assert found["label.kind.state"]["counts"] == {"present": 3, "unusable": 1}
    assert found["label.marks"]["counts"] == {"a": 1, "b": 1}
    assert found["label.marks.state"]["counts"] == {"missing": 2, "present": 2}


def test_moments_and_bins_are_those_of_the_values():
    values = [1, 3, 3, 70, 5_000]
    document = canonical.summary_of(*(canonical.record(text=b" " * n) for n in values))
    found = features_of(document)["text.bytes"]
    assert (found["count"], found["min"], found["max"]) == (5, 1, 5_000)
    assert found["mean"] == np.mean(values)
    assert found["std"] == pytest.approx(np.std(values))
    edges = [-np.inf, *found["edges"], np.inf]
    assert found["counts"] == np.histogram(values, edges)[0].tolist()


def test_exact_duplicates_are_counted_also_between_splits():
    red, blue = canonical.plain_picture((255, 0, 0)), canonical.plain_picture((0, 0, 255))
    whole = statistics_combine.Accumulator()
    for split, image in [("train", red), ("train", red), ("test", red), ("test", blue)]:
        whole.add(split, measures.measure(canonical.record(image=image), canonical.SPEC))
    assert statistics_combine.summary(whole)["media"] == {
        "image": {"total": 4, "distinct": 2, "duplicates": 2, "shared": 1}
    }


def test_only_the_most_frequent_values_are_listed_and_the_others_summed(monkeypatch):
    monkeypatch.setattr(accumulators, "TOP_VALUES", 2)
    labels = ["c", "a", "b", "b", "d"]
    found = features_of(
        canonical.summary_of(*(canonical.record(labels={"what": one}) for one in labels))
    )["label.kind"]
    assert found == {"total": 5, "distinct": 4, "counts": {"b": 2, "a": 1}, "other": 2}


def test_a_word_of_one_text_alone_is_not_listed():
    texts = [b"fan", b"fan", b"0815"]
    document = canonical.summary_of(*(canonical.record(text=text) for text in texts))
    words = features_of(document)["text.word"]
    assert words == {"total": 3, "distinct": 2, "counts": {"fan": 2}, "other": 1}


def test_several_values_at_once_are_counted_as_one_by_one():
    values = np.random.default_rng(1).normal(0, 1, 500)
    scale = measures.scale("score.price.value")
    one_by_one, at_once = (accumulators.Numeric.empty(scale) for _ in range(2))
    for value in values:
        one_by_one.add(value, scale)
    at_once.extend(values[:300], scale)
    at_once.extend([], scale)
    at_once.extend(values[300:], scale)
    assert at_once == one_by_one


def test_numbers_beyond_64_bits_are_counted_exactly():
    scale = measures.scale("score.price.value")
    numbers = accumulators.Numeric.empty(scale)
    numbers.extend([3e38, -3e38, 6e12], scale)  # nearly the largest and smallest float32
    found = numbers.summary(scale)
    assert (found["min"], found["max"]) == (-3e38, 3e38)
    assert found["mean"] == 2e12


def test_too_many_values_or_digests_are_said_to_be_too_many_in_any_order(monkeypatch):
    monkeypatch.setattr(accumulators, "MOST_VALUES", 3)
    monkeypatch.setattr(accumulators, "MOST_DIGESTS", 3)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        parts = [statistics_combine.Accumulator() for _ in range(2)]
        for place, number in enumerate(order):
            one = canonical.record(text=str(number).encode(), labels={"what": number})
            parts[place % 2].add("train", measures.measure(one, canonical.SPEC))
        document = statistics_combine.summary(statistics_combine.merged(parts))
        assert features_of(document)["label.kind"] == {
            "total": 4,
            "distinct": None,
            "counts": {},
            "other": 4,
        }
        assert document["media"]["text"] == {
            "total": 4,
            "distinct": None,
            "duplicates": None,
            "shared": None,
        }


def test_a_split_of_another_name_is_refused():
    with pytest.raises(ValueError, match="split must be one of train, eval, test, all, got 'dev'"):
        statistics_combine.Accumulator().add("dev", Measured(None, (), ()))


_numbers = st.tuples(st.sampled_from(sorted(SCALES)), st.floats(-200, 2**28))
_categories = st.tuples(st.sampled_from(["image.state", "label.kind"]), st.sampled_from("abcd"))
_digests = st.tuples(st.sampled_from(["image", "text"]), st.integers(0, 5))
_words = st.tuples(st.sampled_from(["text.word", "image.format"]), st.sampled_from("abcd"))
_measured = st.builds(
    Measured,
    st.none() | st.lists(_numbers | _words, max_size=4).map(dict),
    st.lists(_categories, max_size=3).map(tuple),
    st.lists(_digests, max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(accumulators.NAMES), _measured), max_size=12),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_grouping_gives_the_same_bits(measured, chance):
    whole = statistics_combine.Accumulator()
    for split, one in measured:
        whole.add(split, one)
    expected = json.dumps(statistics_combine.summary(whole))
    chance.shuffle(measured)
    parts = [statistics_combine.Accumulator() for _ in range(4)]
    for split, one in measured:
        parts[chance.randrange(4)].add(split, one)
    while len(parts) > 1:  # merge in a random tree
        left, right = (parts.pop(chance.randrange(len(parts))) for _ in range(2))
        parts.append(statistics_combine.merged([left, right]))
    assert json.dumps(statistics_combine.summary(parts[0])) == expected


def test_merging_leaves_its_parts_as_they_are():
    parts = [statistics_combine.Accumulator() for _ in range(2)]
    for part, text in zip(parts, [b"a", b"bc"], strict=True):
        part.add("train", measures.measure(canonical.record(text=text), canonical.SPEC))
    before = [statistics_combine.summary(part) for part in parts]
    statistics_combine.merged(parts)
    assert [statistics_combine.summary(part) for part in parts] == before


def test_the_pipeline_gives_what_plain_counting_gives():
    texts = [f"text {i % 7}".encode() for i in range(40)]
    records = [
        canonical.record(f"r{i}", text=text, labels={"what": i % 3}) for i, text in enumerate(texts)
    ]
    placed = [(accumulators.NAMES[i % 4], one) for i, one in enumerate(records)]
    whole = statistics_combine.Accumulator()
    for split, one in placed:
        whole.add(split, measures.measure(one, canonical.SPEC))
    combine = beam.CombineGlobally(statistics_combine.StatisticsFn(canonical.SPEC))
    with test_pipeline.TestPipeline(runner="FnApiRunner") as root:
        found = root | beam.Create(placed) | combine
        text = found | "Text" >> beam.Map(json.dumps)
        util.assert_that(text, util.equal_to([json.dumps(statistics_combine.summary(whole))]))


def test_without_records_the_pipeline_gives_one_empty_summary():
    combine = beam.CombineGlobally(statistics_combine.StatisticsFn(canonical.SPEC))
    with test_pipeline.TestPipeline(runner="FnApiRunner") as root:
        found = root | beam.Create([]) | combine
        util.assert_that(found, util.equal_to([{"splits": {}, "media": {}}]))
