"""Kinds of fusion, and remedies for rare classes, side by side on stamps.

    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.fusion --records STAMPS/records.jsonl [--seeds 0 1 2] [--epochs N]
    python -m benchmarks.fusion --records STAMPS/records.jsonl --imbalance

With `--small` pictures have 64 pixels a side and sounds 2 seconds in 32 bands, which takes a third
of the time.

The first compares `concat`, `mlp`, `gated` and `attention` by modality subset, on the records and
splits of `benchmarks.stamps`. The second compares what a task's `imbalance` may be, on all records
of all 16 classes, some of which have a handful. Each seed makes its own grouped split, one
preprocessing, and a training from scratch for each row of the table. Figures are of the test split,
means over the seeds.
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
IMBALANCES = ("none", "class_weights", "focal", "balanced_sampling")
Figures = Mapping[str, tuple[float, float]]


def main() -> None:
    """Measures, and prints a table of means over the seeds; each training is printed as it ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of those of examples/stamps.yaml")
    parser.add_argument("--modalities", nargs="+", help="those of the network; all if absent")
    parser.add_argument("--small", action="store_true", help="smaller pictures and sounds")
    parser.add_argument("--imbalance", action="store_true", help="compare these, not fusions")
    parser.add_argument("--folder", type=Path, help="keeps what is made; a temporary one if absent")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-fusion-"))
    kinds = IMBALANCES if arguments.imbalance else FUSIONS
    started = time.monotonic()
    measured: dict[str, list[Figures]] = {kind: [] for kind in kinds}
    for seed in arguments.seeds:
        place = folder / f"seed-{seed}"
        place.mkdir(parents=True, exist_ok=True)
        least = 0 if arguments.imbalance else stamps.LEAST
        chosen = stamps.write_records(arguments.records, seed, place / "records.jsonl", least)
        for kind in kinds:
            begun = time.monotonic()
            what = _spec(kind, arguments)
            found = _figures(what, chosen, arguments.records.parent, seed, place, kind)
            measured[kind].append(found)
            took = round(time.monotonic() - begun)
            print(json.dumps({"seed": seed, kind: found, "seconds": took}), flush=True)
    print(f"{len(arguments.seeds)} seeds, {time.monotonic() - started:.0f} s")
    _show(measured)


def _spec(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    what: dict[str, Any] = yaml.safe_load(stamps.SPEC.read_text(encoding="utf-8"))
    if arguments.small:
        what["modalities"]["image"] = {"size": 64}
        what["modalities"]["audio"] |= {"seconds": 2, "mel_bins": 32}
    if arguments.modalities:
        what["modalities"] = {name: what["modalities"][name] for name in arguments.modalities}
    if arguments.imbalance:
        what["tasks"]["category"]["imbalance"] = kind
    else:
        what["model"] = {"fusion": kind}
    if arguments.epochs is not None:
        what["training"] |= {"epochs": arguments.epochs, "patience": arguments.epochs}
    return what


def _figures(
    what: Mapping[str, Any], records: Path, media: Path, seed: int, folder: Path, kind: str
) -> Figures:
    """Accuracy and macro-F1 on the test split, by what the network was given."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump(what), encoding="utf-8")
    data, model = str(folder / "data"), folder / kind
    roots = (str(media.resolve()),)
    # The first makes the features of a seed, the others only tell them how to train.
    preprocessing_run.run(PreprocessConfig(str(spec), (str(records),), data, media_roots=roots))
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
            for found in measured.values():
                values = [one[name][part] for one in found]
                spread = f"{min(values):.2f}-{max(values):.2f}"
                line += f"{f'{statistics.mean(values):.3f} ({spread})':>19}"
            print(line)


if __name__ == "__main__":
    main()
