"""Linear-chain CRF over BIO tags: loss, Viterbi decoding, and the probability of each span.

Tags are numbered as in `bio`. In training and serving alike, a sequence in which a tag continues a
span that was not begun has probability 0.
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
    """Potentials of the CRF for a batch.

    Attributes:
        emissions: Score of each tag at each word, float32 `[batch, length, tags]`.
        transitions: Score of each pair of neighbouring tags, float32 `[tags, tags]`.
        words: Mask of the words to tag, bool `[batch, length]`; padding follows the words.
    """

    emissions: Tensor
    transitions: Tensor
    words: Tensor


@keras.saving.register_keras_serializable(package="triad")
class Transitions(keras.layers.Layer):
    """Appends the learned transitions to the emissions, so that one tensor is the head's output.

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
    """Splits the output of `Transitions` into potentials; `words` is the mask of `Potentials`."""
    length = words.shape[1]
    return Potentials(packed[:, :length], packed[0, length:], words)


def losses(tags: Tensor, potentials: Potentials) -> tuple[Tensor, Tensor]:
    """Computes the negative log-likelihood of each record's tags, per word.

    Args:
        tags: True tags, int64 `[batch, length]`; negative at words without a label, the number of
            tags or more for a class unseen in training, which makes the record not known.
        potentials: Potentials of the same records.

    Returns:
        Losses, float32 `[batch]`, 0 for records that are not known, and the mask of known records,
        bool `[batch]`.
    """
    emissions, transitions, words = potentials
    number = emissions.shape[2]
    labelled = words & (tags >= 0)
    known = tf.reduce_any(labelled, axis=1) & tf.reduce_all(tags < number, axis=1)
    labelled = labelled & known[:, tf.newaxis]
    # Emissions without a known label are replaced, NaN included, so their gradient is exactly zero.
    safe = Potentials(tf.where(labelled[:, :, tf.newaxis], emissions, 0.0), transitions, labelled)
    truth = tf.where(labelled, tags, OUTSIDE)
    steps = tf.where(labelled, _steps(truth, safe), 0.0)
    rows = _log_partition(safe) - tf.reduce_sum(steps, axis=1)
    count = tf.reduce_sum(tf.cast(labelled, tf.float32), axis=1)
    return tf.where(known, rows / tf.maximum(count, 1.0), 0.0), known


def best_tags(potentials: Potentials) -> Tensor:
    """Finds the likeliest tags (Viterbi), int64 `[batch, length]`; padding gets `OUTSIDE`."""
    emissions, transitions, words = potentials
    number = emissions.shape[2]
    weights = tf.where(allowed(number), transitions, _FORBIDDEN)
    first = emissions[:, 0] + tf.where(allowed(number)[0], 0.0, _FORBIDDEN)
    stay = tf.range(number, dtype=tf.int64)[tf.newaxis] + tf.zeros_like(first, tf.int64)

    def forward(state: tuple[Tensor, Tensor], word: tuple[Tensor, Tensor]) -> Any:
        best, _ = state
        emission, is_word = word
        scores = best[:, :, tf.newaxis] + weights
        highest = tf.reduce_max(scores, axis=1) + emission
        back = tf.argmax(scores, axis=1)
        is_word = is_word[:, tf.newaxis]
        return tf.where(is_word, highest, best), tf.where(is_word, back, stay)

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
    """Likeliest tags of a batch, with their spans and probabilities.

    Attributes:
        tags: Likeliest tags, int64 `[batch, length]`.
        spans: True at words that begin a span, bool `[batch, length]`.
        ends: At words that begin a span, the index of its last word, int64 `[batch, length]`.
        span_scores: At words that begin a span, the probability of exactly this span, float32
            `[batch, length]`; 0 elsewhere.
        scores: Probability of all tags of a record together, float32 `[batch]`; 1 for a record
            without words.
    """

    tags: Tensor
    spans: Tensor
    ends: Tensor
    span_scores: Tensor
    scores: Tensor


def decode(potentials: Potentials) -> Decoded:
    """Finds the likeliest tags, their spans, and their probabilities."""
    emissions, transitions, words = potentials
    tags = best_tags(potentials)
    alphas, betas = _alphas(potentials), _betas(potentials)
    partition = tf.reduce_logsumexp(alphas[:, -1], axis=1)
    so_far = tf.cumsum(tf.where(words, _steps(tags, potentials), 0.0), axis=1)
    spans = tags % 2 == 1
    ends = _ends(tags, spans)
    # Weight of a span: all paths to its first word, its own steps, all paths on that end it there.
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
    """Computes the score that each tag adds to its sequence, float32 `[batch, length]`."""
    emissions, transitions, _ = potentials
    hot = tf.one_hot(tags, emissions.shape[2])
    # Matrix products, because the gradients of a gather are summed in no fixed order.
    moves = tf.reduce_sum(tf.matmul(hot[:, :-1], transitions) * hot[:, 1:], axis=2)
    return tf.reduce_sum(hot * emissions, axis=2) + tf.pad(moves, [[0, 0], [1, 0]])


def _log_partition(potentials: Potentials) -> Tensor:
    return tf.reduce_logsumexp(_alphas(potentials)[:, -1], axis=1)


def _alphas(potentials: Potentials) -> Tensor:
    """Computes forward variables: logarithms of the weight of all paths up to each tag.

    Returns:
        float32 `[batch, length, tags]`.
    """
    emissions, transitions, words = potentials
    pairs = allowed(emissions.shape[2])
    factors = tf.where(pairs, tf.exp(transitions), 0.0)

    def forward(alpha: Tensor, word: tuple[Tensor, Tensor]) -> Tensor:
        emission, is_word = word
        after = _log_product(alpha, factors) + emission
        return tf.where(is_word[:, tf.newaxis], after, alpha)

    first = emissions[:, 0] + tf.where(pairs[OUTSIDE], 0.0, _FORBIDDEN)
    if emissions.shape[1] == 1:
        return first[:, tf.newaxis]
    others = tf.scan(forward, _after_first(emissions, words), first)
    return tf.transpose(tf.concat([first[tf.newaxis], others], axis=0), [1, 0, 2])


def _betas(potentials: Potentials) -> Tensor:
    """Computes backward variables: logarithms of the weight of all paths after each tag.

    Returns:
        float32 `[batch, length, tags]`.
    """
    emissions, transitions, words = potentials
    pairs = allowed(emissions.shape[2])
    factors = tf.transpose(tf.where(pairs, tf.exp(transitions), 0.0))

    def backward(beta: Tensor, word: tuple[Tensor, Tensor]) -> Tensor:
        emission, is_word = word
        return tf.where(is_word[:, tf.newaxis], _log_product(emission + beta, factors), beta)

    last = tf.zeros_like(emissions[:, 0])
    if emissions.shape[1] == 1:
        return last[:, tf.newaxis]
    others = tf.scan(backward, _after_first(emissions, words), last, reverse=True)
    return tf.transpose(tf.concat([others, last[tf.newaxis]], axis=0), [1, 0, 2])


def _leaving(potentials: Potentials, betas: Tensor) -> Tensor:
    """Computes `_betas` over only the paths whose next word does not continue a span."""
    emissions, transitions, words = potentials
    ends = allowed(emissions.shape[2])[OUTSIDE]
    factors = tf.transpose(tf.where(ends, tf.exp(transitions), 0.0))
    after = _log_product((emissions + betas)[:, 1:], factors)
    after = tf.where(words[:, 1:, tf.newaxis], after, 0.0)
    return tf.pad(after, [[0, 0], [0, 1], [0, 0]])


def _log_product(logarithms: Tensor, factors: Tensor) -> Tensor:
    """Computes the logarithm of `exp(logarithms) @ factors` without overflow."""
    highest = tf.stop_gradient(tf.reduce_max(logarithms, axis=-1, keepdims=True))
    product = tf.matmul(tf.exp(logarithms - highest), factors)
    return tf.math.log(tf.maximum(product, _SMALLEST)) + highest


def _after_first(emissions: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Returns emissions and mask with the words as first axis, from the second word, for a scan."""
    return tf.transpose(emissions, [1, 0, 2])[1:], tf.transpose(words)[1:]


def _ends(tags: Tensor, spans: Tensor) -> Tensor:
    """Finds the index of each span's last word, at its first word; 0 elsewhere."""
    rows, length = tf.shape(tags, tf.int64)[0], tags.shape[1]
    number = tf.cumsum(tf.cast(spans, tf.int64), axis=1)
    inside = tf.where(tags > OUTSIDE, number, 0)
    row = tf.range(rows)[:, tf.newaxis] * (length + 1)
    indices = tf.range(length, dtype=tf.int64)[tf.newaxis] + tf.zeros_like(tags)
    last = tf.math.unsorted_segment_max(indices, row + inside, rows * (length + 1))
    ends = tf.gather(tf.reshape(last, [-1, length + 1]), number, batch_dims=1)
    return tf.where(spans, ends, 0)
