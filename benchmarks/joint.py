r"""Benchmark of one joint model for four data sets and tasks against four separate models.

    python examples/stamps.py --out STAMPS --cache CACHE
    pip download --no-deps --no-binary :all: -d CACHE vaderSentiment==0.5
    python -m benchmarks.joint --stamps STAMPS/records.jsonl --snips SNIPS.jsonl.gz \
        --sentiment CACHE/vaderSentiment-0.5.zip --roles ROLES.jsonl.gz [--limit 1500]

The joint model samples all records, those of the large sets less often (temperature 0.5), and
weights its tasks by their learned uncertainty. Each separate model sees only the records of its
data set, and has only their modalities. All models are trained from scratch with the same settings;
an epoch of the joint model has as many records as all sets together. Figures are of each task's
test split, which is the same for both.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
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
MODEL = {"dim": 96, "text_dim": 96, "image_filters": [24, 48, 96]}


def main() -> None:
    """Trains the models, and prints a row for each task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in joint_data.READERS:
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--limit", type=int, default=1500, help="approximate records of a set (1500)"
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
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
    options = (folder, media, arguments.epochs, arguments.seed)
    alone = {task: _figures((task,), *options)[task] for task in TASKS}
    joint = _figures(tuple(TASKS), *options)
    print(f"{'task':12}{'figure':12}{'n':>6}{'alone':>9}{'joint':>9}")
    for task, figure in FIGURE.items():
        n, own = alone[task]
        print(f"{task:12}{figure:12}{n:6}{own:9.3f}{joint[task][1]:9.3f}")


def _figures(
    tasks: tuple[str, ...], folder: Path, media: Path, epochs: int, seed: int
) -> dict[str, tuple[int, float]]:
    """Trains one model; returns for each task its labelled test records and its figure on them."""
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
    path = model_folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    inputs = tuple(str(folder / f"{OF[task]}.jsonl") for task in tasks)
    data, model = str(model_folder / "data"), model_folder / "model"
    preprocessing_run.run(
        PreprocessConfig(str(path), inputs, data, media_roots=(str(media.resolve()),))
    )
    training_run.run(TrainConfig(data, str(model), seed=seed))
    evaluated = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    figures = {}
    for task in tasks:
        recorded = evaluated["splits"]["test"]["tasks"][task]["as recorded"]
        figures[task] = (recorded["n"], recorded[FIGURE[task]]["value"])
    took = round(time.monotonic() - begun)
    print(json.dumps({"trained": list(tasks), "figures": figures, "seconds": took}), flush=True)
    return figures


if __name__ == "__main__":
    main()
