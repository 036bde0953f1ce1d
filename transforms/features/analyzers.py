"""Analyzers of the feature graph: vocabularies and moments, measured or known from an analysis."""

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
from triad_ml.transforms.features.pieces import vocabulary

Lookup = Callable[[tf.Tensor], tf.Tensor]
Unseen = Literal["minus_one", "last"]

_EMPTY_VOCABULARY = "49d0cd50-04bb-48c0-bc6f-5b575dce351a"  # tf.Transform's stand-in for no entry
_GIVEN = (vocabulary.VOCABULARY, vocabulary.MERGES)
_STEPS = 1024.0  # per unit, to which moments are rounded


class Analyzers(Protocol):
    """Analyzers that the feature graph needs."""

    def vocabulary_ids(
        self, values: tf.Tensor, name: str, *, top_k: int | None, unseen: Unseen
    ) -> tf.Tensor:
        """Maps strings `[n]` to ids, int64 `[n]`, in the order of falling frequency.

        Args:
            values: Strings `[n]`, none of which is missing.
            name: Name of the vocabulary.
            top_k: Largest number of strings in the vocabulary; None keeps all.
            unseen: Id of a string outside the vocabulary: -1 (`minus_one`), or the size of the
                vocabulary (`last`).
        """

    def pieces(self, words: tf.Tensor, name: str, *, size: int) -> Lookup:
        """Learns a vocabulary of subwords.

        Args:
            words: Strings `[n]`, each with the space before it, if there is one.
            name: Name of the vocabulary.
            size: Largest number of subwords.

        Returns:
            A function from strings `[n]` to ids, int64 `[n]`; -1 for a string that is no subword.
        """

    def moments(
        self, rows: tf.Tensor, name: str, *, relative: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes mean and standard deviation of each column, each float32 `[columns]`.

        Args:
            rows: float32 `[n, columns]`.
            name: Name of the moments.
            relative: True to round them to significant digits, not to decimal places.
        """


class MeasuredAnalyzers:
    """Analyzers of tf.Transform, which make one pass over the training split."""

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
        # Rounded, because runners add in different orders, so that the last bits differ.
        return (
            rounded(mean, _moment(name, "mean")),
            rounded(tf.sqrt(variance), _moment(name, "deviation")),
        )


@dataclasses.dataclass(frozen=True)
class Analysis:
    """Results of the pass over the training split.

    Attributes:
        vocabularies: Strings in the order of their ids, by name of the vocabulary.
        moments: Means and standard deviations of the columns, by name of the moments.
    """

    vocabularies: Mapping[str, tuple[str, ...]]
    moments: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @classmethod
    def of_transform_output(cls, folder: str | Path, moments: tuple[str, ...]) -> "Analysis":
        """Reads the analysis that tf.Transform wrote into a transform graph.

        Args:
            folder: Local folder of the transform graph.
            moments: Names of the moments.

        Raises:
            OptionsError: If there is no transform graph.
        """
        folder = Path(folder) / "transform_fn"
        if not (folder / "saved_model.pb").is_file():
            raise OptionsError(
                f"{folder}: no transform graph; run triad preprocess with a new --output"
            )
        assets = sorted((folder / "assets").glob("*"))
        # Those of a pretrained encoder are no result of an analysis.
        vocabularies = {file.name: _entries(file) for file in assets if file.name not in _GIVEN}
        names = [f"{_moment(name, part)}:0" for name in moments for part in ("mean", "deviation")]
        values = iter(_constants(folder, names))
        return cls(vocabularies, {name: (next(values), next(values)) for name in moments})

    @classmethod
    def from_json(cls, text: str) -> "Analysis":
        """Reads an analysis from the text of `to_json`."""
        value = json.loads(text)
        return cls(
            {name: tuple(entries) for name, entries in value["vocabularies"].items()},
            {name: (tuple(a), tuple(b)) for name, (a, b) in value["moments"].items()},
        )

    def to_json(self) -> str:
        """Returns one canonical line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    def digest(self) -> str:
        """Returns the SHA-256 of `to_json()`, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


class KnownAnalyzers:
    """Analyzers that return the results of an earlier analysis, without a pass over data."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def vocabulary_ids(
        self, values: tf.Tensor, name: str, *, top_k: int | None, unseen: Unseen
    ) -> tf.Tensor:
        del top_k  # the vocabulary has this size already
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
        # TensorFlow allows no empty table.
        entries = self._analysis.vocabularies[name] or (_EMPTY_VOCABULARY,)
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
    return tf.cast(tf.round(value * _STEPS) / _STEPS, tf.float32, name=name)


def _rounded_by_size(value: tf.Tensor, name: str) -> tf.Tensor:
    """Rounds to about five digits, to a multiple of a power of two, so that no bit is left over."""
    size = tf.maximum(tf.abs(value), tf.constant(1e-30, tf.float64))
    step = tf.pow(tf.constant(2.0, tf.float64), tf.floor(tf.math.log(size) / math.log(2)) - 16)
    return tf.cast(tf.round(value / step) * step, tf.float32, name=name)


def _entries(file: Path) -> tuple[str, ...]:
    entries = tuple(file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    return () if entries == (_EMPTY_VOCABULARY,) else entries


def _constants(folder: Path, names: list[str]) -> list[tuple[float, ...]]:
    """Computes tensors of the transform graph that depend on constants only."""
    if not names:
        return []
    function = tf.saved_model.load(str(folder)).transform_fn
    part = tf.compat.v1.graph_util.extract_sub_graph(
        function.graph.as_graph_def(), [name.split(":")[0] for name in names]
    )
    captured = function.captured_inputs
    placeholders = function.graph.inputs[len(function.graph.inputs) - len(captured) :]
    nodes = {node.name for node in part.node}
    known = {
        placeholder.name: value.numpy()
        for placeholder, value in zip(placeholders, captured, strict=True)
        if placeholder.op.name in nodes
    }

    def computed() -> Any:
        inputs = {name: tf.constant(value) for name, value in known.items()}
        return tf.graph_util.import_graph_def(part, inputs, return_elements=names, name="")

    tensors = tf.compat.v1.wrap_function(computed, [])()
    return [tuple(float(number) for number in tensor.numpy().ravel()) for tensor in tensors]
