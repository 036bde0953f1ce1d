"""The mean of several networks as one Keras model with the seam of a network."""

from collections.abc import Sequence

import keras

from triad_ml.model.layout import Layout
from triad_ml.model.network import Networks
from triad_ml.model.recipe.mixing import MIXES

Tensors = dict[str, keras.KerasTensor]


def averaged(layout: Layout, members: Sequence[Networks]) -> Networks:
    """Builds the model whose prediction is the mean of those of several networks.

    Probabilities and numbers are averaged. Tasks of other kinds, such as tagging, are those of the
    last network alone, whose layers keep their places and names.

    Args:
        layout: Layout of the files.
        members: Networks of equal inputs, at least one.

    Returns:
        The model, with the weights of all, and the seam where it can be cut; it has no auxiliary
        outputs. Its encoders are those of the last network.
    """
    *others, last = members
    inputs, cut = dict(last.scoring.input), last.cut
    passed = dict(cut.passed)
    steps = {name: tuple(keys) for name, keys in cut.steps.items()}
    found: list[Tensors] = []
    for number, one in enumerate(others):
        own, rest = _halves(one, number)
        made = own(inputs)
        seen = {f"{number}/{name}": made[name] for name in one.cut.passed}
        found.append(dict(rest([*seen.values(), cut.visible])))
        passed |= seen
        for name, keys in one.cut.steps.items():
            steps[name] = (*steps[name], *(f"{number}/{key}" for key in keys))
    outputs = dict(last.scoring.output)
    for task, section in layout.spec.tasks.items():
        kind = MIXES.get(section.kind)
        if kind is not None:
            mix = kind(section, task)
            for number, other in enumerate(found, start=1):
                outputs[task] = mix.blended(outputs[task], other[task], 1 / (number + 1))
    scoring = keras.Model(inputs, outputs, name="triad_ensemble")
    return Networks(scoring, scoring, cut._replace(passed=passed, steps=steps), last.encoders)


def _halves(one: Networks, number: int) -> tuple[keras.Model, keras.Model]:
    """Cuts a network in two behind its towers.

    Both halves have names of their own, so that layers of equal names may be in one model.
    """
    towers = keras.Model(one.scoring.input, dict(one.cut.passed), name=f"towers_{number}")
    seam = [*one.cut.passed.values(), one.cut.visible]
    rest = keras.Model(seam, dict(one.scoring.output), name=f"rest_{number}")
    rest.input_spec = None  # a modality that no row uses has 0 steps
    return towers, rest
