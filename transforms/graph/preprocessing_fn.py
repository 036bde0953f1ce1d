"""The tf.Transform graph: canonical bytes and labels in, features out."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers, MeasuredAnalyzers
from triad_ml.transforms.features.word_shapes import SPELLING, spelling_graph
from triad_ml.transforms.features.words import words_graph
from triad_ml.transforms.media import audio
from triad_ml.transforms.mixtures import DATASET_FEATURE
from triad_ml.transforms.spec.spec import FIRST_TOKEN, PAD, AudioSpec, ImageSpec, Spec, TextSpec
from triad_ml.transforms.targets import spans, texts
from triad_ml.transforms.targets.spans import Words
from triad_ml.transforms.targets.texts import Source

TEXT_VOCABULARY = "text_vocabulary"

Tensors = dict[str, tf.Tensor]


def raw_feature_spec(spec: Spec) -> dict[str, tf.io.FixedLenFeature | tf.io.VarLenFeature]:
    """What the graph takes: `id`, canonical media, markers, and what labels each task was given.

    Places are canonical characters: of marked ones the first and the one behind the last.
    """
    one_string = tf.io.FixedLenFeature([], tf.string)
    features: dict[str, tf.io.FixedLenFeature | tf.io.VarLenFeature] = {"id": one_string}
    features |= dict.fromkeys(spec.modalities.names, one_string)
    if spec.mixture is not None:
        features[DATASET_FEATURE] = one_string
    for name, task in spec.tasks.items():
        features[f"label_{name}"] = tf.io.VarLenFeature(tf.string)
        features[f"label_{name}_given"] = tf.io.FixedLenFeature([], tf.int64)
        if task.kind == "tagging":
            for part in ("start", "end"):
                features[f"label_{name}.{part}"] = tf.io.VarLenFeature(tf.int64)
        if task.marker:
            features[f"marker_{name}"] = tf.io.FixedLenFeature([2], tf.int64)
    return features


def preprocessing_fn(
    spec: Spec, analyzers: Analyzers | None = None
) -> Callable[[Tensors], Tensors]:
    """Makes the function that tf.Transform traces.

    Its inputs are batches of `raw_feature_spec(spec)`. Its outputs:
        id: string `[batch]`, and with a mixture `DATASET_FEATURE`, the name of the data set.
        image: string `[batch]`, the bytes of uint8 `[size, size, 3]`, row by row; zeros if missing.
            Where the spec has preprocessing run an encoder, float32 `[batch, width]`, its vectors.
        audio: float32 `[batch, frames, mel_bins]`, z-scored per bin; zeros if missing.
        text: int64 `[batch, length]`, token ids; `PAD` if missing.
        text_spelling: int64 `[batch, length, parts]`, where the spec wants it; see
            `spelling.spelling_graph`.
        text_start, text_end: int64 `[batch, length]`, where some task is tagging: each token's
            first and behind-the-last character; 0 where there is no token.
        <modality>_present: int64 `[batch]`, 0 or 1.
        marker_<task>: int64 `[batch, length]`, 1 at the tokens that are marked.
        label_<task>: int64 `[batch]`, the class, `MISSING_LABEL`, or the number of classes where
            the training split never had it. Of a multi-label task a sparse set of classes, or
            `MISSING_LABEL` alone. Of a tagging task int64 `[batch, length]`; see
            `label_graphs.tags_graph`, also for the counts `label_<task>.<count>`. Of a generation
            task int64 `[batch, length of the task]`; see `target_graphs.units_graph`.
        text_surface: string `[batch, length]`, where some task is generation: the tokens as the
            text has them; empty where there is none.
        units_<task>, label_<task>.text: of a generation task; see `target_graphs.target_graph`.

    Args:
        spec: Names and sizes.
        analyzers: What needs a pass over the training split; measured by tf.Transform if None.
    """
    known = analyzers or MeasuredAnalyzers()

    def transform(inputs: Mapping[str, tf.Tensor]) -> Tensors:
        outputs: Tensors = {"id": inputs["id"]}
        if spec.mixture is not None:
            outputs[DATASET_FEATURE] = inputs[DATASET_FEATURE]
        sections = spec.modalities
        if sections.image is not None:
            outputs["image"] = image_graph(inputs["image"], sections.image)
        if sections.image is not None and spec.model.encodes_first:
            from triad_ml.transforms.encoders import image  # Keras is not needed without

            there = _present(inputs["image"])
            outputs["image"] = image.vectors_graph(outputs["image"], there, spec)
        if sections.audio is not None:
            outputs["audio"] = audio_graph(inputs["audio"], sections.audio, known)
        words, source = None, None
        if sections.text is not None and (spec.tagging or spec.generation):
            outputs["text"], words = placed_text_graph(inputs["text"], sections.text, known)
        elif sections.text is not None:
            outputs["text"] = text_graph(inputs["text"], sections.text, known)
        if words is not None and spec.tagging:
            outputs |= {"text_start": words.starts, "text_end": words.ends}
        if sections.text is not None and sections.text.spelling:
            whole, length = _tokens(inputs["text"], sections.text)[0], sections.text.length
            outputs[SPELLING] = spelling_graph(whole, length, sections.text.spelling)
        if sections.text is not None and spec.generation:
            source = source_of(inputs["text"], sections.text)
            outputs["text_surface"] = source.words.to_tensor("", shape=[None, source.length])
        for name in sections.names:
            outputs[f"{name}_present"] = tf.cast(_present(inputs[name]), tf.int64)
        for name in spec.markers:
            assert words is not None  # the spec has a tagging task
            outputs[f"marker_{name}"] = spans.marker_graph(inputs[f"marker_{name}"], words)
        for name in spec.generation:
            outputs |= texts.target_graph(inputs, name, spec.tasks[name], source, known)
        return outputs | spans.labels_graph(inputs, spec, words, known)

    return transform


def image_graph(content: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Decodes and resizes canonical pictures.

    Areas are averaged where a picture shrinks, which costs a tenth of an antialiased resize.

    Args:
        content: JPEG or PNG, string `[batch]`; empty where missing.
        spec: Size and fit.

    Returns:
        The bytes of uint8 `[size, size, 3]`, row by row, string `[batch]`; zeros where missing.
    """
    size = spec.size
    num_bytes = size * size * 3

    def decode(one: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_jpeg(one, channels=3)  # this op reads PNG as well
        height, width = tf.unstack(tf.shape(picture)[:2])
        target = _fitted(height, width, size) if spec.fit == "pad" else (size, size)
        shrinks = tf.maximum(height, width) > size
        resized = tf.cond(
            shrinks,
            lambda: tf.image.resize(picture, target, method="area"),
            lambda: tf.image.resize(picture, target, method="bilinear"),
        )
        pixels = tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
        framed = tf.reshape(_framed(pixels, size), [size, size, 3])
        return tf.strings.substr(tf.io.serialize_tensor(framed), -num_bytes, num_bytes)

    missing = tf.constant(bytes(num_bytes))
    return tf.map_fn(
        lambda one: tf.cond(tf.equal(one, b""), lambda: missing, lambda: decode(one)),
        content,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )


def _fitted(height: tf.Tensor, width: tf.Tensor, size: int) -> tf.Tensor:
    """Height and width of the largest picture of the same shape that fits into a square."""
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    scaled = tf.round(sides * tf.cast(size, tf.float64) / tf.reduce_max(sides))
    return tf.cast(tf.clip_by_value(scaled, 1, size), tf.int32)


def _framed(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Centres a picture on a white square."""
    spare = size - tf.shape(pixels)[:2]
    before = spare // 2
    margins = tf.concat([tf.stack([before, spare - before], axis=1), [[0, 0]]], axis=0)
    return tf.pad(pixels, margins, constant_values=255)


def audio_graph(content: tf.Tensor, spec: AudioSpec, analyzers: Analyzers) -> tf.Tensor:
    """Turns canonical sounds into log-mel frames, z-scored per bin over frames that hold sound.

    Args:
        content: Canonical WAV, string `[batch]`; empty where missing.
        spec: Rate, duration and bins.
        analyzers: Gives the moments.

    Returns:
        float32 `[batch, frames, mel_bins]`; zeros, which is the mean, where there is no sound.

    Raises:
        tf.errors.InvalidArgumentError: In the graph, where a header is not the canonical one.
    """
    signal, num_samples = _samples(content, spec)
    log_mel = log_mel_graph(signal, spec)
    whole = (num_samples - spec.frame_length) // spec.frame_step + 1
    num_frames = tf.where(num_samples > 0, tf.maximum(whole, 1), 0)
    sounding = tf.sequence_mask(num_frames, spec.frames)
    mean, deviation = analyzers.moments(tf.boolean_mask(log_mel, sounding), "audio")
    # In double precision: the last bit of a float's reciprocal depends on whether TensorFlow folds
    # it beforehand or computes it in vectors, and features must not.
    inverse = tf.cast(1.0 / tf.cast(tf.maximum(deviation, 0.1), tf.float64), tf.float32)
    return tf.where(sounding[:, :, tf.newaxis], (log_mel - mean) * inverse, 0.0)


def log_mel_graph(signal: tf.Tensor, spec: AudioSpec) -> tf.Tensor:
    """Log-mel magnitudes of float32 `[batch, samples]` as float32 `[batch, frames, mel_bins]`.

    Hann windows of 25 ms every 10 ms; triangular bands from 20 Hz to half the rate on HTK's mel
    scale (tf.signal); natural logarithm of at least 1e-5.
    """
    spectra = tf.abs(tf.signal.stft(signal, spec.frame_length, spec.frame_step))
    bands = tf.signal.linear_to_mel_weight_matrix(
        spec.mel_bins, spectra.shape[-1], spec.sample_rate, 20.0, spec.sample_rate / 2
    )
    return tf.math.log(tf.maximum(tf.matmul(spectra, bands), 1e-5))


def _samples(content: tf.Tensor, spec: AudioSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """float32 `[batch, samples]` in [-1, 1), zero-padded, and int32 `[batch]` counts.

    The header is compared, not parsed: a sound in any other form must never pass for samples.
    """
    size = tf.strings.length(content)
    header = np.frombuffer(audio.header(spec.sample_rate, 0), np.uint8).astype(np.int32)
    sizes = np.isin(np.arange(audio.HEADER_BYTES), [4, 5, 6, 7, 40, 41, 42, 43])
    found = tf.cast(tf.io.decode_raw(content, tf.uint8, fixed_length=audio.HEADER_BYTES), tf.int32)
    same = tf.reduce_all(tf.equal(found, header) | sizes, axis=1)
    whole, declared = (
        tf.tensordot(found[:, place : place + 4], [1, 2**8, 2**16, 2**24], 1) for place in (4, 40)
    )
    there = size - audio.HEADER_BYTES
    fits = same & tf.equal(whole, size - 8) & tf.equal(declared, there)
    fits = fits & (there > 0) & tf.equal(there % 2, 0)
    checked = tf.debugging.Assert(
        tf.reduce_all(fits | tf.equal(size, 0)), ["audio: not a canonical WAV"], summarize=1
    )
    with tf.control_dependencies([checked] if checked is not None else []):
        content = tf.identity(content)
    words = tf.io.decode_raw(content, tf.int16, fixed_length=audio.HEADER_BYTES + 2 * spec.samples)
    signal = tf.cast(words[:, audio.HEADER_BYTES // 2 :], tf.float32) / 32768.0
    signal = tf.ensure_shape(signal, [None, spec.samples])
    return signal, tf.clip_by_value((size - audio.HEADER_BYTES) // 2, 0, spec.samples)


def text_graph(content: tf.Tensor, spec: TextSpec, analyzers: Analyzers) -> tf.Tensor:
    """Turns texts into token ids, int64 `[batch, length]`, padded with `PAD` and cut at the end.

    Case is folded to lower. Ids follow the frequency in the training split.

    Args:
        content: Canonical UTF-8, string `[batch]`; empty where missing.
        spec: Kind of tokens, vocabulary and length.
        analyzers: Gives the vocabulary.
    """
    lowered = tf.strings.lower(content, encoding="utf-8")
    if spec.tokens == "word":
        tokens = words_graph(lowered)[0]
    else:
        tokens = tf.strings.unicode_split(lowered, "UTF-8")
    return _token_ids(tokens, spec, analyzers)


def source_of(content: tf.Tensor, spec: TextSpec) -> Source:
    """The tokens that texts to be written may copy; see `text_graph`."""
    tokens, starts, ends = _tokens(content, spec)
    spaced = texts.spaced_graph(starts, ends)
    return Source(tokens[:, : spec.length], spaced[:, : spec.length], spec.length)


def placed_text_graph(
    content: tf.Tensor, spec: TextSpec, analyzers: Analyzers
) -> tuple[tf.Tensor, Words]:
    """Does what `text_graph` does, and says where the tokens stand.

    Lower case may have more characters than what it is made of, so each token is folded for itself.
    """
    tokens, starts, ends = _tokens(content, spec)
    lowered = tf.strings.lower(tokens.flat_values, encoding="utf-8")
    ids = _token_ids(tokens.with_flat_values(lowered), spec, analyzers)
    return ids, spans.words_of(starts, ends, spec.length)


def _tokens(
    content: tf.Tensor, spec: TextSpec
) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Tokens as they are, and their first and behind-the-last characters."""
    if spec.tokens == "word":
        return words_graph(content)
    tokens = tf.strings.unicode_split(content, "UTF-8")
    starts = tf.ragged.range(tokens.row_lengths())
    return tokens, starts, starts + 1


def _token_ids(tokens: tf.RaggedTensor, spec: TextSpec, analyzers: Analyzers) -> tf.Tensor:
    known = analyzers.vocabulary_ids(
        tokens.flat_values, TEXT_VOCABULARY, top_k=spec.vocabulary, unseen="minus_one"
    )
    ids = tokens.with_flat_values(known + FIRST_TOKEN)
    return ids.to_tensor(default_value=PAD, shape=[None, spec.length])


def _present(content: tf.Tensor) -> tf.Tensor:
    return tf.not_equal(content, b"")
