"""The fused network: towers, learned stand-ins for what is missing, fusion and heads."""

from typing import NamedTuple

import keras
from keras import ops

from triad_ml.model.fusion import attention, late, registry
from triad_ml.model.fusion.attention import Tokens
from triad_ml.model.fusion.missing import MissingEmbedding, ModalityDropout
from triad_ml.model.layout import Layout
from triad_ml.model.tasks import task_weights
from triad_ml.model.tasks.base import Fused
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers import convolutional, ngrams, pretrained
from triad_ml.model.towers import text as towers_text
from triad_ml.transforms.features.word_shapes import PARTS, SPELLING

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
    encoder = pretrained.trainable_encoder(layout.spec)
    if spec.fusion == "sum":
        outputs, alone = late.logits(layout, inputs, _used(inputs, layout), encoder, _embedding)
        return _networks(layout, inputs, outputs, alone, encoder)
    words = _words(inputs, layout) if "text" in names else None
    seen = {name: _tower(name, inputs, words, layout, encoder) for name in names}
    embeddings = {name: one.embedding for name, one in seen.items()}
    used = _used(inputs, layout)
    filled = [
        MissingEmbedding(name=f"{name}_or_missing")(embeddings[name], used[:, place])
        for place, name in enumerate(names)
    ]
    joint = registry.join(spec, filled, used, [seen[name].sequence for name in names])
    fused = Fused(joint, words, embeddings, used, inputs, registry.hidden_units(spec))
    outputs, alone = {}, {}
    for task, head in heads_of(layout.spec, layout.classes).items():
        built = head.build(fused)
        outputs[task] = built.output
        alone |= {f"{task}@{name}": own for name, own in built.alone.items()}
    return _networks(layout, inputs, outputs, alone, encoder)


def _networks(
    layout: Layout,
    inputs: Tensors,
    outputs: Tensors,
    alone: Tensors,
    encoder: keras.Model | None,
) -> Networks:
    if layout.spec.training.task_weights == "uncertainty":
        layer = task_weights.LogVariances(len(layout.spec.tasks), name=task_weights.LAYER)
        alone[task_weights.OUTPUT] = layer(next(iter(outputs.values())))
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
    for name in sections.names:
        inputs[f"{name}_present"] = keras.Input((), dtype="bool", name=f"{name}_present")
    for head in heads_of(layout.spec, layout.classes).values():
        inputs |= head.network_inputs()
    return inputs


def _used(inputs: Tensors, layout: Layout) -> keras.KerasTensor:
    """Which modalities are there and not hidden, bool `[batch, modalities]`."""
    present = [inputs[f"{name}_present"] for name in layout.spec.modalities.names]
    dropout = ModalityDropout(layout.spec.model.modality_dropout, name="modality_dropout")
    return dropout(ops.stack(present, axis=-1))


def _words(inputs: Tensors, layout: Layout) -> Words:
    text, size = layout.spec.modalities.text, layout.vocabulary_size
    spelled = (inputs[SPELLING], text.spelling) if text is not None and text.spelling else None
    given = inputs["text"], inputs["text_present"]
    return towers_text.text_sequence(*given, layout.spec.model, size, spelled)


def _embedding(
    name: str, inputs: Tensors, layout: Layout, encoder: keras.Model | None
) -> keras.KerasTensor:
    words = _words(inputs, layout) if name == "text" else None
    return _tower(name, inputs, words, layout, encoder).embedding


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
        return _Seen(towers_text.text_embedding(*words, spec), sequence)
    if name == "image" and layout.image_width:
        return _Seen(pretrained.vector_tower(features, present, spec))
    if name == "image" and encoder is not None:
        return _Seen(pretrained.encoder_tower(features, encoder, spec))
    maps_of, tokens_of = {
        "image": (convolutional.image_maps, attention.patch_tokens),
        "audio": (convolutional.audio_maps, attention.moment_tokens),
    }[name]
    maps = maps_of(features, present, spec)
    return _Seen(
        convolutional.map_embedding(maps, spec, name), tokens_of(maps) if attends else None
    )
