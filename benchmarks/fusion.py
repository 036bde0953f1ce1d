"""Benchmark of the fusions, and of the remedies for class imbalance, on stamps.

    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.fusion --records STAMPS/records.jsonl [--seeds 0 1 2] [--epochs N]
    python -m benchmarks.fusion --records STAMPS/records.jsonl --imbalance

With `--small`, images are 64 x 64 pixels and audio 2 seconds in 32 mel bands, which takes a third
of the time.

The first command compares the fusions `concat`, `mlp`, `gated` and `attention` by modality subset,
on the records and splits of `benchmarks.stamps`. The second compares the values of a task's
`imbalance`, on all records of all 16 classes, some of which have only a few records. Each seed has
a separate grouped split, one preprocessing, and a training from scratch for each column of the
table. Figures are means over the seeds, on the test split.
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

from benchmarks import stamps
from triad_ml.pipelines.runtime import environment

FUSIONS = ("concat", "mlp", "gated", "attention")
IMBALANCES = (
    *("none", "class_weights", "class_balanced", "logit_adjustment", "focal"),
    "balanced_sampling",
)
Figures = Mapping[str, tuple[float, float]]


def main() -> None:
    """Prints the figures of each training when it ends, then a table of means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="epochs; default: those of examples/stamps.yaml")
    parser.add_argument("--modalities", nargs="+", help="modalities of the network; default: all")
    parser.add_argument("--small", action="store_true", help="use smaller images and audio")
    parser.add_argument("--imbalance", action="store_true", help="compare imbalance, not fusion")
    parser.add_argument("--folder", type=Path, help="folder for the results; default: temporary")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-fusion-"))
    kinds = IMBALANCES if arguments.imbalance else FUSIONS
    started = time.monotonic()
    measured: dict[str, list[Figures]] = {kind: [] for kind in kinds}
    for seed in arguments.seeds:
        seed_folder = folder / f"seed-{seed}"
        seed_folder.mkdir(parents=True, exist_ok=True)
        least = 0 if arguments.imbalance else stamps.LEAST
        chosen = stamps.write_records(arguments.records, seed, seed_folder / "records.jsonl", least)
        for kind in kinds:
            begun = time.monotonic()
            spec = _spec(kind, arguments)
            figures = _figures(spec, chosen, arguments.records.parent, seed, seed_folder, kind)
            measured[kind].append(figures)
            took = round(time.monotonic() - begun)
            print(json.dumps({"seed": seed, kind: figures, "seconds": took}), flush=True)
    print(f"{len(arguments.seeds)} seeds, {time.monotonic() - started:.0f} s")
    _show(measured)


def _spec(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(stamps.SPEC.read_text(encoding="utf-8"))
    if arguments.small:
        spec["modalities"]["image"] = {"size": 64}
        spec["modalities"]["audio"] |= {"seconds": 2, "mel_bins": 32}
    if arguments.modalities:
        spec["modalities"] = {name: spec["modalities"][name] for name in arguments.modalities}
    if arguments.imbalance:
        spec["tasks"]["category"]["imbalance"] = kind
    else:
        spec["model"] = {"recipe": "network", "fusion": kind}
    if arguments.epochs is not None:
        spec["training"] |= {"epochs": arguments.epochs, "patience": arguments.epochs}
    return spec


def _figures(
    spec: Mapping[str, Any], records: Path, media: Path, seed: int, folder: Path, kind: str
) -> Figures:
    """Returns accuracy and macro-F1 on the test split, by the visible modalities."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    data, model = str(folder / "data"), folder / kind
    roots = (str(media.resolve()),)
    # The first call computes the features of a seed; later ones only write another training spec.
    preprocessing_run.run(PreprocessConfig(str(path), (str(records),), data, media_roots=roots))
    training_run.run(TrainConfig(data, str(model), seed=seed))
    document = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    task = document["splits"]["test"]["tasks"]["category"]
    rows = {"as recorded": task["as recorded"], **task["subsets"]}
    return {
        name: (metrics["accuracy"]["value"], metrics["macro_f1"]["value"])
        for name, metrics in rows.items()
    }


def _show(measured: Mapping[str, Sequence[Figures]]) -> None:
    for part, figure in enumerate(("accuracy", "macro-F1")):
        print(f"{figure:24}" + "".join(f"{kind:>19}" for kind in measured))
        for name in next(iter(measured.values()))[0]:
            line = f"{name:24}"
            for figures in measured.values():
                values = [of_seed[name][part] for of_seed in figures]
                spread = f"{min(values):.2f}-{max(values):.2f}"
                line += f"{f'{statistics.mean(values):.3f} ({spread})':>19}"
            print(line)


if __name__ == "__main__":
    main()
