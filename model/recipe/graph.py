"""The network, linear models, or both as one Keras model with the seam of a network."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from triad_ml.model import network
from triad_ml.model.layout import Layout
from triad_ml.model.linear import subsets as linear_subsets
from triad_ml.model.linear.fit import Scaling
from triad_ml.model.linear.subsets import Subset, Subsets
from triad_ml.model.linear.views import VIEWS
from triad_ml.model.network import Cut, Networks
from triad_ml.model.recipe import layers
from triad_ml.model.recipe.mixing import MIXES
from triad_ml.model.tasks.heads import heads_of

Tensors = dict[str, keras.KerasTensor]


def combined(
    layout: Layout,
    networks: Networks | None,
    linear: Mapping[str, Subsets],
    shares: Mapping[str, float],
) -> Networks:
    """Builds the model that scores by networks and linear models.

    Args:
        layout: Layout of the files, with `grams`.
        networks: Networks of a training; None if no task uses one.
        linear: By task, its linear models.
        shares: By task, the weight of its linear models, over 0; tasks that it lacks are the
            network's alone.

    Returns:
        The model, with the weights of both, and the seam where it can be cut; it has no auxiliary
        outputs.
    """
    heads = heads_of(layout.spec, layout.classes)
    outputs: Tensors = {}
    if networks is None:
        read = network.inputs_of_heads(heads)
        inputs = network.inputs_of(layout) | read
        present = [inputs[f"{name}_present"] for name in layout.spec.modalities.names]
        cut = Cut(read, ops.stack(present, axis=-1), {})
    else:
        inputs = network.inputs_of(layout) | dict(networks.scoring.input)
        outputs, cut = dict(networks.scoring.output), networks.cut
    views = _scaled(inputs, [linear[task] for task in shares], layout)
    passed: Tensors = {}
    for task, share in shares.items():
        terms = _terms(linear[task], views, task, layout)
        passed |= {f"linear/{task}/{name}": one for name, one in terms.items()}
        mix = MIXES[layout.spec.tasks[task].kind](layout.spec.tasks[task], task)
        found = mix.output(_summed(linear[task], terms, cut.visible, task), inputs)
        outputs[task] = found if share == 1 else mix.blended(outputs[task], found, share)
    scoring = keras.Model(inputs, {task: outputs[task] for task in heads}, name="triad_recipe")
    seam = _needed(cut._replace(passed={**cut.passed, **passed}), scoring)
    return Networks(scoring, scoring, seam, {} if networks is None else networks.encoders)


def _needed(cut: Cut, scoring: keras.Model) -> Cut:
    """Drops the tensors of a seam that need weights which the model has not.

    They belong to tasks that linear models predict alone, and no output reads them.
    """
    held = {id(weight) for weight in scoring.weights}

    def holds(tensors: keras.KerasTensor | Tensors) -> bool:
        return all(id(one) in held for one in keras.Model(scoring.input, tensors).weights)

    if holds(dict(cut.passed)):
        return cut
    passed = {name: tensor for name, tensor in cut.passed.items() if holds(tensor)}
    steps = {name: tuple(key for key in keys if key in passed) for name, keys in cut.steps.items()}
    return cut._replace(passed=passed, steps=steps)


def _scaled(inputs: Tensors, models: Sequence[Subsets], layout: Layout) -> Tensors:
    """Builds the scaled view of each modality that a model reads."""
    scalings = {name: one for linear in models for name, one in linear.scalings.items()}
    views: Tensors = {}
    for name, scaling in scalings.items():
        view, kept = VIEWS[name], _kept(name, scaling, layout)
        make = layers.WeightedNgrams if view.sparse(layout) else layers.Standardized
        layer = make(len(kept), name=f"recipe_{name}_scaled")
        described = layers.Described(name, name=f"recipe_{name}_view")(inputs[view.feature(layout)])
        views[name] = layer(described, inputs[f"{name}_present"])
        layer.set_numbers(kept, scaling.mean[kept], scaling.factor[kept])
    return views


def _kept(name: str, scaling: Scaling, layout: Layout) -> npt.NDArray[np.int64]:
    """Returns the columns of a view that have weights: of n-grams, those that training saw."""
    if not VIEWS[name].sparse(layout):
        return np.arange(len(scaling.factor))
    seen = np.flatnonzero(scaling.factor)
    return seen if len(seen) else np.zeros(1, np.int64)


def _terms(linear: Subsets, views: Tensors, task: str, layout: Layout) -> Tensors:
    """Builds what each modality adds in each set of modalities that it is in."""
    models = [linear.models[subset] for subset in _numbered(linear.alone)]
    split = [linear_subsets.terms(model)[0] for model in models]
    terms: Tensors = {}
    for name in linear.alone:
        kept = _kept(name, linear.scalings[name], layout)
        own = [weights[name][kept] for weights in split if name in weights]
        size = own[0].shape[1]
        units, place = len(own) * size, f"added_{name}_{task}"
        layer = keras.layers.Dense(units, use_bias=False, dtype="float32", name=place)
        added = layer(views[name])
        layer.set_weights([np.concatenate(own, axis=1).astype(np.float32)])
        terms[name] = ops.reshape(added, (-1, len(own), size))
    return terms


def _summed(
    linear: Subsets, terms: Tensors, visible: keras.KerasTensor, task: str
) -> keras.KerasTensor:
    """Builds the output of the linear model of the modalities that a row may use."""
    columns = [linear.names.index(name) for name in linear.alone]
    own = ops.stack([visible[:, column] for column in columns], axis=1)
    layer = layers.SubsetSum(name=f"summed_{task}")
    added = layer(list(terms.values()), own)
    biases = [linear_subsets.terms(linear.models[one])[1] for one in _numbered(linear.alone)]
    layer.set_weights([np.stack([linear.prior, *biases]).astype(np.float32)])
    return added


def _numbered(names: Subset) -> list[Subset]:
    """Lists all sets of modalities but the empty one, as `layers.SubsetSum` numbers them."""
    return [
        tuple(name for place, name in enumerate(names) if number >> place & 1)
        for number in range(1, 2 ** len(names))
    ]
