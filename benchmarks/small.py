r"""Benchmark of recipes on few records: public data sets, cut to some hundred training records.

    python -m benchmarks.small --snips COMMANDS.jsonl.gz --sentiment vaderSentiment-0.5.zip \
        --stamps STAMPS/records.jsonl

Each seed draws the records: whole groups for the test split, at most TESTED, then for the eval
split, a tenth of what trains, then for the training split. `triad train` chooses the recipe by its
default, `auto`. A row has the accuracy of the model and of the best linear model on the test split,
and that of network, linear models and blend on the records by which the recipe was chosen. The last
lines have the lowest and the mean difference between model and linear model.

With --folder, finished steps are reused.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import joint_data, seeds
from benchmarks.held_out import held_out
from triad_ml.pipelines.runtime import environment

SIZES = (100, 200, 400)
TESTED = 400
TEXT: Mapping[str, Any] = {"text": {"vocabulary": 12000, "length": 48}}
STAMPS = Path(__file__).resolve().parents[1] / "examples" / "stamps.yaml"
SPECS: Mapping[str, Mapping[str, Any]] = {
    "snips": {"modalities": TEXT, "tasks": {"intent": {}}},
    "sentiment": {"modalities": TEXT, "tasks": {"sentiment": {}}},
    "stamps": {
        "modalities": yaml.safe_load(STAMPS.read_text(encoding="utf-8"))["modalities"],
        "tasks": {"category": {}},
    },
}
"""Specs of the data sets; `model` and `training` have their defaults."""


def main() -> None:
    """Trains on each data set, size and seed, and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in SPECS:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-small-"))
    differences = []
    for name in SPECS:
        path = getattr(arguments, name)
        if path is None:
            continue
        rows = list(joint_data.READERS[name](path))
        for size in arguments.sizes:
            for seed in arguments.seeds:
                split = cut(rows, size, seed)
                media = path.parent.resolve()
                row = trained(name, split, seed, folder / f"{name}-{size}-{seed}", media)
                differences.append(row["model"] - row["floor"])
                print(json.dumps({"data": name, "records": size, "seed": seed, **row}), flush=True)
    print(f"lowest difference {min(differences):.3f}")
    print(f"mean difference   {sum(differences) / len(differences):.3f}")


def cut(rows: Sequence[joint_data.Row], size: int, seed: int) -> list[joint_data.Row]:
    """Draws the records of the splits, in whole groups."""
    parts: list[joint_data.Row] = []
    rest: Sequence[joint_data.Row] = rows
    counts = {"test": min(TESTED, len(rows) // 4), "eval": size // 10, "train": size}
    for place, (split, count) in enumerate(counts.items()):
        chosen = held_out(rest, 10 * seed + place, count)
        parts += [{**row, "split": split} for row in rest if row["id"] in chosen]
        rest = [row for row in rest if row["id"] not in chosen]
    return parts


def trained(
    name: str, rows: Sequence[joint_data.Row], seed: int, folder: Path, media: Path
) -> dict[str, Any]:
    """Prepares and trains, unless the folder has the model; returns the figures of a row."""
    from triad_ml.model.evaluation import document
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    folder.mkdir(parents=True, exist_ok=True)
    records, data, model = folder / "records.jsonl", folder / "data", folder / "model"
    spec = json.loads(json.dumps(SPECS[name]))
    spec["tasks"] = {one: {"kind": "classification", "label": one} for one in spec["tasks"]}
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    seeds.write_records(records, rows)
    settings = PreprocessConfig(
        str(folder / "spec.yaml"), (str(records),), str(data), media_roots=(str(media),)
    )
    preprocessing_run.run(settings)
    begun = time.process_time()
    training_run.run(TrainConfig(str(data), str(model), seed=seed))
    seconds = round(time.process_time() - begun)
    found = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    ((task, evaluated),) = found["splits"]["test"]["tasks"].items()
    recipe, best = found["recipes"][task], document.floor(evaluated)
    assert best is not None
    return {
        "recipe": recipe["name"],
        "model": evaluated[document.AS_RECORDED]["accuracy"]["value"],
        "floor": best.value,
        "chosen by": recipe["figures"],
        "CPU-s": seconds,
    }


if __name__ == "__main__":
    main()
