"""Learning: linear models, the network where a task needs it, and their union."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from triad_ml.model import stages
from triad_ml.model.data import scan
from triad_ml.model.evaluation.document import recipe_text
from triad_ml.model.layout import Layout
from triad_ml.model.linear import floor
from triad_ml.model.linear.floor import Floor
from triad_ml.model.linear.subsets import Subsets
from triad_ml.model.network import Networks
from triad_ml.model.recipe import choice, ensemble, graph
from triad_ml.model.recipe.choice import Evidence, Recipe
from triad_ml.model.training import loop
from triad_ml.pipelines.training import recipes
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.model import BEST

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Learned:
    """Result of a training.

    Attributes:
        layout: Layout of the inputs of the model.
        networks: The model to export.
        network: Training of the network; None if no task uses one.
        floor: Linear models to compare with.
        recipes: By task with linear models, what predicts it; empty if the spec wants the network.
    """

    layout: Layout
    networks: Networks
    network: loop.TrainResult | None
    floor: Floor
    recipes: Mapping[str, Recipe]


def learn(
    files: Mapping[str, Sequence[str]],
    layout: Layout,
    folder: Path,
    digest: str,
    shards: Mapping[str, scan.Shard] | None,
    on_epoch: Callable[[loop.Row], None] | None = None,
) -> Learned:
    """Fits linear models, chooses the recipes, and trains the network unless no task needs it.

    Args:
        files: TFRecord files by split.
        layout: Layout of the files.
        folder: Folder of the checkpoints, from which an interrupted training resumes.
        digest: Digest of the files' content.
        shards: By file, its expected records and digest; None if nothing says them.
        on_epoch: Function that is called with each new row of the network's history; those of folds
            are not shown.

    Raises:
        OptionsError: If the spec names linear models, and there are none.
    """
    wanted = layout.spec.model.chosen_recipe
    train = scan.survey(files["train"], layout, shards)
    with stages.showing(stages.Stage("linear models")):
        blocks = floor.read(train, layout) if train.num_records else None
        simple = {} if blocks is None else floor.of_blocks(blocks, layout)
        linear: dict[str, Subsets] = {}
        if blocks is not None and wanted != choice.NETWORK:
            linear = floor.completed(blocks, simple, layout)
    named = layout.spec.model.recipe is not None
    if named and train.num_records and not linear and wanted in (choice.LINEAR, choice.BLEND):
        raise OptionsError(
            f"model.recipe: {wanted}: no task has a linear model of these records; choose auto, or "
            "run triad preprocess with a new --output if an earlier version wrote them"
        )
    chosen: Mapping[str, Recipe] | None = None
    folds: recipes.Folds | None = None
    if not linear or wanted == choice.LINEAR:
        chosen = dict.fromkeys(linear, choice.ALONE[choice.LINEAR])
    elif blocks is not None:
        folds = recipes.by_folds(train, blocks, layout, files["eval"], folder, digest)
        chosen = None if folds is None else _chosen(folds.evidence, linear, layout)
    network: loop.TrainResult | None = None
    if chosen is None or any(_share(chosen, task) < 1 for task in layout.spec.tasks):
        network = loop.train(files, layout, folder, digest, on_epoch, shards)
    if chosen is None and network is not None:
        survey = scan.survey(files["eval"], layout, shards)
        evidence = recipes.by_eval(network.model, linear, survey, layout)
        chosen = _chosen(evidence, linear, layout)
    found = chosen or {}
    for task, recipe in found.items():
        _log.info("%s: %s", task, recipe_text(dataclasses.asdict(recipe)))
    shares = {task: recipe.share for task, recipe in found.items() if recipe.share}
    averages = layout.spec.model.preset == BEST and any(_share(found, task) < 1 for task in linear)
    trained = None
    if network is not None:
        trained = _averaged(network, folds, layout) if averages else network.networks
    if not shares and trained is not None:
        return Learned(layout, trained, network, simple, found)
    layout = dataclasses.replace(layout, grams=True)
    networks = graph.combined(layout, trained, linear, shares)
    return Learned(layout, networks, network, simple, found)


def _averaged(network: loop.TrainResult, folds: recipes.Folds | None, layout: Layout) -> Networks:
    """Returns the mean of a network and those of the folds."""
    if folds is None:
        _log.warning(
            "preset best: no folds were trained, so one network predicts; they need at most %d "
            "training records, %d groups, and labels of each task in each fold",
            recipes.MOST_RECORDS,
            recipes.LEAST_GROUPS,
        )
        return network.networks
    members = [*folds.networks, network.networks]
    _log.info("preset best: the mean of %d networks predicts", len(members))
    return ensemble.averaged(layout, members)


def _share(chosen: Mapping[str, Recipe], task: str) -> float:
    return chosen[task].share if task in chosen else 0.0


def _chosen(
    evidence: Mapping[str, Evidence], linear: Mapping[str, Subsets], layout: Layout
) -> dict[str, Recipe]:
    """Chooses the recipe of each task with linear models."""
    names = choice.CANDIDATES[layout.spec.model.chosen_recipe]
    found = {}
    for task, models in linear.items():
        section, classes = layout.spec.tasks[task], layout.classes[task]
        if task in evidence:
            found[task] = choice.chosen(section, classes, models.solver, evidence[task], names)
        else:
            found[task] = choice.ALONE[choice.BLEND]
    return found
