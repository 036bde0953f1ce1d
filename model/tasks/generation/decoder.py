"""Decoder of a generation task: a small transformer with a copy mechanism (pointer network).

The decoder writes a text unit by unit. A unit is an output token: a subword ("piece"), or a copied
word of the record's own text, the source. Its memory holds the states that it attends to.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from triad_ml.transforms.targets.texts import FIRST_PIECE, UNKNOWN

Tensor: TypeAlias = tf.Tensor
Shape = tuple[int | None, ...]

DEPTH = 2
"""Number of transformer blocks."""

HEADS = 4
"""Number of attention heads, if the size of the states is a multiple of it; otherwise one."""

_NEVER = -1e9


class Memory(NamedTuple):
    """Encoded records that a decoder attends to and copies from.

    Attributes:
        states: Projection of the joint embedding, then the words of the source, float32
            `[batch, 1 + words, dim]`.
        known: Mask of the states, bool `[batch, 1 + words]`.
        units: Units of the source words, int64 `[batch, 2 * words]`: first of each word as in the
            text, with or without a space before it, then of its other variant; -1 if there is no
            word. See `targets.texts.source_graph`, but numbered as in `Decoder`.
    """

    states: Tensor
    known: Tensor
    units: Tensor


class Logits(NamedTuple):
    """Logits of the next unit; one softmax covers both parts.

    Attributes:
        pieces: Logits of the subwords, float32 `[batch, steps, pieces]`.
        copies: Logits of copies of the source words, in the order of `Memory.units`, float32
            `[batch, steps, 2 * words]`; very low if there is no word.
    """

    pieces: Tensor
    copies: Tensor


Cache = list[tuple[Tensor, Tensor]]
"""By block, keys and values of the units so far, float32 `[batch, beams, steps, heads, size]`."""


@keras.saving.register_keras_serializable(package="triad")
class Decoder(keras.layers.Layer):
    """Transformer decoder that predicts the next unit of a text from those before it.

    The layer itself, called on float32 `[batch, 1 + words, dim]`, returns `Memory.states`: the
    normalized input with position embeddings. The other methods decode.

    Units are numbered as in `targets.texts`, but without a gap: `END`, `UNKNOWN`, the subwords,
    the words of the source without a space before them, then the same words with one.

    Args:
        pieces: Subwords of the vocabulary.
        length: Largest number of units of a text.
        words: Number of words of the source; 0 if the spec has no texts.
        dim: Size of all states.
        dropout: Share of values that is dropped in training.
        beam: Number of beams of the search.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        length: int,
        words: int,
        dim: int,
        dropout: float = 0.0,
        beam: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pieces = tuple(pieces)
        self.length, self.words, self.dim = length, words, dim
        self.rate, self.beam = dropout, beam
        self.num_pieces = FIRST_PIECE + len(self.pieces)
        self.heads = HEADS if dim % HEADS == 0 else 1
        layers = keras.layers
        self.settled = layers.LayerNormalization(name="settled")
        self.embedding = layers.Embedding(self.num_pieces, dim, name="pieces")
        self.copied = layers.Dense(dim, name="copied")
        self.dropped = layers.Dropout(dropout, name="dropped")
        self.blocks = [_Block(dim, dropout, name=f"block_{i}") for i in range(DEPTH)]
        self.last = layers.LayerNormalization(name="last")
        self.to_pieces = layers.Dense(self.num_pieces, name="to_pieces")
        self.query = layers.Dense(dim, name="query")
        self.key = layers.Dense(dim, name="key")
        self.spacing = layers.Dense(2, name="spacing")
        self.goes_on = layers.Dense(1, name="goes_on")

    def build(self, states_shape: Shape) -> None:
        self.places = self.add_weight(
            shape=(self.length, self.dim), initializer="random_normal", name="places"
        )
        state = (None, None, self.dim)
        for layer in (self.settled, self.copied, self.last, self.to_pieces):
            layer.build(state)
        for layer in (self.query, self.key, self.spacing, self.goes_on, *self.blocks):
            layer.build(state)
        self.source_places = self.add_weight(
            shape=(1 + self.words, self.dim), initializer="random_normal", name="source_places"
        )
        self.embedding.build((None, None))

    def call(self, states: Any) -> Any:
        return self.settled(states) + self.source_places

    def compute_output_shape(self, states_shape: Shape) -> Shape:
        return states_shape

    def get_config(self) -> dict[str, Any]:
        names = ("length", "words", "dim", "beam")
        config = {name: getattr(self, name) for name in names}
        config |= {"pieces": list(self.pieces), "dropout": self.rate}
        return {**super().get_config(), **config}

    def logits(self, units: Tensor, memory: Memory, training: bool = False) -> Logits:
        """Computes the logits of each unit of a text from those before it (teacher forcing).

        Args:
            units: Units of the text or of its beginning, int64 `[batch, steps]`; the last one is
                predicted, but not read.
            memory: Memory of the same records.
            training: True to apply dropout.
        """
        before = tf.pad(units[:, :-1], [[0, 0], [1, 0]])  # `END` serves as the start symbol
        steps = tf.range(tf.shape(units)[1])
        stands = self._stands(before, memory)
        x = self._embedded(before, stands, memory) + self.places[: tf.size(steps)]
        x = self.dropped(x, training=training)
        mask = (steps[:, tf.newaxis] >= steps)[tf.newaxis]
        for block, looked_at in zip(self.blocks, self.looked_at(memory), strict=True):
            own = self._split(block.own_keys(x))
            x = block.written(x, own, mask, looked_at, memory.known, self.heads, training)
        return self._logits(x, stands, memory)

    def step(
        self, units: Tensor, place: Tensor, cache: Cache, looked_at: Cache, memory: Memory
    ) -> tuple[Logits, Cache]:
        """Computes the logits of the next unit of each hypothesis.

        Args:
            units: Last unit of each hypothesis, int64 `[batch, beams]`; 0 before the first one.
            place: Number of units so far, int32.
            cache: Keys and values of the units before; `empty_cache` at first.
            looked_at: Keys and values of the memory; see `looked_at`.
            memory: Memory of the records.

        Returns:
            Logits `[batch, beams, ...]`, and the cache with the last units added.
        """
        stands = self._stands(units, memory)
        x = self._embedded(units, stands, memory) + self.places[place]
        everything = tf.fill([1, 1, place + 1], True)
        after = []
        for block, (keys, values), seen in zip(self.blocks, cache, looked_at, strict=True):
            key, value = self._split(block.own_keys(x))
            keys = tf.concat([keys, key[:, :, tf.newaxis]], axis=2)
            values = tf.concat([values, value[:, :, tf.newaxis]], axis=2)
            after.append((keys, values))
            x = block.written(
                x, after[-1], everything, seen, memory.known, self.heads, training=False
            )
        return self._logits(x, stands, memory), after

    def looked_at(self, memory: Memory) -> Cache:
        """Computes keys and values of the memory by block, `[batch, 1 + words, heads, size]`."""
        return [self._split(block.memory_keys(memory.states)) for block in self.blocks]

    def empty_cache(self, rows: Tensor) -> Cache:
        """Returns the cache before the first unit, for a batch of `rows` records."""
        size = self.dim // self.heads
        zeros = tf.zeros(tf.stack([rows, self.beam, 0, self.heads, size]))
        return [(zeros, zeros) for _ in self.blocks]

    def cache_shapes(self) -> list[tuple[tf.TensorShape, tf.TensorShape]]:
        """Returns shapes that fit the cache at every step, for `tf.while_loop`."""
        shape = tf.TensorShape([None, self.beam, None, self.heads, self.dim // self.heads])
        return [(shape, shape) for _ in self.blocks]

    def texts(self, units: Tensor, surfaces: Tensor | None) -> Tensor:
        """Converts units to texts, string `[batch]`.

        Args:
            units: Units of the texts, int64 `[batch, length]`.
            surfaces: Words of the source as strings, string `[batch, words]`; None if the spec has
                no texts.
        """
        names = tf.constant(["", "", *self.pieces], tf.string)
        strings = tf.gather(names, tf.minimum(units, self.num_pieces - 1))
        if surfaces is not None:
            copied = tf.maximum(units - self.num_pieces, 0)
            words = tf.gather(surfaces, copied % self.words, batch_dims=1)
            spaced = tf.where(copied >= self.words, " ", "") + words
            strings = tf.where(units >= self.num_pieces, spaced, strings)
        return tf.strings.strip(tf.strings.reduce_join(strings, axis=1))

    def _stands(self, units: Tensor, memory: Memory) -> Tensor:
        """Finds the source words equal to each unit, as equal shares that sum to 1, or all 0.

        Returns:
            float32 `[batch, steps, words]`.
        """
        same = tf.equal(memory.units[:, tf.newaxis], units[:, :, tf.newaxis])
        stands = tf.cast(same[:, :, : self.words] | same[:, :, self.words :], tf.float32)
        return tf.math.divide_no_nan(stands, tf.reduce_sum(stands, axis=2, keepdims=True))

    def _embedded(self, units: Tensor, stands: Tensor, memory: Memory) -> Tensor:
        """Embeds units, as the subword plus the state of the source word.

        Returns:
            float32 `[batch, steps, dim]`.
        """
        pieces = self.embedding(tf.where(units < self.num_pieces, units, UNKNOWN))
        if not self.words:
            return pieces
        return pieces + self.copied(tf.matmul(stands, memory.states[:, 1:]))

    def _logits(self, x: Tensor, stands: Tensor, memory: Memory) -> Logits:
        x = self.last(x)
        pieces = self.to_pieces(x)
        if not self.words:
            return Logits(pieces, pieces[:, :, :0])
        keys = self.key(memory.states[:, 1:]) * self.dim**-0.5
        alike = tf.matmul(self.query(x), keys, transpose_b=True)
        follows = tf.pad(stands[:, :, :-1], [[0, 0], [0, 0], [1, 0]])
        alike += self.goes_on(x) * follows
        spacing = self.spacing(x)
        both = [alike + spacing[:, :, variant : variant + 1] for variant in (0, 1)]
        is_word = (memory.units >= 0)[:, tf.newaxis]
        return Logits(pieces, tf.where(is_word, tf.concat(both, axis=2), _NEVER))

    def _split(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Splits keys and values, `[..., 2 * dim]`, into two tensors of `[..., heads, size]`."""
        shape = tf.concat([tf.shape(pair)[:-1], [2, self.heads, self.dim // self.heads]], axis=0)
        both = tf.reshape(pair, shape)
        return both[..., 0, :, :], both[..., 1, :, :]


@keras.saving.register_keras_serializable(package="triad")
class _Block(keras.layers.Layer):
    """Decoder block: self-attention, attention to the memory, and a feed-forward network."""

    def __init__(self, dim: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        layers = keras.layers
        self.norms = [layers.LayerNormalization(name=f"norm_{i}") for i in range(3)]
        self.queries = [layers.Dense(dim, name=f"query_{i}") for i in range(2)]
        self.joined = [layers.Dense(dim, name=f"joined_{i}") for i in range(2)]
        self.own = layers.Dense(2 * dim, name="own")
        self.memory = layers.Dense(2 * dim, name="memory")
        self.wide = layers.Dense(2 * dim, activation="relu", name="wide")
        self.narrow = layers.Dense(dim, name="narrow")
        self.dropped = layers.Dropout(dropout, name="dropped")

    def build(self, shape: Shape) -> None:
        state = (None, None, self.dim)
        for layer in (*self.norms, *self.queries, *self.joined, self.own, self.memory, self.wide):
            layer.build(state)
        self.narrow.build((None, None, 2 * self.dim))

    def own_keys(self, x: Tensor) -> Tensor:
        return self.own(self.norms[0](x))

    def memory_keys(self, states: Tensor) -> Tensor:
        return self.memory(states)

    def written(
        self,
        x: Tensor,
        own: tuple[Tensor, Tensor],
        mask: Tensor,
        looked_at: tuple[Tensor, Tensor],
        known: Tensor,
        heads: int,
        training: bool,
    ) -> Tensor:
        query = self.queries[0](self.norms[0](x))
        attended = _attended(query, own, mask, heads)
        x = x + self.dropped(self.joined[0](attended), training=training)
        query = self.queries[1](self.norms[1](x))
        attended = _attended(query, looked_at, known[:, tf.newaxis], heads)
        x = x + self.dropped(self.joined[1](attended), training=training)
        output = self.narrow(self.wide(self.norms[2](x)))
        return x + self.dropped(output, training=training)


def _attended(query: Tensor, pair: tuple[Tensor, Tensor], mask: Tensor, heads: int) -> Tensor:
    """Computes multi-head attention.

    Args:
        query: Queries, float32 `[batch, steps, dim]`.
        pair: Keys and values, `[batch, keys, heads, size]`, or `[batch, steps, keys, heads, size]`
            with keys of their own for each step.
        mask: True for keys to attend to, bool `[batch or 1, steps or 1, keys]`.
        heads: Number of heads.

    Returns:
        Attended values, float32 `[batch, steps, dim]`.
    """
    keys, values = pair
    size = query.shape[-1] // heads
    shape = tf.concat([tf.shape(query)[:-1], [heads, size]], axis=0)
    split = tf.reshape(query, shape) * size**-0.5
    axes = "bskhd" if keys.shape.rank == 5 else "bkhd"
    alike = tf.einsum(f"bshd,{axes}->bshk", split, keys)
    shares = tf.nn.softmax(tf.where(mask[:, :, tf.newaxis], alike, _NEVER), axis=-1)
    attended = tf.einsum(f"bshk,{axes}->bshd", shares, values)
    return tf.reshape(attended, tf.shape(query))
