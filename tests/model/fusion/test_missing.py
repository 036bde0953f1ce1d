"""Modality dropout, embeddings of missing modalities, fusion layers, and shortened sequences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from triad_ml.model.fusion.attention import AttentionFusion
from triad_ml.model.fusion.concat import ConcatFusion, MlpFusion
from triad_ml.model.fusion.gated import GatedFusion
from triad_ml.model.fusion.missing import MissingEmbedding, ModalityDropout
from triad_ml.model.towers.steps import LONGEST, Shorten


def embeddings(rows=4, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=(rows, dim)).astype("f") for dim in (5, 3)]


def steps(rows=4, seed=1):
    """The steps of the second modality."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(rows, 7, 9)).astype("f")], [np.ones((rows, 7), bool)]


def test_hidden_modalities_were_there_and_each_row_keeps_one():
    present = np.random.default_rng(0).random((2000, 3)) < 0.7
    keras.utils.set_random_seed(1)
    kept = ModalityDropout(0.5)(present, training=True).numpy()
    assert not (kept & ~present).any()
    assert kept.any(axis=1).tolist() == present.any(axis=1).tolist()
    complete = kept[present.all(axis=1)]
    # Half of the modalities stay, and one more where all three would be hidden.
    assert complete.mean() == pytest.approx(0.5 + 0.5**3 / 3, abs=0.03)


def test_the_modality_that_stays_alone_is_drawn_evenly():
    keras.utils.set_random_seed(1)
    kept = ModalityDropout(0.999)(np.ones((3000, 3), bool), training=True).numpy()
    assert kept.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.04)


def test_nothing_is_hidden_outside_of_training():
    present = np.array([[True, False, True]])
    assert ModalityDropout(0.9)(present, training=False).numpy().tolist() == present.tolist()


def test_the_learned_vector_stands_in_for_what_is_missing():
    layer = MissingEmbedding()
    given = np.array([[1, 2], [np.nan, 4], [5, 6]], np.float32)
    present = np.array([True, False, True])
    layer.build((None, 2), (None,))
    layer.vector.assign([7, 8])
    assert layer(given, present).numpy().tolist() == [[1, 2], [7, 8], [5, 6]]


def test_only_missing_rows_teach_the_learned_vector():
    layer = MissingEmbedding()
    given = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(given, tf.constant([True, False, False])))
    to_given, to_vector = tape.gradient(loss, [given, layer.vector.value])
    assert to_given.numpy().tolist() == [[1, 1], [0, 0], [0, 0]]
    assert to_vector.numpy().tolist() == [2, 2]


@pytest.mark.parametrize("kind", [ConcatFusion, MlpFusion, GatedFusion])
def test_the_fused_embedding_has_the_size_asked_for_and_sees_what_is_there(kind):
    layer = kind(dim=6)
    given = embeddings()
    whole = layer(given, np.ones((4, 2), bool)).numpy()
    part = layer(given, np.array([[True, True], [True, False]] * 2)).numpy()
    assert whole.shape == (4, 6)
    np.testing.assert_array_equal(whole[[0, 2]], part[[0, 2]])
    assert np.abs(whole[[1, 3]] - part[[1, 3]]).max() > 1e-4


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (ConcatFusion(6, name="a"), (embeddings(), np.ones((4, 2), bool))),
        (MlpFusion(6, name="a"), (embeddings(), np.ones((4, 2), bool))),
        (GatedFusion(6, name="a"), (embeddings(), np.ones((4, 2), bool))),
        (AttentionFusion(6, [1], name="a"), (embeddings(), np.ones((4, 2), bool), *steps())),
        (MissingEmbedding(name="a"), (embeddings()[0], np.ones(4, bool))),
        (ModalityDropout(0.3, name="a"), (np.ones((4, 2), bool),)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_comes_back_from_its_config(layer, given):
    expected = layer(*given)
    again = type(layer).from_config(layer.get_config())
    again(*given)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(*given), expected)
    assert again.get_config() == layer.get_config()


def test_attention_sees_steps_only_where_they_are_known_and_their_modality_is_there():
    keras.utils.set_random_seed(0)
    layer = AttentionFusion(8, [1])
    present = np.array([[True, True], [True, True], [True, False], [True, False]])
    (values,), (known,) = steps()
    known[1, 3:] = False
    before = layer(embeddings(), present, [values], [known]).numpy()
    changed = values.copy()
    changed[1, 3:] = np.nan
    changed[2:] = np.nan
    np.testing.assert_array_equal(layer(embeddings(), present, [changed], [known]), before)
    changed = values + 1
    after = layer(embeddings(), present, [changed], [known]).numpy()
    assert np.abs(after[:2] - before[:2]).max(axis=1).min() > 1e-4
    np.testing.assert_array_equal(after[2:], before[2:])


def test_attention_tells_where_a_step_stands():
    keras.utils.set_random_seed(0)
    layer = AttentionFusion(8, [1])
    (values,), known = steps()
    present = np.ones((4, 2), bool)
    turned = layer(embeddings(), present, [values[:, ::-1]], known)
    assert np.abs(turned - layer(embeddings(), present, [values], known)).max() > 1e-5


def test_long_sequences_are_averaged_over_neighbours_that_are_known():
    length = 2 * LONGEST - 1
    values = np.arange(length, dtype=np.float32)[None, :, None]
    known = np.ones((1, length), bool)
    known[0, [0, 2, 3]] = False
    values[0, 2] = np.nan
    short, there = Shorten()(values, known)
    assert short.shape == (1, LONGEST, 1)
    assert short.numpy()[0, [0, 1, 2, -1], 0].tolist() == [1, 0, 4.5, length - 1]
    assert there.numpy()[0].tolist() == [True, False] + [True] * (LONGEST - 2)


def test_short_sequences_stay_as_they_are():
    values, known = np.ones((2, LONGEST, 3), "f"), np.ones((2, LONGEST), bool)
    short, there = Shorten()(values, known)
    np.testing.assert_array_equal(short, values)
    np.testing.assert_array_equal(there, known)
