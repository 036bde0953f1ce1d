"""Contents and order of the batches from training files."""

import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import layout as model_layout
from triad_ml.model.data import datasets, record_size, scan
from triad_ml.transforms.errors import OptionsError


def ids_of(dataset):
    return [one.decode() for batch in dataset for one in batch.ids.numpy() if one]


def test_batches_hold_what_was_written(tmp_path):
    layout = features.layout(tasks={"category": {}, "tags": {"multi_label": True}})
    made = features.records(layout, 5, seed=1, missing=0.4)
    files = features.write(tmp_path, layout, made, num_shards=1)
    (batch,) = datasets.eval_dataset(files, layout, 5)
    assert batch.ids.numpy().tolist() == [one.id.encode() for one in made]
    assert {name: (v.dtype.name, v.shape[1:].as_list()) for name, v in batch.features.items()} == {
        "image": ("uint8", [16, 16, 3]),
        "image_present": ("bool", []),
        "audio": ("float32", [18, 8]),
        "audio_present": ("bool", []),
        "text": ("int64", [6]),
        "text_present": ("bool", []),
    }
    for name in features.ALL:
        for place, one in enumerate(made):
            written = getattr(one, name)
            found = batch.features[name][place].numpy()
            assert batch.features[f"{name}_present"][place].numpy() == (written is not None)
            np.testing.assert_array_equal(
                found, np.zeros_like(found) if written is None else written
            )
    assert batch.labels["category"].numpy().tolist() == [one.labels["category"] for one in made]


def test_only_the_modalities_of_the_spec_are_there(tmp_path):
    layout = features.layout(modalities=["text"])
    files = features.write(tmp_path, layout, features.records(layout, 2))
    (batch,) = datasets.eval_dataset(files, layout, 2)
    assert sorted(batch.features) == ["text", "text_present"]


def test_a_set_of_classes_becomes_a_multi_hot_row_and_a_missing_one_minus_one(tmp_path):
    layout = features.layout(["text"], num_classes=3, tasks={"tags": {"multi_label": True}})
    sets = {"two": [0, 2], "empty": [], "missing": [-1], "unseen": [1, 3]}
    text = np.ones(6, np.int64)
    made = [features.FeatureRecord(id, text=text, labels={"tags": s}) for id, s in sets.items()]
    (batch,) = datasets.eval_dataset(features.write(tmp_path, layout, made, 1), layout, 4)
    assert batch.labels["tags"].numpy().tolist() == [
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [-1, -1, -1, -1],
        [0, 1, 0, 1],
    ]


def test_missing_and_unseen_classes_keep_their_ids(tmp_path):
    layout = features.layout(["text"], num_classes=3)
    text = np.ones(6, np.int64)
    made = [
        features.FeatureRecord(str(label), text=text, labels={"category": label})
        for label in (2, -1, 3)
    ]
    (batch,) = datasets.eval_dataset(features.write(tmp_path, layout, made, 1), layout, 3)
    assert batch.labels["category"].numpy().tolist() == [2, -1, 3]


def test_the_last_batch_is_filled_up_with_rows_that_hold_nothing(tmp_path):
    layout = features.layout(tasks={"category": {}, "tags": {"multi_label": True}})
    files = features.write(tmp_path, layout, features.records(layout, 5))
    batches = list(datasets.eval_dataset(files, layout, 4))
    assert [batch.ids.shape.as_list() for batch in batches] == [[4], [4]]
    last = batches[1]
    assert (last.ids.numpy() != b"").tolist() == [True, False, False, False]
    for name in features.ALL:
        assert last.features[f"{name}_present"].numpy().tolist() == [True, False, False, False]
        assert not last.features[name].numpy()[1:].any()
    assert last.labels["category"].numpy()[1:].tolist() == [-1, -1, -1]
    assert last.labels["tags"].numpy()[1:].tolist() == [[-1, -1, -1, -1]] * 3


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "streamed"])
def test_each_epoch_gives_every_record_once_in_an_order_of_its_own(tmp_path, kept):
    layout = features.layout(["text"])
    files = features.write(tmp_path, layout, features.records(layout, 37), num_shards=3)
    resident = scan.survey(files, layout).records if kept else None

    def order(given, seed, epoch):
        return ids_of(datasets.train_dataset(given, layout, 8, seed, epoch, resident))

    first = order(files, seed=0, epoch=1)
    assert sorted(first) == [f"record-{place:04d}" for place in range(37)]
    assert first != sorted(first)
    assert order(files, seed=0, epoch=1) == first
    assert order(files[::-1], seed=0, epoch=1) == first
    assert order(files, seed=0, epoch=2) != first
    assert order(files, seed=1, epoch=1) != first


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "streamed"])
def test_the_global_seed_of_tensorflow_does_not_change_the_order(tmp_path, kept):
    layout = features.layout(["text"])
    files = features.write(tmp_path, layout, features.records(layout, 20))
    resident = scan.survey(files, layout).records if kept else None
    orders = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        orders.append(ids_of(datasets.train_dataset(files, layout, 4, 0, 1, resident)))
    assert orders[0] == orders[1]


def test_a_small_shuffle_budget_shuffles_within_blocks_and_loses_nothing(tmp_path):
    layout = features.layout(["text"])
    files = features.write(tmp_path, layout, features.records(layout, 30), num_shards=1)
    budget = 2 * 10 * record_size.record_bytes(layout)
    found = ids_of(datasets.train_dataset(files, layout, 4, 0, 1, shuffle_bytes=budget))
    blocks = [found[begin : begin + 10] for begin in (0, 10, 20)]
    names = [f"record-{place:04d}" for place in range(30)]
    assert [sorted(block) for block in blocks] == [names[:10], names[10:20], names[20:]]
    assert found != names


def test_the_survey_counts_records_labels_and_classes(tmp_path):
    layout = features.layout(["text"], 3, tasks={"category": {}, "tags": {"multi_label": True}})
    text = np.ones(6, np.int64)
    labels = [
        {"category": 0, "tags": [0, 1]},
        {"category": 0, "tags": []},
        {"category": 2, "tags": [-1]},
        {"category": -1, "tags": [1]},
        {"category": 3, "tags": [3]},
    ]
    made = [features.FeatureRecord(str(i), text=text, labels=x) for i, x in enumerate(labels)]
    files = features.write(tmp_path, layout, made)
    split = scan.survey(files[::-1], layout)
    assert split.files == tuple(files)
    assert split.num_records == 5
    assert split.num_bytes == sum(len(features.serialize(one, layout)) for one in made)
    assert split.labelled == {"category": 4, "tags": 4}
    assert {name: c.tolist() for name, c in split.class_counts.items()} == {
        "category": [2, 0, 1],
        "tags": [1, 2, 0],
    }


def test_a_split_over_the_memory_budget_is_not_kept(tmp_path):
    layout = features.layout(["text"])
    files = features.write(tmp_path, layout, features.records(layout, 3))
    size = scan.survey(files, layout).num_bytes
    assert scan.survey(files, layout, budget=size).records.shape == [3]
    assert scan.survey(files, layout, budget=size - 1).records is None


def test_what_is_kept_is_every_record_in_the_order_of_the_files(tmp_path):
    layout = features.layout(["text"])
    made = features.records(layout, 600)
    files = features.write(tmp_path, layout, made, num_shards=2)
    found = scan.survey(files[::-1], layout).records.numpy().tolist()
    assert found == [features.serialize(one, layout) for one in made[::2] + made[1::2]]


def test_pictures_of_another_size_are_refused(tmp_path):
    layout = features.layout(["image"])
    picture = np.zeros((32, 32, 3), np.uint8)
    made = [features.FeatureRecord("large", image=picture, labels={"category": 0})]
    files = features.write(tmp_path, layout, made, 1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(datasets.eval_dataset(files, layout, 1))


def test_a_task_without_classes_is_refused():
    with pytest.raises(OptionsError, match="^task category: no record of the training split"):
        model_layout.Layout(features.layout().spec, {"category": ()})
