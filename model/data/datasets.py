"""Training files -> batches: parsing, order and padding."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from triad_ml.model.data.labels import label_description, labels_of, numbered
from triad_ml.model.repeats import Copies, repeated
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.word_shapes import PARTS, SPELLING
from triad_ml.transforms.spec.spec import FIRST_TOKEN, MISSING_LABEL, Spec
from triad_ml.transforms.targets import texts as targets_texts

SURFACES = "text_surface"

SHUFFLE_BYTES = 256 * 2**20
"""What the shuffle of a larger split holds in memory."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the training files hold.

    Attributes:
        spec: Names and sizes.
        classes: The classes of each task, in the order of their ids.
        vocabulary_size: Number of token ids, padding and unknown included.

    Raises:
        OptionsError: Where a task has no classes.
    """

    spec: Spec
    classes: Mapping[str, tuple[str, ...]]
    vocabulary_size: int = FIRST_TOKEN

    def __post_init__(self) -> None:
        for task in self.spec.tasks:
            if not self.classes.get(task):
                raise OptionsError(
                    f"task {task}: no record of the training split has a label; "
                    "label some records or take the task out of the spec"
                )

    @property
    def record_bytes(self) -> int:
        """About how many bytes one record takes, decompressed."""
        sections = self.spec.modalities
        total = 512
        if sections.image is not None:
            total += 4 * self.image_width if self.image_width else 3 * sections.image.size**2
        if sections.audio is not None:
            total += 4 * sections.audio.frames * sections.audio.mel_bins
        if sections.text is not None:
            columns = 3 + len(self.spec.tagging) + len(self.spec.markers)
            total += 4 * sections.text.length * (columns if self.spec.tagging else 1)
            total += 4 * sections.text.length * PARTS if sections.text.spelling else 0
            total += 16 * sections.text.length * len(self.spec.generation)
        total += sum(8 * self.spec.tasks[task].writing.length for task in self.spec.generation)
        return total

    @property
    def image_width(self) -> int | None:
        """How many numbers a picture is, where preprocessing has encoded it."""
        if self.spec.modalities.image is None or not self.spec.model.encodes_first:
            return None
        from triad_ml.transforms.encoders import image

        return image.width(self.spec)

    @property
    def longest_record(self) -> int:
        """No record takes more bytes than this; what claims more is damaged or hostile."""
        return 4 * self.record_bytes + 2**20


class Batch(NamedTuple):
    """Some records as the model takes them.

    Attributes:
        features: `image` uint8 `[batch, size, size, 3]`, or encoded float32 `[batch, width]`,
            `audio` float32 `[batch, frames, mel_bins]`, `text` int64 `[batch, length]`, and
            `<modality>_present` bool `[batch]`; of the spec's modalities only. `text_spelling`
            int64 `[batch, length, parts]`; see `spelling.spelling_graph`. `marker_<task>` int64
            `[batch, length]`, 1 at marked words.
            `units_<task>` int64 `[batch, 2 * length]`; see `decoder.Memory.units`.
        labels: Per task, int64 `[batch]` with `MISSING_LABEL` where there is none and ids from the
            number of classes on for classes that training does not know. Of a multi-label task
            float32 `[batch, classes + 1]` of 0 and 1, a whole row of -1 where there is none; the
            last column says whether the set has any class that training does not know. Of a tagging
            task int64 `[batch, length]`; see `label_graphs.tags_graph`. Of a generation task int64
            `[batch, length of the task]`; see `target_graphs.units_graph`, but numbered as in
            `decoder.Decoder`.
        ids: string `[batch]`; empty in the rows that only fill a batch up.
        texts: Where some task is generation: by such a task the whole text to be written, string
            `[batch]`, empty where there is none; and `SURFACES` where the spec has texts, string
            `[batch, length]`, see `preprocessing.preprocessing_fn`.
    """

    features: dict[str, tf.Tensor]
    labels: dict[str, tf.Tensor]
    ids: tf.Tensor
    texts: dict[str, tf.Tensor] = {}


def feature_description(layout: Layout) -> dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature]:
    """How `tf.io.parse_example` reads a record of the training files."""
    sections = layout.spec.modalities
    features: dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature] = {
        "id": tf.io.FixedLenFeature([], tf.string)
    }
    if sections.image is not None:
        encoded = layout.image_width
        features["image"] = (
            tf.io.FixedLenFeature([encoded], tf.float32)
            if encoded
            else tf.io.FixedLenFeature([], tf.string)
        )
    if sections.audio is not None:
        shape = [sections.audio.frames, sections.audio.mel_bins]
        features["audio"] = tf.io.FixedLenFeature(shape, tf.float32)
    if sections.text is not None:
        tokens = tf.io.FixedLenFeature([sections.text.length], tf.int64)
        features |= dict.fromkeys(("text", *_markers(layout)), tokens)
        if sections.text.spelling:
            parts = [sections.text.length, PARTS]
            features[SPELLING] = tf.io.FixedLenFeature(parts, tf.int64)
        if layout.spec.generation:
            surfaces = tf.io.FixedLenFeature([sections.text.length], tf.string)
            units = tf.io.FixedLenFeature([2 * sections.text.length], tf.int64)
            features |= {SURFACES: surfaces, **dict.fromkeys(_units(layout), units)}
    one_text = tf.io.FixedLenFeature([], tf.string)
    features |= {_text_name(task): one_text for task in layout.spec.generation}
    for name in sections.names:
        features[f"{name}_present"] = tf.io.FixedLenFeature([], tf.int64)
    return features | label_description(layout)


def parse(layout: Layout) -> Callable[[tf.Tensor], Batch]:
    """Makes the function that parses serialized records, string `[batch]`.

    Raises:
        tf.errors.InvalidArgumentError: In the graph, where a record is not of the layout.
    """
    description = feature_description(layout)

    def parsed(serialized: tf.Tensor) -> Batch:
        columns = tf.io.parse_example(serialized, description)
        texts = {task: columns[_text_name(task)] for task in layout.spec.generation}
        texts |= {name: columns[name] for name in (SURFACES,) if name in columns}
        inputs, labels = model_inputs(columns, layout), labels_of(columns, layout)
        return Batch(inputs, labels, columns["id"], texts)

    return parsed


def model_inputs(features: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
    """Turns what the feature graph gives, or a parsed record holds, into what the model takes.

    Args:
        features: `image` string `[batch]`, the bytes of uint8 `[size, size, 3]`, or encoded
            float32 `[batch, width]`; `audio` float32 `[batch, frames, mel_bins]`; `text` and
            `marker_<task>` int64 `[batch, length]`; `units_<task>` int64 `[batch, 2 * length]`;
            `<modality>_present` int64 `[batch]`. Others are left out.
        layout: Names and sizes.

    Returns:
        See `Batch.features`.
    """
    sections = layout.spec.modalities
    inputs = {}
    if layout.image_width:
        inputs["image"] = tf.ensure_shape(features["image"], [None, layout.image_width])
    elif sections.image is not None:
        size = sections.image.size
        pixels = tf.io.decode_raw(features["image"], tf.uint8)
        # Bytes of another picture size would otherwise pass as another number of rows.
        pixels = tf.ensure_shape(pixels, [None, 3 * size**2])
        inputs["image"] = tf.reshape(pixels, [-1, size, size, 3])
    if sections.audio is not None:
        shape = [None, sections.audio.frames, sections.audio.mel_bins]
        inputs["audio"] = tf.ensure_shape(features["audio"], shape)
    if sections.text is not None:
        for name in ("text", *_markers(layout)):
            inputs[name] = tf.ensure_shape(features[name], [None, sections.text.length])
        if sections.text.spelling:
            parts = [None, sections.text.length, PARTS]
            inputs[SPELLING] = tf.ensure_shape(features[SPELLING], parts)
        for task in layout.spec.generation:
            units = tf.ensure_shape(features[f"units_{task}"], [None, 2 * sections.text.length])
            inputs[f"units_{task}"] = numbered(units, task, layout)
    for name in sections.names:
        inputs[f"{name}_present"] = tf.cast(features[f"{name}_present"], tf.bool)
    return inputs


def train_dataset(
    files: Sequence[str],
    layout: Layout,
    batch_size: int,
    seed: int,
    epoch: int,
    resident: tf.Tensor | None = None,
    shuffle_bytes: int = SHUFFLE_BYTES,
    copies: Copies | None = None,
) -> tf.data.Dataset:
    """Gives every record once, or as often as `copies` say.

    The order is one that only `files`, `seed`, `epoch` and `copies` decide.

    Where the split is in memory it is shuffled as a whole. Otherwise the files are shuffled, read
    side by side, and shuffled within blocks of half of `shuffle_bytes`.

    Args:
        files: TFRecord files, gzip; their own order does not matter.
        layout: What they hold.
        batch_size: Rows of every batch; the last one is filled up with rows that hold nothing.
        seed: Of the training.
        epoch: From 1 on.
        resident: The records of the same files, string `[records]`; None reads them anew.
        shuffle_bytes: See above.
        copies: How often each record comes; None is once.

    Returns:
        A dataset of `Batch`.
    """
    random = np.random.default_rng([seed, epoch])
    if resident is not None:
        chosen = np.arange(resident.shape[0])
        if copies is not None:
            chosen = np.repeat(chosen, copies.times)
        order = tf.data.Dataset.from_tensor_slices(random.permutation(chosen))
        records = order.batch(batch_size).map(lambda rows: tf.gather(resident, rows))
        return _batches(records, layout, batch_size)
    shuffled = [sorted(files)[place] for place in random.permutation(len(files))]
    block = max(shuffle_bytes // (2 * layout.record_bytes), batch_size)
    block_seed = int(random.integers(2**31))

    def shuffle(index: tf.Tensor, records: tf.Tensor) -> tf.Tensor:
        # Dataset.shuffle would mix TensorFlow's global seed into the order.
        return tf.random.experimental.stateless_shuffle(records, [block_seed, index])

    records = records_of(shuffled) if copies is None else repeated(shuffled, sorted(files), copies)
    blocks = records.batch(block).enumerate().map(shuffle).prefetch(1)
    return _batches(blocks.rebatch(batch_size), layout, batch_size)


def eval_dataset(
    files: Sequence[str], layout: Layout, batch_size: int, resident: tf.Tensor | None = None
) -> tf.data.Dataset:
    """Gives every record once, in an order that only `files` decides; see `train_dataset`."""
    if resident is not None:
        records = tf.data.Dataset.from_tensor_slices(resident)
    else:
        records = records_of(sorted(files))
    return _batches(records.batch(batch_size), layout, batch_size)


def pad_batch(batch: Batch, batch_size: int) -> Batch:
    """Fills a batch up to `batch_size` rows that hold no modality, no label and no id."""

    def rows(values: tf.Tensor) -> tf.Tensor:
        return tf.concat([[batch_size - tf.shape(values)[0]], tf.shape(values)[1:]], axis=0)

    def joined(values: tf.Tensor, filler: tf.Tensor) -> tf.Tensor:
        whole = tf.concat([values, filler], axis=0)
        return tf.ensure_shape(whole, [batch_size, *values.shape[1:]])

    def empty(values: tf.Tensor) -> tf.Tensor:
        return joined(values, tf.zeros(rows(values), values.dtype))

    def missing(values: tf.Tensor) -> tf.Tensor:
        return joined(values, tf.fill(rows(values), tf.cast(MISSING_LABEL, values.dtype)))

    features = {name: empty(values) for name, values in batch.features.items()}
    labels = {name: missing(values) for name, values in batch.labels.items()}
    texts = {name: empty(values) for name, values in batch.texts.items()}
    return Batch(features, labels, empty(batch.ids), texts)


def _batches(records: tf.data.Dataset, layout: Layout, batch_size: int) -> tf.data.Dataset:
    parsed = parse(layout)
    batches = records.map(
        lambda serialized: pad_batch(parsed(serialized), batch_size),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(2)


def records_of(files: Sequence[str]) -> tf.data.Dataset:
    """The serialized records of TFRecord files, gzip."""
    return tf.data.TFRecordDataset(
        list(files), compression_type="GZIP", num_parallel_reads=max(1, min(4, len(files)))
    )


def _text_name(task: str) -> str:
    return f"label_{task}.{targets_texts.TEXT}"


def _units(layout: Layout) -> tuple[str, ...]:
    return tuple(f"units_{task}" for task in layout.spec.generation)


def _markers(layout: Layout) -> tuple[str, ...]:
    return tuple(f"marker_{task}" for task in layout.spec.markers)
