"""The fused network: towers, learned stand-ins for what is missing, fusion and heads."""

from typing import NamedTuple

import keras
from keras import ops

from triad_ml.model.fusion import late
from triad_ml.model.fusion.missing import MissingEmbedding, ModalityDropout
from triad_ml.model.fusion.registry import FUSIONS
from triad_ml.model.layout import Layout
from triad_ml.model.tasks import task_weights
from triad_ml.model.tasks.base import Fused
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers.base import Parts
from triad_ml.model.towers.registry import TOWERS

Tensors = dict[str, keras.KerasTensor]


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
    encoders = {name: TOWERS[name].encoder(layout) for name in names}
    encoder = next((one for one in encoders.values() if one is not None), None)
    fusion = FUSIONS[spec.fusion]
    if fusion.join is None:
        outputs, alone = late.logits(layout, inputs, _used(inputs, layout), encoders)
        return _networks(layout, inputs, outputs, alone, encoder)
    parts = {name: Parts(encoders[name], TOWERS[name].words(inputs, layout)) for name in names}
    words = next((one.words for one in parts.values() if one.words is not None), None)
    seen = {
        name: TOWERS[name].build(inputs, layout, parts[name], fusion.looks_at_steps)
        for name in names
    }
    embeddings = {name: one.embedding for name, one in seen.items()}
    used = _used(inputs, layout)
    filled = [
        MissingEmbedding(name=f"{name}_or_missing")(embeddings[name], used[:, place])
        for place, name in enumerate(names)
    ]
    joint = fusion.join(spec, filled, used, [seen[name].steps for name in names])
    fused = Fused(joint, words, embeddings, used, inputs, fusion.hidden_units(spec))
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
    inputs: Tensors = {}
    for name in sections.names:
        inputs |= TOWERS[name].inputs(layout)
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
