"""Model card: a page beside the model that says what it predicts, from what, and how well.

Its sections are those of Mitchell et al., "Model Cards for Model Reporting" (2019). It holds only
what the training knows, and says of everything else that nobody recorded it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.transforms.spec.spec import Spec

FEW = 10
"""Number of test records of a class below which its figures say little."""

NAMED = 20
"""Number of classes up to which the card names all of them."""

_UNKNOWN = (
    "Intended users, uses that are out of scope, ethical considerations, and the licence of the "
    "training data are not recorded. Add them here before you share the model; no digest covers "
    "this page."
)
_TRAINED, _TESTED, _CHOSEN = "train", "test", "eval"


def text(about: Mapping[str, Any], data: Mapping[str, Any], evaluated: Mapping[str, Any]) -> str:
    """Writes the model card, Markdown.

    Args:
        about: Content of `triad.json`.
        data: Manifest of the prepared data.
        evaluated: Evaluation of the model, see `triad_ml.model.evaluation.document`.
    """
    spec = Spec.model_validate(about["spec"])
    parts = {
        f"Model {about['digests']['model'][:12]}": _details(about, spec, evaluated),
        "Intended use": _use(about, spec),
        "Training data": _data(data, spec),
        "Evaluation": _evaluation(evaluated),
        "Limitations": _limitations(data, evaluated, spec),
        "Origin": _origin(about, data),
    }
    lines: list[str] = []
    for level, (title, part) in enumerate(parts.items()):
        lines += [f"{'#' if level == 0 else '##'} {title}", "", *part, ""]
    return "\n".join(lines)


def _details(about: Mapping[str, Any], spec: Spec, evaluated: Mapping[str, Any]) -> Iterator[str]:
    model, training = spec.model, about["training"]
    yield f"- Trained by Triad {about['triad']}, finished at {about['created']}."
    yield f"- Reads {_listed(spec.modalities.names)}; any of them may be missing in a record."
    encoders = {
        "image": model.image_encoder,
        "audio": model.audio_encoder,
        "text": model.text_encoder,
    }
    for name in spec.modalities.names:
        if encoders[name] is not None:
            yield f"- Has the pretrained {name} encoder `{encoders[name]}`."
    yield f"- Fuses them by `{model.fusion}`, in {model.dim} dimensions."
    for task, recipe in evaluated.get("recipes", {}).items():
        yield f"- {_code(task)} is {evaluation_document.recipe_text(recipe)}."
    if training["epochs"]:
        best = f"weights of epoch {training['best_epoch']} of {training['epochs']}"
        steps = f"{training['steps']:,} steps, seed {spec.training.seed}"
        yield f"- The network has the {best}; {steps}."


def _use(about: Mapping[str, Any], spec: Spec) -> Iterator[str]:
    for name, task in spec.tasks.items():
        classes = about["classes"].get(name, [])
        named = _listed([_code(one) for one in classes[:NAMED]])
        more = f" and {len(classes) - NAMED:,} others" if len(classes) > NAMED else ""
        which = f": {named}{more}" if classes else ""
        yield f"- {_code(name)}, {task.kind} of the label {_code(task.label)}{which}."
    yield ""
    yield _UNKNOWN


def _data(data: Mapping[str, Any], spec: Spec) -> Iterator[str]:
    counts = data.get("counts")  # Data of an earlier version have not all of these.
    if counts is not None:
        splits = ", ".join(f"{split} {counts[split]:,}" for split in (_TRAINED, _CHOSEN, _TESTED))
        rejected = f", {counts['rejected']:,} rejected" if counts["rejected"] else ""
        yield f"- {counts['read']:,} records read: {splits}{rejected}. Split by `{spec.split.by}`."
    for name, media in _media(data, spec):
        flaws = [f", {count:,} not used ({why})" for why, count in media["flaws"].items()]
        had = f"{media['had']:,} of {data['counts']['read']:,} records have one"
        yield f"- {name}: {had}{''.join(flaws)}."
    for name, labels in data.get("labels", {}).items():
        if labels is not None:
            found = ", ".join(f"{split} {count:,}" for split, count in labels["records"].items())
            yield f"- Labels of {_code(name)}: {found}."
    for source in data["inputs"]:
        yield f"- Input {_code(source['uri'])}, {source['bytes']:,} bytes."


def _evaluation(evaluated: Mapping[str, Any]) -> Iterator[str]:
    split = next((one for one in (_TESTED, _CHOSEN) if one in evaluated["splits"]), None)
    if split is None:
        yield "Nothing measures this model: no record is in the test or the eval split."
        return
    note = "" if split == _TESTED else ", which also chose the epoch"
    yield (
        f"Figures of the {split} split{note}, with intervals of 95 % (bootstrap). The line "
        f"`{evaluation_document.AS_RECORDED}` has every record with the modalities that it has; "
        "the lines below it are complete records whose other modalities are hidden."
    )
    for name, task in evaluated["splits"][split]["tasks"].items():
        figures = evaluation_document.FIGURES[task["kind"]]
        yield ""
        yield f"| {_cell(name)} | records | {' | '.join(figures.values())} |"
        yield "|---|---|" + "---|" * len(figures)
        linear = {f"linear models, {part}": one for part, one in task.get("linear", {}).items()}
        recorded = {evaluation_document.AS_RECORDED: task[evaluation_document.AS_RECORDED]}
        for part, metrics in (recorded | task["subsets"] | linear).items():
            shown = (evaluation_document.interval_text(metrics[key]) for key in figures)
            yield f"| {part.replace('+', ' + ')} | {metrics['n']:,} | {' | '.join(shown)} |"


def _limitations(
    data: Mapping[str, Any], evaluated: Mapping[str, Any], spec: Spec
) -> Iterator[str]:
    tasks = evaluated["splits"].get(_TESTED, {"tasks": {}})["tasks"]
    if not tasks:
        yield "- No record is in the test split, so no figure is of records that decided nothing."
    for name, task in tasks.items():
        metrics = task[evaluation_document.AS_RECORDED]
        rare = [one["class"] for one in metrics.get("per_class", ()) if one["n"] < FEW]
        if rare:
            yield (
                f"- {_code(name)}: {len(rare)} of {len(task['classes'])} classes have fewer than "
                f"{FEW} test records, so their figures say little: "
                f"{_listed([_code(one) for one in rare[:NAMED]])}."
            )
        calibration = metrics.get("calibration", {}).get("ece")
        if calibration is not None:
            yield f"- {_code(name)}: the expected calibration error is {calibration:.3f}."
        floor = evaluation_document.floor(task)
        if floor is not None and not floor.beaten:
            yield (
                f"- {_code(name)}: a linear model of {floor.modalities.replace('+', ' + ')} is "
                f"better, with {floor.figure} {floor.value:.3f} for {floor.network:.3f}."
            )
    for name, media in _media(data, spec):
        read = data["counts"]["read"]
        without = read - media["had"] + sum(media["flaws"].values())
        if without:
            yield f"- {without:,} of {read:,} records have no {name} that can be used."
    yield "- The figures hold for records like those of the training; compare new ones first."


def _media(data: Mapping[str, Any], spec: Spec) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the modalities whose media the manifest of the prepared data counts."""
    counted = data.get("media", {}) if "counts" in data else {}
    for name in spec.modalities.names:
        if name in counted:
            yield name, counted[name]


def _origin(about: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    named = {"model": "", "transform": "", "spec": "", "code": " of Triad"}
    for name, whose in named.items():
        yield f"- SHA-256 of the {name}{whose}: `{about['digests'][name]}`."
    yield f"- Key of the prepared data: `{data['key']}`."
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield f"- Versions: {versions}."
    yield "- `triad parity` compares this model with its preprocessing on your records."


def _code(name: str) -> str:
    """Returns a name of the user as code, on one line."""
    return "`" + _cell(name).replace("`", "'") + "`"


def _cell(name: str) -> str:
    """Returns a name of the user without characters that end a line or a cell."""
    return " ".join(name.replace("|", "/").split())


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names) if names else "nothing"
