r"""Benchmark of one joint model for four data sets and tasks against four separate models.

    python examples/stamps.py --out STAMPS --cache CACHE
    pip download --no-deps --no-binary :all: -d CACHE vaderSentiment==0.5
    python -m benchmarks.joint --stamps STAMPS/records.jsonl --snips SNIPS.jsonl.gz \
        --sentiment CACHE/vaderSentiment-0.5.zip --roles ROLES.jsonl.gz [--limit 1500] \
        [--seeds 0 1 2] [--every '{training: {best_by: accuracy}}'] \
        [--joint '{training: {task_weights: fixed}, model: {task_fusion: mlp}}']

The joint model samples all records, those of the large sets less often (temperature 0.5), and
weights its tasks by their learned uncertainty. Each separate model sees only the records of its
data set, and has only their modalities. All models are trained from scratch with the same settings;
an epoch of the joint model has as many records as all sets together. Figures are of each task's
test split, which is the same for both; with several seeds they are medians. `--every` changes
settings of all models, `--joint` those of the joint model.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import joint_data
from triad_ml.pipelines.runtime import environment

MODALITIES: Mapping[str, Mapping[str, Any]] = {
    "image": {"size": 64},
    "audio": {"sample_rate": 16000, "seconds": 2, "mel_bins": 32},
    "text": {"tokens": "word", "vocabulary": 12000, "length": 40, "spelling": 20000},
}
TASKS: Mapping[str, Mapping[str, Any]] = {
    "category": {"kind": "classification", "label": "category"},
    "intent": {"kind": "classification", "label": "intent"},
    "sentiment": {"kind": "classification", "label": "sentiment"},
    "roles": {"kind": "tagging", "label": "roles", "tokens": "tokens", "marker": "at"},
}
OF = {"category": "stamps", "intent": "snips", "sentiment": "sentiment", "roles": "roles"}
FIGURE = {
    "category": "macro_f1",
    "intent": "accuracy",
    "sentiment": "macro_f1",
    "roles": "entity_f1",
}
MODEL = {"recipe": "network", "dim": 96, "text_dim": 96, "image_filters": [24, 48, 96]}


def main() -> None:
    """Trains the models, and prints a row for each task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in joint_data.READERS:
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--limit", type=int, default=1500, help="approximate records of a set (1500)"
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    for name, who in (("every", "all models"), ("joint", "the joint model")):
        parser.add_argument(
            f"--{name}",
            type=yaml.safe_load,
            default={},
            help=f"YAML with keys of the sections model and training, for {who}",
        )
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-joint-"))
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for name, read in joint_data.READERS.items():
        rows = read(getattr(arguments, name))
        sizes[name] = joint_data.write(name, rows, folder / f"{name}.jsonl", arguments.limit)
    print(json.dumps({"records": sizes}), flush=True)
    media = arguments.stamps.parent
    options = (folder, media, arguments.epochs, arguments.seeds)
    alone = {task: _figures((task,), *options, [arguments.every])[task] for task in TASKS}
    joint = _figures(tuple(TASKS), *options, [arguments.every, arguments.joint])
    print(f"{'task':12}{'figure':12}{'n':>6}{'alone':>9}{'joint':>9}")
    for task, figure in FIGURE.items():
        n, own = alone[task]
        print(f"{task:12}{figure:12}{n:6}{own:9.3f}{joint[task][1]:9.3f}")
    means = [statistics.fmean(one[task][1] for task in TASKS) for one in (alone, joint)]
    print(f"{'mean':12}{'':12}{'':6}{means[0]:9.3f}{means[1]:9.3f}")


def _figures(
    tasks: tuple[str, ...],
    folder: Path,
    media: Path,
    epochs: int,
    seeds: Sequence[int],
    changes: Sequence[Mapping[str, Mapping[str, Any]]],
) -> dict[str, tuple[int, float]]:
    """Trains one model a seed.

    Returns:
        For each task its labelled test records, and the median of its figures on them.
    """
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    begun = time.monotonic()
    joint = len(tasks) > 1
    model_folder = folder / ("joint" if joint else tasks[0])
    model_folder.mkdir(exist_ok=True)
    spec: dict[str, Any] = {
        "modalities": dict(MODALITIES if "category" in tasks else {"text": MODALITIES["text"]}),
        "tasks": {task: dict(TASKS[task]) for task in tasks},
        "model": {k: v for k, v in MODEL.items() if "category" in tasks or k != "image_filters"},
        "training": {"epochs": epochs, "patience": epochs, "batch_size": 32},
    }
    if joint:
        spec["mixture"] = {"by": "dataset", "temperature": 0.5}
        spec["training"]["task_weights"] = "uncertainty"
    for change in changes:
        for section, values in change.items():
            spec[section] |= values
    path = model_folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    inputs = tuple(str(folder / f"{OF[task]}.jsonl") for task in tasks)
    data = str(model_folder / "data")
    preprocessing_run.run(
        PreprocessConfig(str(path), inputs, data, media_roots=(str(media.resolve()),))
    )
    found: dict[str, list[tuple[int, float]]] = {task: [] for task in tasks}
    for seed in seeds:
        model = model_folder / f"model-{seed}"
        training_run.run(TrainConfig(data, str(model), seed=seed))
        evaluated = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
        for task in tasks:
            recorded = evaluated["splits"]["test"]["tasks"][task]["as recorded"]
            found[task].append((recorded["n"], recorded[FIGURE[task]]["value"]))
    took = round(time.monotonic() - begun)
    print(json.dumps({"trained": list(tasks), "figures": found, "seconds": took}), flush=True)
    return {
        task: (rows[0][0], statistics.median(value for _, value in rows))
        for task, rows in found.items()
    }


if __name__ == "__main__":
    main()
