"""Generation from end to end: published texts equal those of the model."""

import json
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from triad_ml.model.serving import bundle
from triad_ml.transforms.features import subwords
from triad_ml.transforms.labels import classes
from triad_ml.transforms.media import text
from triad_ml.transforms.spec.modalities import Limits
from triad_ml.transforms.targets import texts


def test_texts_are_counted_and_pieces_are_those_of_the_training_split(each_kind):
    """They are what plain Python learns from these labels, whatever the runner."""
    manifest = json.loads((each_kind.data / "manifest.json").read_text())
    assert manifest["alignment"]["meaning"] == {"texts": 242, "cut": 1}
    assert manifest["unnamed"]["meaning"] == 1
    known = [
        classes.target_text(row["labels"]["meaning"])
        for row in each_kind.records.values()
        if row.get("split") == "train"
    ]
    words = texts.spaced_words(tf.constant(known)).flat_values.numpy().tolist()
    counts = Counter(word.decode() for word in words)
    assert tuple(manifest["classes"]["meaning"]) == subwords.learn(counts, size=60)


def test_what_was_learned_is_right_for_names_that_training_never_saw(each_kind):
    about = json.loads((each_kind.model / "triad.json").read_text())
    found = about["metrics"]["test"]["meaning"]
    assert found["accuracy"] > 0.7
    assert found["chrf"] > 0.7
    rows, published = each_kind.records, each_kind.published
    wanted = {i: r["labels"]["meaning"] for i, r in rows.items() if r.get("split") == "test"}
    right = [
        published[i]["meaning"]["text"] == text.canonical(label.encode(), Limits()).decode()
        for i, label in wanted.items()
    ]
    assert sum(right) / len(right) == pytest.approx(found["accuracy"])


def test_rows_equal_the_saved_model_in_plain_tensorflow(each_kind):
    loaded = tf.saved_model.load(str(each_kind.model / "saved_model"))
    size = bundle.load(each_kind.model).batch_size
    rows, published = each_kind.records, each_kind.published
    ids = [one for one in published if "at" not in rows[one].get("labels", {})]
    assert len(ids) > 240
    for first in range(0, len(ids), size):
        batch = ids[first : first + size]
        kept = [text.canonical(rows[i]["text"].encode(), Limits()) for i in batch]
        outputs = loaded.signatures["serving_default"](
            text=tf.constant(kept + [b""] * (size - len(batch))),
            marker_roles=tf.constant([[-1, -1]] * size, tf.int64),
        )
        for row, record_id in enumerate(batch):
            assert published[record_id]["meaning"] == {
                "text": outputs["meaning/text"].numpy()[row].decode(),
                "score": float(outputs["meaning/score"].numpy()[row]),
            }


def test_a_score_is_a_probability_and_a_record_without_words_is_scored(each_kind):
    published = each_kind.published
    scores = np.array([row["meaning"]["score"] for row in published.values()])
    assert ((scores > 0) & (scores <= 1)).all()
    assert published.keys() >= {"no label", "bad meaning", "no words"}
    assert "gone" not in published
    assert published["no label"]["meaning"] == published["bad meaning"]["meaning"]
