"""Generated records in the training split: their content, and a training that reads them."""

import numpy as np
import pytest
import tensorflow as tf

from tests import encoders, features
from tests.model.training.test_loop import Stopped, assert_same
from triad_ml.model.data import batches, scan
from triad_ml.model.training import loop
from triad_ml.model.training.generated import gan, records

WIDTH = 1280
FROZEN = {**encoders.LITE, "image_weights": "not-read.weights.h5", "image_freeze": True}


def layout_of(imbalance="noise", **options):
    tasks = {"category": {"imbalance": imbalance}, "tags": {"multi_label": True}}
    return features.layout(["image", "text"], tasks=tasks, model=FROZEN, **options)


def written(folder, layout, counts, num_shards=2):
    """Writes records with vectors around a mean of their class; some have no image, or no label."""
    random = np.random.default_rng(0)
    labels = [*np.repeat(np.arange(len(counts)), counts).tolist(), -1, 0]
    examples = []
    for place, label in enumerate(random.permutation(labels)):
        text = np.ones(6, np.int64)
        own = {"category": int(label), "tags": [1]}
        record = features.FeatureRecord(f"r{place:03d}", text=text, labels=own)
        example = tf.train.Example.FromString(features.serialize(record, layout))
        vector = random.normal(size=WIDTH) + 3 * label
        feature = example.features.feature
        feature["image"].float_list.value[:] = vector
        feature["image_present"].int64_list.value[:] = [int(place != 3)]
        examples.append(example.SerializeToString(deterministic=True))
    folder.mkdir(parents=True)
    files = [str(folder / f"part-{shard:05d}.tfrecord.gz") for shard in range(num_shards)]
    for shard, file in enumerate(files):
        with tf.io.TFRecordWriter(file, "GZIP") as writer:
            for example in examples[shard::num_shards]:
                writer.write(example)
    return files


@pytest.mark.parametrize("budget", [scan.RESIDENT_BYTES, 0])
def test_generated_records_have_a_vector_and_a_label_and_nothing_else(tmp_path, budget):
    layout = layout_of()
    split = scan.survey(written(tmp_path / "train", layout, [30, 25, 8]), layout, budget=budget)
    made = records.added(split, layout, tmp_path / "out")
    ((path, shard),) = made.items()
    found = scan.survey([path], layout, made)
    rare = found.class_counts["category"]
    assert rare[:2].tolist() == [0, 0]
    assert rare[2] == shard.rows == found.num_records
    assert shard.rows == pytest.approx(13, abs=2)  # up to the mean of 21, give or take the one lost
    assert found.labelled == {"category": shard.rows, "tags": 0}
    batch = batches.parse(layout)(found.records)
    assert not batch.features["text_present"].numpy().any()
    assert batch.features["image_present"].numpy().all()
    np.testing.assert_allclose(batch.features["image"].numpy().mean(), 6, atol=0.3)
    assert len({vector.tobytes() for vector in batch.features["image"].numpy()}) == shard.rows


def test_each_call_writes_the_same_file(tmp_path):
    layout = layout_of()
    split = scan.survey(written(tmp_path / "train", layout, [20, 6]), layout)
    first, again = (records.added(split, layout, tmp_path / name) for name in ("a", "b"))
    assert list(first.values()) == list(again.values())


def test_a_task_that_asks_for_none_gets_none(tmp_path):
    layout = layout_of("none")
    split = scan.survey(written(tmp_path / "train", layout, [20, 6]), layout)
    assert records.added(split, layout, tmp_path / "out") == {}
    assert not (tmp_path / "out").exists()


def test_a_training_with_generated_records_is_one_function_wherever_it_is_written(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(gan, "STEPS", 4)  # a thousand would only take longer
    monkeypatch.setattr(gan, "EVERY", 2)
    layout = layout_of("gan", epochs=2, patience=9, batch_size=8)
    files = {"train": written(tmp_path / "m" / "train", layout, [20, 6])}

    def stop(row):
        raise Stopped

    # One folder sorts before the training files, the other one behind.
    expected = loop.train(files, layout, tmp_path / "a", "digest")
    with pytest.raises(Stopped):
        loop.train(files, layout, tmp_path / "z", "digest", on_epoch=stop)
    found = loop.train(files, layout, tmp_path / "z", "digest")
    assert found.resumed_from == 1
    assert_same(found, expected)
    made = next((tmp_path / "z" / records.FOLDER).glob("*.tfrecord.gz"))
    rows = scan.survey([str(made)], layout).num_records
    assert rows > 0
    assert found.steps == 2 * -(-(28 + rows) // 8)
