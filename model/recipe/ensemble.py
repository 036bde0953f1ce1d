"""The mean of several networks as one Keras model with the seam of a network."""

from collections.abc import Sequence

import keras
from keras import ops

from triad_ml.model import network
from triad_ml.model.layout import Layout
from triad_ml.model.network import Cut, Networks
from triad_ml.model.recipe.mixing import MIXES
from triad_ml.model.tasks.heads import heads_of

Tensors = dict[str, keras.KerasTensor]


def averaged(layout: Layout, members: Sequence[Networks]) -> Networks:
    """Builds the model whose prediction is the mean of those of several networks.

    Probabilities and numbers are averaged. Tasks of other kinds, such as tagging, are those of the
    last network alone.

    Args:
        layout: Layout of the files.
        members: Networks of equal inputs, at least one.

    Returns:
        The model, with the weights of all, and the seam where it can be cut; it has no auxiliary
        outputs. Its encoders are those of the last network.
    """
    tasks = layout.spec.tasks
    read = network.inputs_of_heads(heads_of(layout.spec, layout.classes))
    inputs = network.inputs_of(layout) | read
    present = [inputs[f"{name}_present"] for name in layout.spec.modalities.names]
    visible = ops.stack(present, axis=-1)
    passed: Tensors = {}
    steps: dict[str, tuple[str, ...]] = {}
    found: list[Tensors] = []
    for number, one in enumerate(members):
        own, rest = _halves(one, number)
        made = own(inputs)
        seen = {f"{number}/{name}": made[name] for name in one.cut.passed}
        found.append(dict(rest([*seen.values(), visible])))
        passed |= seen
        for name, keys in one.cut.steps.items():
            steps[name] = (*steps.get(name, ()), *(f"{number}/{key}" for key in keys))
    outputs = dict(found[-1])
    for task, section in tasks.items():
        kind = MIXES.get(section.kind)
        if kind is not None:
            mix = kind(section, task)
            outputs[task] = found[0][task]
            for number, other in enumerate(found[1:], start=1):
                outputs[task] = mix.blended(outputs[task], other[task], 1 / (number + 1))
    scoring = keras.Model(inputs, outputs, name="triad_ensemble")
    return Networks(scoring, scoring, Cut(passed, visible, steps), members[-1].encoders)


def _halves(one: Networks, number: int) -> tuple[keras.Model, keras.Model]:
    """Cuts a network in two behind its towers.

    Both halves have names of their own, so that layers of equal names may be in one model.
    """
    towers = keras.Model(one.scoring.input, dict(one.cut.passed), name=f"towers_{number}")
    seam = [*one.cut.passed.values(), one.cut.visible]
    rest = keras.Model(seam, dict(one.scoring.output), name=f"rest_{number}")
    rest.input_spec = None  # a modality that no row uses has 0 steps
    return towers, rest
