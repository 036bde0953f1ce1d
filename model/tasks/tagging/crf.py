"""A linear-chain CRF over BIO tags: its loss, its best tags, and the probability of each span.

Tags are numbered as in `model.tags`. Only sequences in which each span is begun have a probability,
in training and serving alike.
"""

from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.tasks.tagging.bio import OUTSIDE, allowed

Tensor: TypeAlias = tf.Tensor
Shape = tuple[int | None, ...]

_FORBIDDEN = -1e9
_SMALLEST = 1e-30


class Potentials(NamedTuple):
    """What a head says of a batch.

    Attributes:
        emissions: Of each tag at each word, float32 `[batch, length, tags]`.
        transitions: Of each pair of neighbouring tags, float32 `[tags, tags]`.
        words: Where there is a word to be tagged, bool `[batch, length]`; they stand first.
    """

    emissions: Tensor
    transitions: Tensor
    words: Tensor


@keras.saving.register_keras_serializable(package="triad")
class Transitions(keras.layers.Layer):
    """Puts learned transitions behind emissions, so that one tensor holds all of a head.

    Takes float32 `[batch, length, tags]` and returns `[batch, length + tags, tags]`; see `unpack`.
    """

    def build(self, emissions_shape: Shape) -> None:
        tags = emissions_shape[-1]
        self.weights_of_pairs = self.add_weight(
            shape=(tags, tags), initializer="zeros", name="transitions"
        )

    def call(self, emissions: Any) -> Any:
        zeros = ops.zeros_like(emissions[:, :1, :1])
        return ops.concatenate([emissions, self.weights_of_pairs[None] + zeros], axis=1)

    def compute_output_shape(self, emissions_shape: Shape) -> Shape:
        rows, length, tags = emissions_shape
        return (rows, (length or 0) + (tags or 0), tags)


def unpack(packed: Tensor, words: Tensor) -> Potentials:
    """Takes apart what `Transitions` joined; `words` are as in `Potentials`."""
    length = words.shape[1]
    return Potentials(packed[:, :length], packed[0, length:], words)


def losses(tags: Tensor, potentials: Potentials) -> tuple[Tensor, Tensor]:
    """Negative log-likelihoods a word, float32 `[batch]`, 0 where not known; and which are known.

    Args:
        tags: int64 `[batch, length]`; negative at words without a label, at least the number of
            tags for classes that training does not know: such a record is not known.
        potentials: Of the same records.
    """
    emissions, transitions, words = potentials
    number = emissions.shape[2]
    labelled = words & (tags >= 0)
    known = tf.reduce_any(labelled, axis=1) & tf.reduce_all(tags < number, axis=1)
    labelled = labelled & known[:, tf.newaxis]
    # Of what is not known nothing goes further, NaN included: its gradient is exactly zero.
    safe = Potentials(tf.where(labelled[:, :, tf.newaxis], emissions, 0.0), transitions, labelled)
    truth = tf.where(labelled, tags, OUTSIDE)
    steps = tf.where(labelled, _steps(truth, safe), 0.0)
    missing = _log_partition(safe) - tf.reduce_sum(steps, axis=1)
    count = tf.reduce_sum(tf.cast(labelled, tf.float32), axis=1)
    return tf.where(known, missing / tf.maximum(count, 1.0), 0.0), known


def best_tags(potentials: Potentials) -> Tensor:
    """The likeliest sequence, int64 `[batch, length]`; `OUTSIDE` where there is no word."""
    emissions, transitions, words = potentials
    number = emissions.shape[2]
    weights = tf.where(allowed(number), transitions, _FORBIDDEN)
    first = emissions[:, 0] + tf.where(allowed(number)[0], 0.0, _FORBIDDEN)
    stay = tf.range(number, dtype=tf.int64)[tf.newaxis] + tf.zeros_like(first, tf.int64)

    def forward(state: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor]) -> Any:
        best, _ = state
        emission, there = given
        scores = best[:, :, tf.newaxis] + weights
        found = tf.reduce_max(scores, axis=1) + emission
        back = tf.argmax(scores, axis=1)
        there = there[:, tf.newaxis]
        return tf.where(there, found, best), tf.where(there, back, stay)

    if emissions.shape[1] == 1:
        tags = tf.argmax(first, axis=1)[:, tf.newaxis]
        return tf.where(words, tags, OUTSIDE)
    best, back = tf.scan(forward, _after_first(emissions, words), (first, stay))
    last = tf.argmax(best[-1], axis=1)
    earlier = tf.scan(
        lambda tag, pointers: tf.gather(pointers, tag, batch_dims=1), back, last, reverse=True
    )
    tags = tf.transpose(tf.concat([earlier, last[tf.newaxis]], axis=0))
    return tf.where(words, tags, OUTSIDE)


class Decoded(NamedTuple):
    """What the likeliest tags say.

    Attributes:
        tags: int64 `[batch, length]`.
        spans: Whether a span begins, bool `[batch, length]`.
        ends: The place of the last word of the span that begins, int64 `[batch, length]`.
        span_scores: The probability that exactly this span is there, float32 `[batch, length]`; 0
            where none begins.
        scores: The probability of all tags, float32 `[batch]`; 1 where there is no word.
    """

    tags: Tensor
    spans: Tensor
    ends: Tensor
    span_scores: Tensor
    scores: Tensor


def decode(potentials: Potentials) -> Decoded:
    """Finds the likeliest tags, and how likely they are."""
    emissions, transitions, words = potentials
    tags = best_tags(potentials)
    alphas, betas = _alphas(potentials), _betas(potentials)
    partition = tf.reduce_logsumexp(alphas[:, -1], axis=1)
    so_far = tf.cumsum(tf.where(words, _steps(tags, potentials), 0.0), axis=1)
    spans = tags % 2 == 1
    ends = _ends(tags, spans)
    # A span's probability: all ways to its first word, its own steps, all ways on that end it.
    before = tf.gather(alphas, tags, batch_dims=2)
    own = tf.gather(so_far, ends, batch_dims=1) - so_far
    leaving = tf.gather(_leaving(potentials, betas), tags, batch_dims=2)
    after = tf.gather(leaving, ends, batch_dims=1)
    span_scores = tf.exp(before + own + after - partition[:, tf.newaxis])
    scores = tf.where(tf.reduce_any(words, axis=1), tf.exp(so_far[:, -1] - partition), 1.0)
    return Decoded(
        tags,
        spans,
        ends,
        tf.where(spans, tf.minimum(span_scores, 1.0), 0.0),
        tf.minimum(scores, 1.0),
    )


def _steps(tags: Tensor, potentials: Potentials) -> Tensor:
    """What each tag adds to the score of a sequence, float32 `[batch, length]`."""
    emissions, transitions, _ = potentials
    hot = tf.one_hot(tags, emissions.shape[2])
    # Products, where gathering would add its gradients in no fixed order.
    moves = tf.reduce_sum(tf.matmul(hot[:, :-1], transitions) * hot[:, 1:], axis=2)
    return tf.reduce_sum(hot * emissions, axis=2) + tf.pad(moves, [[0, 0], [1, 0]])


def _log_partition(potentials: Potentials) -> Tensor:
    return tf.reduce_logsumexp(_alphas(potentials)[:, -1], axis=1)


def _alphas(potentials: Potentials) -> Tensor:
    """Logarithms of the weights of all beginnings up to each tag, `[batch, length, tags]`."""
    emissions, transitions, words = potentials
    may = allowed(emissions.shape[2])
    factors = tf.where(may, tf.exp(transitions), 0.0)

    def forward(alpha: Tensor, given: tuple[Tensor, Tensor]) -> Tensor:
        emission, there = given
        found = _log_product(alpha, factors) + emission
        return tf.where(there[:, tf.newaxis], found, alpha)

    first = emissions[:, 0] + tf.where(may[OUTSIDE], 0.0, _FORBIDDEN)
    if emissions.shape[1] == 1:
        return first[:, tf.newaxis]
    others = tf.scan(forward, _after_first(emissions, words), first)
    return tf.transpose(tf.concat([first[tf.newaxis], others], axis=0), [1, 0, 2])


def _betas(potentials: Potentials) -> Tensor:
    """Logarithms of the weights of all endings behind each tag, `[batch, length, tags]`."""
    emissions, transitions, words = potentials
    may = allowed(emissions.shape[2])
    factors = tf.transpose(tf.where(may, tf.exp(transitions), 0.0))

    def backward(beta: Tensor, given: tuple[Tensor, Tensor]) -> Tensor:
        emission, there = given
        return tf.where(there[:, tf.newaxis], _log_product(emission + beta, factors), beta)

    last = tf.zeros_like(emissions[:, 0])
    if emissions.shape[1] == 1:
        return last[:, tf.newaxis]
    others = tf.scan(backward, _after_first(emissions, words), last, reverse=True)
    return tf.transpose(tf.concat([others, last[tf.newaxis]], axis=0), [1, 0, 2])


def _leaving(potentials: Potentials, betas: Tensor) -> Tensor:
    """Like `_betas`, of those endings alone whose next word does not go on with a span."""
    emissions, transitions, words = potentials
    ends = allowed(emissions.shape[2])[OUTSIDE]
    factors = tf.transpose(tf.where(ends, tf.exp(transitions), 0.0))
    found = _log_product((emissions + betas)[:, 1:], factors)
    found = tf.where(words[:, 1:, tf.newaxis], found, 0.0)
    return tf.pad(found, [[0, 0], [0, 1], [0, 0]])


def _log_product(logarithms: Tensor, factors: Tensor) -> Tensor:
    """The logarithm of a product of matrices, of which the first is given by its logarithm."""
    highest = tf.stop_gradient(tf.reduce_max(logarithms, axis=-1, keepdims=True))
    product = tf.matmul(tf.exp(logarithms - highest), factors)
    return tf.math.log(tf.maximum(product, _SMALLEST)) + highest


def _after_first(emissions: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """What a scan goes through: word by word, from the second on."""
    return tf.transpose(emissions, [1, 0, 2])[1:], tf.transpose(words)[1:]


def _ends(tags: Tensor, spans: Tensor) -> Tensor:
    """The place of the last word of each span, at its first word; 0 elsewhere."""
    rows, length = tf.shape(tags, tf.int64)[0], tags.shape[1]
    number = tf.cumsum(tf.cast(spans, tf.int64), axis=1)
    inside = tf.where(tags > OUTSIDE, number, 0)
    row = tf.range(rows)[:, tf.newaxis] * (length + 1)
    places = tf.range(length, dtype=tf.int64)[tf.newaxis] + tf.zeros_like(tags)
    last = tf.math.unsorted_segment_max(places, row + inside, rows * (length + 1))
    found = tf.gather(tf.reshape(last, [-1, length + 1]), number, batch_dims=1)
    return tf.where(spans, found, 0)
