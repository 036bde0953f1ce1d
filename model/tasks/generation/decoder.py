"""The decoder of a generation task: a small transformer that writes pieces and copies words."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from triad_ml.transforms.targets.texts import FIRST_PIECE, UNKNOWN

Tensor: TypeAlias = tf.Tensor
Shape = tuple[int | None, ...]

DEPTH = 2
HEADS = 4

_NEVER = -1e9


class Memory(NamedTuple):
    """What a decoder looks at.

    Attributes:
        states: float32 `[batch, 1 + words, dim]`: what the modalities together say, then the words
            of the text.
        known: Which of them are there, bool `[batch, 1 + words]`.
        units: The unit that each word is, int64 `[batch, 2 * words]`: as the text has it, then
            with a space before it instead of without, or the other way round; see
            `target_graphs.source_graph`, but numbered as in `Decoder`.
    """

    states: Tensor
    known: Tensor
    units: Tensor


class Logits(NamedTuple):
    """Of the next unit; one softmax goes over both parts.

    Attributes:
        pieces: float32 `[batch, steps, pieces]`.
        copies: float32 `[batch, steps, 2 * words]`, see `Memory.units`; very low where there is no
            word.
    """

    pieces: Tensor
    copies: Tensor


Cache = list[tuple[Tensor, Tensor]]
"""By layer, keys and values of what is written, float32 `[batch, beams, written, heads, size]`."""


@keras.saving.register_keras_serializable(package="triad")
class Decoder(keras.layers.Layer):
    """Gives the next unit of a text from those before it.

    Called, it takes what `Memory.states` is made of, and returns that. Units are numbered so: those
    before `len(pieces) + 2` as in `target_graphs`, then words of the source, without and with a
    space before them.

    Args:
        pieces: Of the vocabulary.
        length: Units of a text.
        words: Of the source; 0 where there is none.
        dim: Of all states.
        dropout: Share of units dropped in training.
        beam: Beginnings that a search keeps.
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
        own = ("length", "words", "dim", "beam")
        said = {name: getattr(self, name) for name in own}
        said |= {"pieces": list(self.pieces), "dropout": self.rate}
        return {**super().get_config(), **said}

    def logits(self, units: Tensor, memory: Memory, training: bool = False) -> Logits:
        """Of each unit of a text from those before it.

        Args:
            units: The text or its beginning, int64 `[batch, steps]`; its last is not looked at.
            memory: Of the same records.
            training: Whether units are dropped.
        """
        before = tf.pad(units[:, :-1], [[0, 0], [1, 0]])  # the end of nothing begins a text
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
        """Of the next units, where `[batch, beams]` ends of texts are given.

        Args:
            units: The last ones written, int64 `[batch, beams]`; 0 before the first.
            place: How many are written, int32.
            cache: Of what is written before; `empty_cache` at first.
            looked_at: See there.
            memory: Of the records.

        Returns:
            Logits `[batch, beams, ...]`, and the cache with what is now written.
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
        """Keys and values of the memory by layer, `[batch, 1 + words, heads, size]`."""
        return [self._split(block.memory_keys(memory.states)) for block in self.blocks]

    def empty_cache(self, rows: Tensor) -> Cache:
        """Of texts that are not begun."""
        size = self.dim // self.heads
        zeros = tf.zeros(tf.stack([rows, self.beam, 0, self.heads, size]))
        return [(zeros, zeros) for _ in self.blocks]

    def cache_shapes(self) -> list[tuple[tf.TensorShape, tf.TensorShape]]:
        """Of caches in all steps."""
        shape = tf.TensorShape([None, self.beam, None, self.heads, self.dim // self.heads])
        return [(shape, shape) for _ in self.blocks]

    def texts(self, units: Tensor, surfaces: Tensor | None) -> Tensor:
        """The texts that units say, string `[batch]`.

        Args:
            units: int64 `[batch, length]`.
            surfaces: The words of the source, string `[batch, words]`; None where there is none.
        """
        names = tf.constant(["", "", *self.pieces], tf.string)
        said = tf.gather(names, tf.minimum(units, self.num_pieces - 1))
        if surfaces is not None:
            copied = tf.maximum(units - self.num_pieces, 0)
            words = tf.gather(surfaces, copied % self.words, batch_dims=1)
            spaced = tf.where(copied >= self.words, " ", "") + words
            said = tf.where(units >= self.num_pieces, spaced, said)
        return tf.strings.strip(tf.strings.reduce_join(said, axis=1))

    def _stands(self, units: Tensor, memory: Memory) -> Tensor:
        """Where units stand in the source, float32 `[batch, steps, words]`: shares of 1."""
        same = tf.equal(memory.units[:, tf.newaxis], units[:, :, tf.newaxis])
        stands = tf.cast(same[:, :, : self.words] | same[:, :, self.words :], tf.float32)
        return tf.math.divide_no_nan(stands, tf.reduce_sum(stands, axis=2, keepdims=True))

    def _embedded(self, units: Tensor, stands: Tensor, memory: Memory) -> Tensor:
        """float32 `[batch, steps, dim]`: the piece, and what the memory says of the word."""
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
        there = (memory.units >= 0)[:, tf.newaxis]
        return Logits(pieces, tf.where(there, tf.concat(both, axis=2), _NEVER))

    def _split(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values side by side, `[..., 2 * dim]`, as two of `[..., heads, size]`."""
        shape = tf.concat([tf.shape(pair)[:-1], [2, self.heads, self.dim // self.heads]], axis=0)
        both = tf.reshape(pair, shape)
        return both[..., 0, :, :], both[..., 1, :, :]


@keras.saving.register_keras_serializable(package="triad")
class _Block(keras.layers.Layer):
    """One layer of a decoder: looks at what is written, at the memory, and thinks."""

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
        found = _attended(query, own, mask, heads)
        x = x + self.dropped(self.joined[0](found), training=training)
        query = self.queries[1](self.norms[1](x))
        found = _attended(query, looked_at, known[:, tf.newaxis], heads)
        x = x + self.dropped(self.joined[1](found), training=training)
        thought = self.narrow(self.wide(self.norms[2](x)))
        return x + self.dropped(thought, training=training)


def _attended(query: Tensor, pair: tuple[Tensor, Tensor], mask: Tensor, heads: int) -> Tensor:
    """Attention of `[batch, steps, dim]`.

    Keys and values are `[batch, places, heads, size]`, or with an axis for steps before the places;
    the mask is bool `[batch or 1, steps or 1, places]`.
    """
    keys, values = pair
    size = query.shape[-1] // heads
    shape = tf.concat([tf.shape(query)[:-1], [heads, size]], axis=0)
    split = tf.reshape(query, shape) * size**-0.5
    places = "bskhd" if keys.shape.rank == 5 else "bkhd"
    alike = tf.einsum(f"bshd,{places}->bshk", split, keys)
    shares = tf.nn.softmax(tf.where(mask[:, :, tf.newaxis], alike, _NEVER), axis=-1)
    found = tf.einsum(f"bshk,{places}->bshd", shares, values)
    return tf.reshape(found, tf.shape(query))
