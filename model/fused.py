"""The fused network: towers, learned stand-ins for what is missing, fusion and heads."""

from typing import NamedTuple

import keras
from keras import ops

from model import (
    attention,
    encoded,
    fusions,
    generation,
    heads,
    ngrams,
    tagging,
    towers,
    uncertainty,
)
from model.attention import Tokens
from model.data import Layout
from model.fusion import MissingEmbedding, ModalityDropout
from transforms.spelling import PARTS, SPELLING

Tensors = dict[str, keras.KerasTensor]
Words = tuple[keras.KerasTensor, keras.KerasTensor]
"""What the text tower says of each word, and which words are there."""


class Networks(NamedTuple):
    """Two models that share every layer.

    Attributes:
        scoring: What is exported; see `build`.
        training: Its outputs and, where the spec names several modalities, for each task and
            modality the logits that this modality alone gives, as `<task>@<modality>`. Where the
            spec wants it, `uncertainty.OUTPUT` beside them.
        encoder: The pretrained part of both, if any, which training freezes or fine-tunes.
    """

    scoring: keras.Model
    training: keras.Model
    encoder: keras.Model | None = None


def build(layout: Layout) -> keras.Model:
    """Builds the network that scores.

    Its inputs are a dict named as the features of `data.Batch`; its outputs a dict of logits,
    float32 `[batch, classes]`, by task; of a tagging task see `crf.unpack`, of a
    generation task `decoder.Memory.states`. A row's outputs depend
    on that row alone, and not on what its missing modalities hold.
    """
    return build_networks(layout).scoring


def build_networks(layout: Layout) -> Networks:
    """Builds the network that scores together with the one that is trained."""
    spec = layout.spec.model
    inputs = _inputs(layout)
    names = layout.spec.modalities.names
    present = {name: inputs[f"{name}_present"] for name in names}
    words: Words | None = None
    if "text" in names:
        words = _words(inputs, layout)
    encoder = encoded.trainable_encoder(layout.spec)
    seen = {name: _tower(name, inputs, words, layout, encoder) for name in names}
    embeddings = {name: one.embedding for name, one in seen.items()}
    used = ModalityDropout(spec.modality_dropout, name="modality_dropout")(
        ops.stack([present[name] for name in names], axis=-1)
    )
    filled = [
        MissingEmbedding(name=f"{name}_or_missing")(embeddings[name], used[:, place])
        for place, name in enumerate(names)
    ]
    joint = fusions.join(spec, filled, used, [seen[name].sequence for name in names])
    outputs: Tensors = {}
    alone: Tensors = {}
    for task, classes in ((task, layout.classes[task]) for task in layout.spec.tasks):
        size, settings = len(classes), layout.spec.tasks[task]
        if settings.kind == "generation":
            name = generation.head_name(task)
            outputs[task] = generation.head(words, joint, settings, classes, spec, name)
            continue
        if settings.kind == "tagging":
            assert words is not None  # the spec has texts where it has a tagging task
            marker = inputs.get(f"marker_{task}")
            outputs[task] = tagging.head(*words, joint, marker, size, spec, f"head_{task}")
            continue
        hidden = fusions.hidden_units(spec)
        logits = heads.classification(joint, size, spec.dropout, f"head_{task}", hidden)
        for place, name in enumerate(names if len(names) > 1 else ()):
            own = heads.classification(
                embeddings[name], size, spec.dropout, f"auxiliary_{name}_{task}"
            )
            alone[f"{task}@{name}"] = own
            # What a modality says for itself counts too: fusion begins as good as their sum.
            logits = logits + own * ops.cast(used[:, place : place + 1], "float32")
        outputs[task] = logits
    if layout.spec.training.task_weights == "uncertainty":
        layer = uncertainty.LogVariances(len(layout.spec.tasks), name=uncertainty.LAYER)
        alone[uncertainty.OUTPUT] = layer(joint)
    scoring = keras.Model(inputs, outputs, name="triad")
    training = keras.Model(inputs, {**outputs, **alone}, name="triad_training")
    return Networks(scoring, training, encoder)


def _inputs(layout: Layout) -> Tensors:
    sections = layout.spec.modalities
    inputs = {}
    if sections.image is not None:
        shape = (sections.image.size, sections.image.size, 3)
        inputs["image"] = keras.Input(shape, dtype="uint8", name="image")
    if layout.image_width:
        inputs["image"] = keras.Input((layout.image_width,), dtype="float32", name="image")
    if sections.audio is not None:
        frames = (sections.audio.frames, sections.audio.mel_bins)
        inputs["audio"] = keras.Input(frames, dtype="float32", name="audio")
    if sections.text is not None:
        inputs["text"] = keras.Input((sections.text.length,), dtype="int64", name="text")
        if sections.text.spelling:
            parts = (sections.text.length, PARTS)
            inputs[SPELLING] = keras.Input(parts, dtype="int64", name=SPELLING)
        for task in layout.spec.markers:
            name = f"marker_{task}"
            inputs[name] = keras.Input((sections.text.length,), dtype="int64", name=name)
        for task in layout.spec.generation:
            name = f"units_{task}"
            inputs[name] = keras.Input((2 * sections.text.length,), dtype="int64", name=name)
    for name in sections.names:
        inputs[f"{name}_present"] = keras.Input((), dtype="bool", name=f"{name}_present")
    return inputs


def _words(inputs: Tensors, layout: Layout) -> Words:
    text, size = layout.spec.modalities.text, layout.vocabulary_size
    spelled = (inputs[SPELLING], text.spelling) if text is not None and text.spelling else None
    given = inputs["text"], inputs["text_present"]
    return towers.text_sequence(*given, layout.spec.model, size, spelled)


class _Seen(NamedTuple):
    """What a tower says: an embedding, and where fusion looks at it, a sequence."""

    embedding: keras.KerasTensor
    sequence: Tokens | None = None


def _tower(
    name: str, inputs: Tensors, words: Words | None, layout: Layout, encoder: keras.Model | None
) -> _Seen:
    features, present, spec = inputs[name], inputs[f"{name}_present"], layout.spec.model
    attends = spec.fusion == "attention"
    if name == "text":
        assert words is not None
        sequence = attention.word_tokens(*words) if attends else None
        if spec.text_ngrams:
            return _Seen(ngrams.text_tower(features, present, words[0], spec), sequence)
        return _Seen(towers.text_embedding(*words, spec), sequence)
    if name == "image" and layout.image_width:
        return _Seen(encoded.vector_tower(features, present, spec))
    if name == "image" and encoder is not None:
        return _Seen(encoded.encoder_tower(features, encoder, spec))
    maps_of, tokens_of = {
        "image": (towers.image_maps, attention.patch_tokens),
        "audio": (towers.audio_maps, attention.moment_tokens),
    }[name]
    maps = maps_of(features, present, spec)
    return _Seen(towers.map_embedding(maps, spec, name), tokens_of(maps) if attends else None)
