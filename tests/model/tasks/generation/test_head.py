"""Generation head in the network: losses, beam search, and independence of rows."""

import itertools
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import layout as model_layout
from triad_ml.model import network as model_network
from triad_ml.model.data import batches
from triad_ml.model.evaluation import predict
from triad_ml.model.tasks import base
from triad_ml.model.tasks.generation import beam_search, head
from triad_ml.model.tasks.generation.decoder import Decoder, Memory
from triad_ml.model.training import steps as training_steps
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.targets.texts import END, UNKNOWN

ROWS, WORDS, LENGTH = 48, 6, 5
PIECES = ("a", "b", " c")
NUMBER = 2 + len(PIECES)
SPEC = Spec.model_validate(
    {
        "modalities": {name: features.SECTIONS[name] for name in ("image", "text")},
        "tasks": {
            "meaning": {"kind": "generation", "label": "m", "length": LENGTH, "beam": 3},
            "other": {"kind": "generation", "label": "o", "length": LENGTH, "beam": 1},
        },
        "model": {**features.MODEL, "dropout": 0.0, "modality_dropout": 0.0},
        "training": {"batch_size": 8, "augment": False, "weight_decay": 0.0},
    }
)
LAYOUT = model_layout.Layout(SPEC, dict.fromkeys(SPEC.tasks, PIECES), features.VOCABULARY_SIZE)
SURFACES = np.array([[f"w{place}".encode() for place in range(WORDS)]] * ROWS, object)


def batch(rows: int = ROWS, seed: int = 0) -> dict[str, tf.Tensor]:
    """Features of noise; the second word of each text is a piece, the last one the first again."""
    made = {name: tf.constant(v) for name, v in features.batch(LAYOUT, rows, seed).items()}
    there = made["text"].numpy() > 0
    place = np.arange(WORDS)
    units = [NUMBER + place, NUMBER + WORDS + place]
    units[0][1], units[0][-1], units[1][-1] = 2, units[0][0], units[1][0]
    whole = np.concatenate([np.where(there, one, -1) for one in units], axis=1)
    return {**made, **{f"units_{task}": tf.constant(whole) for task in SPEC.tasks}}


def labels(rows: int, seed: int = 0) -> dict[str, tf.Tensor]:
    """Texts of up to four units: pieces, then words that the source has."""
    random = np.random.default_rng(seed)
    found = {}
    for task in SPEC.tasks:
        units = random.integers(2, NUMBER, (rows, LENGTH))
        units[:, 1] = NUMBER + random.integers(0, 2, rows) * WORDS
        units[np.arange(LENGTH) >= random.integers(2, LENGTH, (rows, 1))] = END
        found[task] = tf.constant(units)
    return found


class Trainer(NamedTuple):
    networks: model_network.Networks
    steps: training_steps.Steps


@pytest.fixture(scope="module")
def traced() -> tuple[Trainer, list[np.ndarray]]:
    """A trainer, which takes seconds to trace, and the values of its variables at first."""
    keras.utils.set_random_seed(0)
    networks = model_network.build_networks(LAYOUT)
    made = Trainer(
        networks, training_steps.Steps(networks, LAYOUT, dict.fromkeys(SPEC.tasks), planned=60)
    )
    return made, [one.numpy() for one in variables(made)]


def variables(trainer: Trainer) -> list[keras.Variable]:
    return [*trainer.networks.training.weights, *trainer.steps.optimizer.variables]


@pytest.fixture
def trainer(traced: tuple[Trainer, list[np.ndarray]]) -> Trainer:
    """The trainer as it was at first."""
    begun, values = traced
    for variable, value in zip(variables(begun), values, strict=True):
        variable.assign(value)
    return begun


@pytest.fixture
def network(trainer: Trainer) -> keras.Model:
    """With weights large enough that texts differ."""
    random = np.random.default_rng(3)
    for weight in trainer.networks.scoring.trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(weight + random.normal(0, 0.3, weight.shape))
    return trainer.networks.scoring


def memory(model: keras.Model, given: dict[str, tf.Tensor], task: str = "meaning") -> Memory:
    return head.memory_of(model(given, training=False)[task], given, task)


def whole_batch(given: dict[str, tf.Tensor], known: dict[str, tf.Tensor]) -> batches.Batch:
    rows = len(given["text"])
    texts = {task: tf.constant([b"x"] * rows) for task in known}
    texts[base.SURFACES] = tf.constant(SURFACES[:rows])
    ids = tf.constant([f"r{place}" for place in range(rows)])
    return batches.Batch(given, known, ids, texts)


def log_probability(decoder: Decoder, seen: Memory, units: list[int]) -> float:
    """Of one text of the first row, its end included, by the loss and not by the search."""
    padded = tf.constant([[*units, *[END] * (LENGTH - len(units))]], tf.int64)
    lost = head.losses(padded, decoder.logits(padded, seen), seen)
    counted = min(len(units) + 1, LENGTH)
    return -float(lost.rows[0]) * counted


def test_a_saved_and_loaded_network_says_the_same(network, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    given = batch(4)
    for task in SPEC.tasks:
        surfaces = tf.constant(SURFACES[:4])
        said = [
            head.write(head.decoder_of(m, task), m(given)[task], given, surfaces)
            for m in (network, loaded)
        ]
        for one, other in zip(*said, strict=True):
            np.testing.assert_array_equal(one, other)


def test_without_a_label_a_decoder_learns_exactly_nothing(trainer):
    given, known = batch(8), labels(8)
    known["other"] = tf.fill(known["other"].shape, tf.constant(-1, tf.int64))

    def weights(task: str) -> list[np.ndarray]:
        layers = [
            one for one in trainer.networks.training.layers if one.name.startswith(f"head_{task}")
        ]
        return [weight.numpy() for one in layers for weight in one.trainable_weights]

    before = {task: weights(task) for task in SPEC.tasks}
    one = whole_batch(given, known)
    trainer.steps.train(one, epoch=1, step=0)
    for old, new in zip(before["other"], weights("other"), strict=True):
        np.testing.assert_array_equal(old, new)
    moved = [
        (old != new).any() for old, new in zip(before["meaning"], weights("meaning"), strict=True)
    ]
    assert sum(moved) > len(moved) / 2
    sums = trainer.steps.measure([one])
    assert (sums["other"].known, sums["meaning"].known) == (0, 8)


def test_rows_without_a_label_change_no_bit_of_the_gradient(network):
    given, known = batch(8), labels(8)["meaning"]
    decoder = head.decoder_of(network, "meaning")
    some = tf.where((tf.range(8) % 2 == 0)[:, tf.newaxis], known, -1)

    def gradients(poison: float) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            seen = memory(network, given)
            logits = decoder.logits(tf.maximum(some, 0), seen)
            bad = tf.where((tf.range(8) % 2 == 0)[:, tf.newaxis, tf.newaxis], 0.0, poison)
            logits = type(logits)(logits.pieces + bad, logits.copies + bad)
            lost = head.losses(some, logits, seen)
            loss = tf.reduce_sum(lost.rows)
        found = tape.gradient(loss, decoder.trainable_weights)
        return [tf.convert_to_tensor(one).numpy() for one in found if one is not None]

    for one, other in zip(gradients(0.0), gradients(np.inf), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def test_the_probabilities_of_all_texts_add_up_to_one(network):
    """Of one unit: pieces, copied words, each once although a word is a piece or stands twice."""
    given = batch(1)
    seen = memory(network, given)
    decoder = head.decoder_of(network, "meaning")
    total = sum(
        np.exp(log_probability(decoder, seen, [unit]) - rest)
        for unit in {1, *range(2, NUMBER), *given["units_meaning"].numpy()[0].tolist()} - {-1}
        for rest in [end_probability(decoder, seen, unit)]
    )
    total += np.exp(log_probability(decoder, seen, []))
    assert total == pytest.approx(1, abs=1e-4)


def end_probability(decoder: Decoder, seen: Memory, unit: int) -> float:
    """The logarithm of the share of the end, behind one unit."""
    padded = tf.constant([[unit, *[END] * (LENGTH - 1)]], tf.int64)
    logits = decoder.logits(padded, seen)
    joined = tf.concat(logits, axis=2)[0, 1]
    return float(joined[END] - tf.reduce_logsumexp(joined))


def test_greedy_search_takes_the_likeliest_unit_at_each_step(network):
    given = batch(6)
    decoder = head.decoder_of(network, "other")
    seen = memory(network, given, "other")
    found = beam_search.search(decoder, seen, tf.fill([6], True))
    units = np.zeros((6, LENGTH), np.int64)
    for step in range(LENGTH):
        logits = decoder.logits(tf.constant(units), seen)
        shares = tf.nn.softmax(tf.concat(logits, axis=2)).numpy()[:, step]
        for row in range(6):
            if step and units[row, step - 1] == END:
                continue
            summed = np.zeros(NUMBER + 2 * WORDS)
            summed[:NUMBER] = shares[row, :NUMBER]
            for unit, share in zip(seen.units.numpy()[row], shares[row, NUMBER:], strict=True):
                if unit >= 0:
                    summed[unit] += share
            summed[UNKNOWN] = 0
            units[row, step] = summed.argmax()
    np.testing.assert_array_equal(found.units, units)


def test_a_score_is_the_probability_of_the_text(network):
    given = batch(1)
    for task in SPEC.tasks:
        decoder, seen = head.decoder_of(network, task), memory(network, given, task)
        found = beam_search.search(decoder, seen, tf.constant([True]))
        units = list(itertools.takewhile(lambda unit: unit != END, found.units.numpy()[0].tolist()))
        assert np.log(found.scores.numpy()[0]) == pytest.approx(
            log_probability(decoder, seen, units), abs=1e-4
        )


def test_a_wide_beam_finds_the_best_of_all_texts():
    """All texts of up to two units, by the mean logarithm a unit."""
    keras.utils.set_random_seed(1)
    decoder = Decoder(("a", "b"), length=2, words=0, dim=8, beam=16)
    states = tf.random.stateless_normal([4, 1, 8], [1, 2])
    decoder(states)
    for weight in decoder.trainable_weights:
        weight.assign(weight + tf.random.stateless_normal(weight.shape, [3, 4], stddev=0.5))
    seen = Memory(decoder(states), tf.fill([4, 1], True), tf.zeros([4, 0], tf.int64))
    found = beam_search.search(decoder, seen, tf.fill([4], True))
    texts = [(0, 0), *itertools.product((2, 3), (0, 2, 3))]
    lost = [head.losses(tf.constant([text] * 4, tf.int64), decoder.logits(
        tf.constant([text] * 4, tf.int64), seen), seen).rows for text in texts]  # fmt: skip
    best = np.argmin(np.stack(lost), axis=0)
    assert found.units.numpy().tolist() == [list(texts[one]) for one in best]


def test_a_row_does_not_depend_by_a_bit_on_its_place_or_its_neighbours(network):
    given = batch()
    order = np.random.default_rng(5).permutation(ROWS)
    alone = {name: value.numpy().copy() for name, value in given.items()}
    for name, value in alone.items():
        value[1:] = False if name.endswith("_present") else 0
    for task in SPEC.tasks:
        said = []
        write = tf.function(head.write, autograph=False)
        decoder = head.decoder_of(network, task)
        for one in (given, {n: tf.gather(v, order) for n, v in given.items()}, alone):
            one = {name: tf.constant(value) for name, value in one.items()}
            said.append(write(decoder, network(one)[task], one, tf.constant(SURFACES)))
        for first, moved, single in zip(*said, strict=True):
            np.testing.assert_array_equal(first.numpy()[order], moved.numpy())
            np.testing.assert_array_equal(first.numpy()[0], single.numpy()[0])


def test_training_learns_texts_and_predictions_are_those_of_the_search(trainer):
    given, known = batch(8), labels(8)
    one = whole_batch(given, known)
    losses = [trainer.steps.train(one, epoch=1, step=step) for step in range(60)]
    assert losses[-1] < losses[0] / 4
    dataset = tf.data.Dataset.from_tensors(one)
    model = trainer.networks.scoring
    found = predict.predict(model, dataset, LAYOUT)
    assert found.said.keys() == {"meaning", "other"}
    assert found.labels["other"].tolist() == [b"x"] * 8
    for task in SPEC.tasks:
        decoder = head.decoder_of(model, task)
        expected = head.write(decoder, model(given)[task], given, tf.constant(SURFACES[:8]))
        np.testing.assert_array_equal(found.said[task].texts, expected[0])
    hidden = predict.predict(model, dataset, LAYOUT, hidden=["text"])
    assert not any(b"w" in text for text in hidden.said["meaning"].texts)


def test_a_decoder_knows_which_words_follow_those_it_has_written(network):
    """A text is one word; where that stands in the source, the words behind it are marked."""
    decoder = head.decoder_of(network, "meaning")
    states = tf.random.stateless_normal([1, 1 + WORDS, decoder.dim], [1, 2])
    place = np.arange(WORDS)
    units = np.concatenate([NUMBER + place, NUMBER + WORDS + place])[np.newaxis]
    units[0, 1], units[0, 4] = 2, NUMBER  # the second is a piece, the fifth is the first again
    seen = Memory(states, tf.fill([1, 1 + WORDS], True), tf.constant(units))

    def copies(first: int) -> np.ndarray:
        text = tf.constant([[first, END]], tf.int64)
        return decoder.logits(text, seen).copies.numpy()[0, 1]

    expected = {
        NUMBER + 2: {3: 1.0},
        NUMBER + WORDS + 2: {3: 1.0},
        2: {2: 1.0},
        NUMBER: {1: 0.5, 5: 0.5},
        NUMBER + 5: {},
        3: {},
    }
    bias = decoder.goes_on.bias
    for first, marked in expected.items():
        bias.assign([0.0])
        before = copies(first)
        bias.assign([4.0])
        shares = [4.0 * marked.get(one, 0.0) for one in range(WORDS)]
        np.testing.assert_allclose(copies(first) - before, shares * 2, atol=1e-4)


def test_words_are_written_as_they_stand_with_the_space_before_them(network):
    decoder = head.decoder_of(network, "meaning")
    units = tf.constant([[2, NUMBER + WORDS + 3, NUMBER + 1, 4, END], [END] * 5], tf.int64)
    said = decoder.texts(units, tf.constant(SURFACES[:2])).numpy().tolist()
    assert said == [b"a w3w1 c", b""]


def test_a_picture_alone_can_be_written_about():
    spec = Spec.model_validate(
        {
            "modalities": {"image": features.SECTIONS["image"]},
            "tasks": {"caption": {"kind": "generation", "label": "c", "length": 4}},
            "model": features.MODEL,
        }
    )
    layout = model_layout.Layout(spec, {"caption": PIECES})
    model = model_network.build(layout)
    given = {name: tf.constant(v) for name, v in features.batch(layout, 4, 0).items()}
    decoder = head.decoder_of(model, "caption")
    texts, scores = head.write(decoder, model(given)["caption"], given, None)
    assert (texts.shape, scores.shape) == ((4,), (4,))
    given["image_present"] = tf.zeros([4], tf.bool)
    texts, scores = head.write(decoder, model(given)["caption"], given, None)
    assert (texts.numpy().tolist(), scores.numpy().tolist()) == ([b""] * 4, [1.0] * 4)
