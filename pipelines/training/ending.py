"""Final summary of a training: figures of its test split, and the next commands."""

import shlex
from collections.abc import Mapping
from typing import Any

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.pipelines.runtime.summary import Sentence, split_remedy


def sentences(document: Mapping[str, Any], model: str) -> list[Sentence]:
    """Describes a training by the figures of its test split, and names the next commands.

    Args:
        document: Evaluation of the model, see `triad_ml.model.evaluation.document`.
        model: Path of the model folder.
    """
    measured = document["splits"]
    split = next((name for name in ("test", "eval") if name in measured), None)
    lines = []
    if split is None:
        text = "nothing measures the model: no record is in the test or the eval split"
        lines.append(Sentence(f"{text}; {split_remedy(None)}, and preprocess again", warns=True))
    elif split == "eval":
        text = "no record is in the test split: the figures are of eval, which chose the epoch"
        lines.append(Sentence(text, warns=True))
    tasks = measured[split]["tasks"] if split else {}
    for name, task in tasks.items():
        lines.append(_figures(name, task, str(split)))
        recipe = document.get("recipes", {}).get(name)
        if recipe is not None:
            lines.append(Sentence(f"{name}: {evaluation_document.recipe_text(recipe)}"))
        if "temperature" in task:
            lines.append(Sentence(f"{name}: {evaluation_document.temperature_text(task)}"))
        lines += _compared(name, task, "network" if recipe is None else "model")
    return [*lines, *_after_training(model)]


def _compared(name: str, task: Mapping[str, Any], what: str) -> list[Sentence]:
    """Compares the network or model of a task with the best linear model, if there is one."""
    floor = evaluation_document.floor(task)
    if floor is None:
        return []
    model = f"a linear model of {floor.modalities.replace('+', ' + ')}"
    text = f"{name}: {model} has {floor.figure} {floor.value:.3f} on the same records"
    if floor.beaten:
        return [Sentence(text)]
    remedy = "try model.fusion: sum, a pretrained image_encoder, or more records"
    return [Sentence(f"{text}, and is better than the {what}; {remedy}", warns=True)]


def _after_training(model: str) -> list[Sentence]:
    """Returns the commands that follow a training."""
    flags = f"--model {shlex.quote(model)} --input RECORDS"
    return [
        Sentence(f"next: triad parity {flags}"),
        Sentence(f"next: triad score {flags} --output SCORES --date YYYY-MM-DD"),
    ]


def _figures(name: str, task: Mapping[str, Any], split: str) -> Sentence:
    metrics = task[evaluation_document.AS_RECORDED]
    if not metrics["n"]:
        return Sentence(f"{name}: no record of the {split} split has its label", warns=True)
    texts = evaluation_document.FIGURES[task["kind"]].items()
    figures = [f"{text} {evaluation_document.interval_text(metrics[key])}" for key, text in texts]
    count = metrics.get("unseen")
    unseen = f", of which {count} are unseen in training" if count else ""
    labelled = f"{metrics['n']} records of the {split} split{unseen}"
    return Sentence(f"{name}: {', '.join(figures)}; 95% intervals, {labelled}")
