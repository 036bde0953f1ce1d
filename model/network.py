"""The fused network: towers, learned embeddings for missing modalities, fusion and heads."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import keras
from keras import ops

from triad_ml.model.fusion import late
from triad_ml.model.fusion.missing import MissingEmbedding, ModalityDropout
from triad_ml.model.fusion.registry import FUSIONS, Fusion, Join
from triad_ml.model.layout import Layout
from triad_ml.model.tasks import task_fusion, task_weights
from triad_ml.model.tasks.base import Fused, TaskHead
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers.base import Parts
from triad_ml.model.towers.registry import TOWERS

Tensors: TypeAlias = dict[str, keras.KerasTensor]
Encoders: TypeAlias = Mapping[str, keras.Layer | None]
Heads: TypeAlias = Mapping[str, TaskHead]


class Cut(NamedTuple):
    """The tensors between the towers and the rest of a network, where it can be cut in two.

    Attributes:
        passed: All that the rest reads of the towers, by name; none depends on `visible`.
        visible: Mask of the modalities that the rest uses, bool `[batch, modalities]`.
        steps: By modality, the names of the tensors in `passed` that hold the steps of its tower,
            `[batch, steps, ...]`. The rest accepts 0 steps of a modality that no row uses.
    """

    passed: Mapping[str, keras.KerasTensor]
    visible: keras.KerasTensor
    steps: Mapping[str, Sequence[str]]


class Networks(NamedTuple):
    """Two models that share every layer.

    Attributes:
        scoring: The model that is exported; see `build`.
        training: The same model with more outputs. Where the spec names several modalities, they
            are, for each task and modality, the logits that this modality alone gives, as
            `<task>@<modality>`; with learned task weights also `task_weights.OUTPUT`.
        cut: The seam between the towers of `scoring` and the rest.
        encoders: By modality, the pretrained parts of both, which training freezes or fine-tunes.
    """

    scoring: keras.Model
    training: keras.Model
    cut: Cut
    encoders: Mapping[str, keras.Layer] = {}


def build(layout: Layout) -> keras.Model:
    """Builds the network that scores.

    Its inputs are a dict named as the features of `batches.Batch`; its outputs a dict of logits,
    float32 `[batch, classes]`, by task; see `crf.unpack` for a tagging task and
    `decoder.Memory.states` for a generation task. A row's outputs depend on that row alone, and not
    on the contents of its missing modalities.
    """
    return build_networks(layout).scoring


def build_networks(layout: Layout) -> Networks:
    """Builds the network that scores together with the one that is trained."""
    names = layout.spec.modalities.names
    heads = heads_of(layout.spec, layout.classes)
    inputs, read = inputs_of(layout), inputs_of_heads(heads)
    encoders = {name: TOWERS[name].encoder(layout) for name in names}
    fusion = FUSIONS[layout.spec.model.fusion]
    if fusion.join is None:
        outputs, alone, cut = _added(layout, inputs | read, encoders, heads)
    else:
        outputs, alone, cut = _joined(layout, inputs | read, encoders, heads, fusion, fusion.join)
    extra = dict(alone) if len(names) > 1 else {}
    if layout.spec.training.task_weights == "uncertainty":
        layer = task_weights.LogVariances(len(layout.spec.tasks), name=task_weights.LAYER)
        extra[task_weights.OUTPUT] = layer(next(iter(outputs.values())))
    return Networks(
        keras.Model(inputs | read, outputs, name="triad"),
        keras.Model(inputs | read, {**outputs, **extra}, name="triad_training"),
        cut._replace(passed={**cut.passed, **alone, **read}),
        {name: one for name, one in encoders.items() if one is not None},
    )


def _added(
    layout: Layout, inputs: Tensors, encoders: Encoders, heads: Heads
) -> tuple[Tensors, Tensors, Cut]:
    """Builds towers and late fusion; returns what `_joined` does."""
    visible = _visible(inputs, layout)
    outputs, alone = late.logits(layout, inputs, visible, encoders)
    share = task_fusion.TASK_FUSIONS[layout.spec.model.task_fusion]
    if share is not None:  # late fusion is of classifications alone, which read no words
        outputs = task_fusion.joined(share, heads, outputs, None, layout.spec.model)
    return outputs, alone, Cut({}, visible, {})


def _joined(
    layout: Layout, inputs: Tensors, encoders: Encoders, heads: Heads, fusion: Fusion, join: Join
) -> tuple[Tensors, Tensors, Cut]:
    """Builds towers, fusion and heads.

    Returns:
        Outputs by task, outputs of each modality alone by `<task>@<modality>`, and the seam but for
        these and the inputs of heads.
    """
    spec, names = layout.spec.model, layout.spec.modalities.names
    parts = {name: TOWERS[name].parts(inputs, layout, encoders[name]) for name in names}
    words = next((one.words for one in parts.values() if one.words is not None), None)
    seen = {
        name: TOWERS[name].build(inputs, layout, parts[name], fusion.looks_at_steps)
        for name in names
    }
    embeddings = {name: one.embedding for name, one in seen.items()}
    visible = _visible(inputs, layout)
    filled = [
        MissingEmbedding(name=f"{name}_or_missing")(embeddings[name], visible[:, place])
        for place, name in enumerate(names)
    ]
    joint = join(spec, filled, visible, [seen[name].steps for name in names])
    fused = Fused(joint, words, embeddings, visible, inputs, fusion.hidden_units(spec))
    outputs: Tensors = {}
    alone: Tensors = {}
    for task, head in heads.items():
        built = head.build(fused)
        outputs[task] = built.output
        alone |= {f"{task}@{name}": own for name, own in built.alone.items()}
    share = task_fusion.TASK_FUSIONS[spec.task_fusion]
    if share is not None:
        known = _usable(parts, names, visible)
        outputs = task_fusion.joined(share, heads, outputs, known, spec)
    passed = {f"{name}/embedding": one for name, one in embeddings.items()}
    if words is not None:
        passed |= {f"words/{part}": tensor for part, tensor in words._asdict().items()}
    steps: dict[str, tuple[str, ...]] = {}
    for name, one in seen.items():
        if one.steps is not None:
            own = {f"{name}/{part}": tensor for part, tensor in one.steps._asdict().items()}
            passed |= own
            steps[name] = tuple(own)
    return outputs, alone, Cut(passed, visible, steps)


def _usable(
    parts: Mapping[str, Parts], names: Sequence[str], visible: keras.KerasTensor
) -> keras.KerasTensor | None:
    """Builds the mask of the words in visible texts, `[batch, length]`; None without texts."""
    for place, name in enumerate(names):
        words = parts[name].words
        if words is not None:
            return ops.logical_and(words.known, visible[:, place : place + 1])
    return None


def inputs_of(layout: Layout) -> Tensors:
    """Creates the inputs of the modalities' towers, and one for the presence of each modality."""
    names = layout.spec.modalities.names
    inputs: Tensors = {}
    for name in names:
        inputs |= TOWERS[name].inputs(layout)
    for name in names:
        inputs[f"{name}_present"] = keras.Input((), dtype="bool", name=f"{name}_present")
    return inputs


def inputs_of_heads(heads: Heads) -> Tensors:
    """Creates the inputs that only heads read."""
    return {name: one for head in heads.values() for name, one in head.network_inputs().items()}


def _visible(inputs: Tensors, layout: Layout) -> keras.KerasTensor:
    """Builds the mask of the modalities that are present and not hidden, `[batch, modalities]`."""
    present = [inputs[f"{name}_present"] for name in layout.spec.modalities.names]
    dropout = ModalityDropout(layout.spec.model.modality_dropout, name="modality_dropout")
    return dropout(ops.stack(present, axis=-1))
