"""What the feature graph takes from a pass over the training data: measured, or known already."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import tensorflow as tf
import tensorflow_transform as tft

from triad_ml.transforms.errors import OptionsError

Lookup = Callable[[tf.Tensor], tf.Tensor]
Unseen = Literal["minus_one", "last"]

_EMPTY_VOCABULARY = "49d0cd50-04bb-48c0-bc6f-5b575dce351a"  # tf.Transform's stand-in for no entry
_PLACES = 1024.0


class Analyzers(Protocol):
    """The passes that the feature graph needs."""

    def vocabulary_ids(
        self, values: tf.Tensor, name: str, *, top_k: int | None, unseen: Unseen
    ) -> tf.Tensor:
        """Maps strings `[n]` to int64 ids by falling frequency.

        Args:
            values: Strings that are there; no missing ones.
            name: Of the vocabulary.
            top_k: How many strings are kept; None keeps all.
            unseen: Whether a string outside the vocabulary is -1, or the number of strings kept.
        """

    def pieces(self, words: tf.Tensor, name: str, *, size: int) -> Lookup:
        """Learns a vocabulary of pieces of words.

        Args:
            words: Strings `[n]`, each with the space that stands before it.
            name: Of the vocabulary.
            size: Pieces at most.

        Returns:
            A function of strings `[n]` that gives the int64 id of each, or -1 where it is no piece.
        """

    def moments(
        self, rows: tf.Tensor, name: str, *, relative: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and standard deviation of each column of float32 `[n, columns]`, as float32.

        Args:
            rows: See above.
            name: Of the moments.
            relative: Whether they are rounded to a number of digits, not of decimal places.
        """


class MeasuredAnalyzers:
    """Measures with tf.Transform's analyzers: one pass over the training split."""

    def vocabulary_ids(
        self, values: tf.Tensor, name: str, *, top_k: int | None, unseen: Unseen
    ) -> tf.Tensor:
        file = tft.vocabulary(values, top_k=top_k, vocab_filename=name, name=name)
        if unseen == "last":
            return tft.apply_vocabulary(values, file, num_oov_buckets=1)
        return tft.apply_vocabulary(values, file, default_value=-1)

    def pieces(self, words: tf.Tensor, name: str, *, size: int) -> Lookup:
        from triad_ml.transforms.features.subword_analyzer import LearnPieces

        (file,) = tft.experimental.ptransform_analyzer(
            [words],
            LearnPieces(name, size),
            output_dtypes=[tf.string],
            output_shapes=[[]],
            output_asset_default_values=[b"no pieces yet"],
            name=name,
        )
        return lambda strings: tft.apply_vocabulary(strings, file, default_value=-1)

    def moments(
        self, rows: tf.Tensor, name: str, *, relative: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rounded = _rounded_by_size if relative else _rounded
        exact = tf.cast(rows, tf.float64)
        mean = tft.mean(exact, reduce_instance_dims=False, name=f"{name}_mean")
        variance = tft.var(exact, reduce_instance_dims=False, name=f"{name}_variance")
        # Runners add in different orders: the last bits differ. Rounded moments do not.
        return (
            rounded(mean, _moment(name, "mean")),
            rounded(tf.sqrt(variance), _moment(name, "deviation")),
        )


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What a pass over the training split found.

    Attributes:
        vocabularies: By name, the strings in the order of their ids.
        moments: By name, mean and standard deviation of each column.
    """

    vocabularies: Mapping[str, tuple[str, ...]]
    moments: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @classmethod
    def of_transform_output(cls, folder: str | Path, moments: tuple[str, ...]) -> "Analysis":
        """Reads what tf.Transform put into a transform graph.

        Args:
            folder: Where the transform graph is, on this machine.
            moments: The names given to `moments`.

        Raises:
            OptionsError: Where there is no transform graph.
        """
        folder = Path(folder) / "transform_fn"
        if not (folder / "saved_model.pb").is_file():
            raise OptionsError(
                f"{folder}: no transform graph; run triad preprocess with a new --output"
            )
        vocabularies = {file.name: _entries(file) for file in sorted((folder / "assets").glob("*"))}
        names = [f"{_moment(name, part)}:0" for name in moments for part in ("mean", "deviation")]
        values = iter(_constants(folder, names))
        return cls(vocabularies, {name: (next(values), next(values)) for name in moments})

    @classmethod
    def from_json(cls, text: str) -> "Analysis":
        """The inverse of `to_json`."""
        value = json.loads(text)
        return cls(
            {name: tuple(entries) for name, entries in value["vocabularies"].items()},
            {name: (tuple(a), tuple(b)) for name, (a, b) in value["moments"].items()},
        )

    def to_json(self) -> str:
        """One canonical line."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    def digest(self) -> str:
        """SHA-256 of `to_json()`, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


class KnownAnalyzers:
    """Takes an analysis that was made before: the same graph without a pass over any data."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def vocabulary_ids(
        self, values: tf.Tensor, name: str, *, top_k: int | None, unseen: Unseen
    ) -> tf.Tensor:
        del top_k  # the analysis has them kept already
        return self._table(name, unseen).lookup(values)

    def pieces(self, words: tf.Tensor, name: str, *, size: int) -> Lookup:
        del words, size
        table = self._table(name, "minus_one")
        return lambda strings: table.lookup(strings)

    def moments(
        self, rows: tf.Tensor, name: str, *, relative: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del rows, relative
        mean, deviation = self._analysis.moments[name]
        return tf.constant(mean, tf.float32), tf.constant(deviation, tf.float32)

    def _table(self, name: str, unseen: Unseen) -> tf.lookup.StaticHashTable:
        entries = self._analysis.vocabularies[name] or (_EMPTY_VOCABULARY,)  # no table is empty
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(entries, tf.string, shape=[len(entries)]),
                tf.range(len(entries), dtype=tf.int64),
            ),
            default_value=len(entries) if unseen == "last" else -1,
        )


def _moment(name: str, part: str) -> str:
    return f"{name}_moments_{part}"


def _rounded(value: tf.Tensor, name: str) -> tf.Tensor:
    return tf.cast(tf.round(value * _PLACES) / _PLACES, tf.float32, name=name)


def _rounded_by_size(value: tf.Tensor, name: str) -> tf.Tensor:
    """Rounds to about five digits, by a power of two, so that nothing else is lost."""
    size = tf.maximum(tf.abs(value), tf.constant(1e-30, tf.float64))
    step = tf.pow(tf.constant(2.0, tf.float64), tf.floor(tf.math.log(size) / math.log(2)) - 16)
    return tf.cast(tf.round(value / step) * step, tf.float32, name=name)


def _entries(file: Path) -> tuple[str, ...]:
    entries = tuple(file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    return () if entries == (_EMPTY_VOCABULARY,) else entries


def _constants(folder: Path, names: list[str]) -> list[tuple[float, ...]]:
    """Values of tensors that follow in the transform graph from nothing but constants."""
    if not names:
        return []
    function = tf.saved_model.load(str(folder)).transform_fn
    part = tf.compat.v1.graph_util.extract_sub_graph(
        function.graph.as_graph_def(), [name.split(":")[0] for name in names]
    )
    captured = function.captured_inputs
    places = function.graph.inputs[len(function.graph.inputs) - len(captured) :]
    nodes = {node.name for node in part.node}
    known = {
        place.name: value.numpy()
        for place, value in zip(places, captured, strict=True)
        if place.op.name in nodes
    }

    def computed() -> Any:
        inputs = {name: tf.constant(value) for name, value in known.items()}
        return tf.graph_util.import_graph_def(part, inputs, return_elements=names, name="")

    tensors = tf.compat.v1.wrap_function(computed, [])()
    return [tuple(float(number) for number in tensor.numpy().ravel()) for tensor in tensors]
