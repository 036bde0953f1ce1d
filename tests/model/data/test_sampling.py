"""Number of copies of each record in an epoch."""

import numpy as np
import pytest

from tests import features
from triad_ml.model.data import datasets as data_datasets
from triad_ml.model.data import sampling, scan
from triad_ml.model.data.datasets import Copies
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.training import loop
from triad_ml.transforms.spec.training import DATASET_FEATURE

BALANCED = {"category": {"imbalance": "balanced_sampling"}}
TEXT = np.ones(6, np.int64)


def record(place, label, dataset=""):
    return features.FeatureRecord(
        f"r{place:03d}", text=TEXT, labels={"category": label}, dataset=dataset
    )


def ids_of(dataset):
    return [one.decode() for batch in dataset for one in batch.ids.numpy() if one]


def test_a_spec_without_sampling_gives_every_record_once():
    assert sampling.expected_copies(features.layout(["text"]), {}) is None
    mixture = features.layout(["text"], mixture={"by": "source"})
    assert sampling.expected_copies(mixture, {DATASET_FEATURE: np.array([b"a"])}) is None


def test_classes_come_alike_often_and_records_without_one_as_often_as_before():
    ids = np.array([0, 0, 0, 1, -1, 3])  # the last is of a class that training does not know
    weights = sampling.class_balance(ids, num_classes=3)
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2, 1, 1])


def test_sets_weigh_as_their_rarest_class_does():
    sets = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]], bool)
    found = sampling.set_balance(sets)  # classes have 4, 1 and 1 records
    assert found.tolist() == pytest.approx([0.4, 0.4, 1.6, 1, 1.6])


def test_each_class_of_sets_gets_at_least_an_equal_share():
    random = np.random.default_rng(0)
    sets = random.random((500, 6)) < [0.9, 0.5, 0.2, 0.05, 0.01, 0]
    found = sampling.set_balance(sets)
    known = sets.any(axis=1)
    assert found[known].sum() == pytest.approx(known.sum())
    assert (found[~known] == 1).all()
    shares = (found[:, np.newaxis] * sets).sum(axis=0) / known.sum()
    assert (shares[:5] >= 1 / 5 - 1e-9).all()
    assert shares[5] == 0


def test_sets_of_one_class_are_balanced_as_classes_are():
    ids = np.random.default_rng(0).integers(-1, 4, 60)
    sets = ids[:, np.newaxis] == np.arange(4)
    np.testing.assert_allclose(sampling.set_balance(sets), sampling.class_balance(ids, 4))


def test_the_pass_over_a_split_notes_the_sets_of_a_task(tmp_path):
    tasks = {"tags": {"multi_label": True, "imbalance": "balanced_sampling"}}
    layout = features.layout(["text"], tasks=tasks)
    labels = [[0, 2], [], [-1], [1, 3]]  # no set, and a class that training does not know
    made = [
        features.FeatureRecord(f"r{place}", text=TEXT, labels={"tags": one})
        for place, one in enumerate(labels)
    ]
    found = scan.survey(features.write(tmp_path, layout, made, num_shards=1), layout)
    assert found.sampled["tags"].astype(int).tolist() == [
        [1, 0, 1],
        [0, 0, 0],
        [0, 0, 0],
        [0, 1, 0],
    ]
    expected = sampling.expected_copies(layout, found.sampled)
    assert expected.tolist() == pytest.approx([1, 1, 1, 1])


def test_records_with_rare_spans_are_sampled_more_often():
    tasks = {"names": {"kind": "tagging", "imbalance": "balanced_sampling"}}
    layout = features.layout(["text"], tasks=tasks)
    tags = np.array(
        [
            [1, 2, 0, -1],  # a span of class 0
            [1, 0, 0, -1],
            [0, 0, 0, -1],
            [-1, -1, -1, -1],
            [3, 0, 1, 2],  # spans of the classes 1 and 0
            [7, 8, 0, 0],  # of a class that training does not know
        ]
    )
    sets = heads_of(layout.spec, layout.classes)["names"].sampled(tags)
    assert sets.astype(int).tolist() == [
        *([1, 0, 0], [1, 0, 0], [0, 0, 0]),
        *([0, 0, 0], [1, 1, 0], [0, 0, 0]),
    ]
    found = sampling.expected_copies(layout, {"names": sets})
    assert found.tolist() == pytest.approx([0.6, 0.6, 1, 1, 1.8, 1])


@pytest.mark.parametrize(
    ("temperature", "share"), [(1, 3 / 4), (0.5, 3**0.5 / (1 + 3**0.5)), (0, 1 / 2)]
)
def test_a_temperature_evens_out_data_sets(temperature, share):
    datasets = np.array([b"a"] * 6 + [b"b"] * 2)
    weights = sampling.tempered(np.ones(8), datasets, temperature)
    assert weights[:6].sum() / weights.sum() == pytest.approx(share)
    assert len(set(weights[:6])) == len(set(weights[6:])) == 1


def test_inside_a_data_set_classes_stay_balanced():
    layout = features.layout(["text"], tasks=BALANCED, mixture={"by": "x", "temperature": 0})
    columns = {
        "category": np.array([0, 0, 0, 1, -1, -1]),
        DATASET_FEATURE: np.array([b"a"] * 4 + [b"b"] * 2),
    }
    found = sampling.expected_copies(layout, columns)
    assert found.tolist() == pytest.approx([0.5, 0.5, 0.5, 1.5, 1.5, 1.5])


def test_copies_are_the_expected_number_rounded_up_or_down_and_add_up():
    expected = np.array([2.5] * 4 + [0.5] * 10 + [1 / 3] * 15)
    expected *= len(expected) / expected.sum()
    random = np.random.default_rng(0)
    drawn = np.array([sampling.copies(expected, random) for _ in range(3000)])
    assert (drawn.sum(axis=1) == len(expected)).all()
    assert (drawn >= np.floor(expected)).all()
    assert (drawn <= np.ceil(expected)).all()
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=0.05)


@pytest.mark.parametrize("resident", [True, False])
def test_a_record_comes_as_often_as_its_copies_say_whether_in_memory_or_not(tmp_path, resident):
    layout = features.layout(["text"], tasks=BALANCED)
    made = [record(place, place % 2) for place in range(13)]
    files = features.write(tmp_path, layout, made, num_shards=3)
    found = scan.survey(files, layout)
    order = ids_of(data_datasets.eval_dataset(files, layout, 5, found.records))
    times = np.random.default_rng(0).integers(0, 4, 13)
    given = found.records if resident else None
    copies = Copies(times, found.rows)
    epochs = [
        ids_of(data_datasets.train_dataset(files, layout, 5, 0, epoch, given, copies=copies))
        for epoch in (1, 2, 1)
    ]
    assert sorted(epochs[0]) == sorted(np.repeat(order, times))
    assert epochs[0] == epochs[2] != epochs[1]


def test_the_pass_over_a_split_notes_what_sampling_needs(tmp_path):
    layout = features.layout(["text"], tasks=BALANCED, mixture={"by": "source"})
    made = [record(place, place % 4 - 1, "ab"[place % 2]) for place in range(7)]
    files = features.write(tmp_path, layout, made, num_shards=2)
    found = scan.survey(files, layout)
    assert found.rows == (4, 3)
    assert found.sampled["id"].tolist() == [b"r000", b"r002", b"r004", b"r006"] + [
        b"r001",
        b"r003",
        b"r005",
    ]
    assert found.sampled[DATASET_FEATURE].tolist() == [b"a"] * 4 + [b"b"] * 3
    assert found.sampled["category"].tolist() == [-1, 1, -1, 1, 0, 2, 0]


def test_a_training_that_samples_goes_on_as_one_that_was_not_interrupted(tmp_path):
    options = {"tasks": BALANCED, "mixture": {"by": "source", "temperature": 0.5}}
    whole = features.layout(["text"], **options, epochs=4, patience=9)
    made = [record(place, int(place % 5 == 0), "ab"[place % 3 == 0]) for place in range(20)]
    files = {"train": features.write(tmp_path / "train", whole, made)}

    class Stop(Exception):
        pass

    def stop(row):
        if row["epoch"] == 2:
            raise Stop

    expected = loop.train(files, whole, tmp_path / "whole", "digest")
    with pytest.raises(Stop):
        loop.train(files, whole, tmp_path / "cut", "digest", on_epoch=stop)
    found = loop.train(files, whole, tmp_path / "cut", "digest")
    assert found.resumed_from == 2
    for one, other in zip(found.model.weights, expected.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
